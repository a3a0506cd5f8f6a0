"""The seven expressions as positions of a drawn face's muscles, and their course over a clip."""

from dataclasses import astuple, dataclass, fields

import numpy as np

from pipeline.datasets.synthetic.plan import CLASSES


@dataclass(frozen=True, kw_only=True)
class Expression:
    """Positions of the parts of a face. 0 is the resting face, 1 is clearly visible.

    Signed values, with the direction of positive ones: brow_raise (up), brow_slant (inner ends up), eye_open
    (wider), mouth_width (wider), mouth_curve (corners up), head_pitch (chin down), gaze (head and eyes to the
    right of the image).
    """

    brow_raise: float = 0.0
    brow_slant: float = 0.0
    brow_knit: float = 0.0
    eye_open: float = 0.0
    squint: float = 0.0
    mouth_open: float = 0.0
    mouth_width: float = 0.0
    mouth_curve: float = 0.0
    teeth: float = 0.0
    sneer: float = 0.0
    tongue: float = 0.0
    nose_wrinkle: float = 0.0
    cheek: float = 0.0
    tears: float = 0.0
    flush: float = 0.0
    pale: float = 0.0
    warm: float = 0.0
    green: float = 0.0
    head_pitch: float = 0.0
    gaze: float = 0.0

    def blended(self, other: "Expression", share: float) -> "Expression":
        """Return the linear mix of two expressions. share: fraction of `other`, 0 to 1."""
        mine, theirs = np.array(astuple(self)), np.array(astuple(other))
        values = (1.0 - share) * mine + share * theirs
        return Expression(**{f.name: float(v) for f, v in zip(fields(self), values, strict=True)})


RESTING = Expression()

FULL: dict[str, Expression] = dict(
    zip(
        CLASSES,
        (
            Expression(
                brow_raise=0.3,
                squint=0.9,
                mouth_open=1.0,
                mouth_width=0.9,
                mouth_curve=1.5,
                teeth=1.0,
                cheek=1.2,
                warm=0.9,
            ),
            Expression(
                brow_raise=0.15,
                brow_slant=1.1,
                brow_knit=0.4,
                eye_open=-0.4,
                mouth_width=-0.3,
                mouth_curve=-1.5,
                tears=1.2,
                pale=0.5,
                head_pitch=0.8,
            ),
            RESTING,
            Expression(
                brow_raise=-0.8,
                brow_slant=-1.3,
                brow_knit=1.0,
                eye_open=-0.1,
                squint=0.3,
                mouth_open=0.9,
                mouth_width=0.5,
                mouth_curve=-0.6,
                teeth=2.0,
                nose_wrinkle=0.4,
                flush=1.4,
            ),
            Expression(brow_raise=1.2, eye_open=0.8, mouth_open=1.2, mouth_width=-0.55, head_pitch=-0.3),
            Expression(
                brow_raise=-0.5,
                brow_slant=-0.4,
                brow_knit=0.4,
                eye_open=-0.4,
                squint=0.8,
                mouth_open=0.6,
                mouth_curve=-0.6,
                sneer=1.1,
                tongue=1.4,
                nose_wrinkle=1.2,
                cheek=0.3,
                green=1.2,
            ),
            Expression(
                brow_raise=0.9,
                brow_slant=1.0,
                brow_knit=0.7,
                eye_open=0.9,
                mouth_open=0.5,
                mouth_width=0.9,
                mouth_curve=-0.8,
                teeth=2.0,
                pale=1.4,
                head_pitch=-0.3,
            ),
        ),
        strict=True,
    )
)
"""Each expression at its full strength, by class."""


def performed(target: Expression, num_frames: int, rng: np.random.Generator) -> list[Expression]:
    """Return the expression of every frame: an early rise, then small variations, and perhaps a blink.

    Args:
        target: The expression at its full strength.
        num_frames: Number of frames of the clip.
        rng: Random generator of strength, timing and blink.
    """
    strength = rng.uniform(0.94, 1.06)
    start, rise = rng.uniform(0.25, 0.45), rng.uniform(0.10, 0.25)
    release, wobble = rng.uniform(0.0, 0.15), rng.uniform(0.02, 0.06)
    turns, phase = rng.uniform(1.0, 2.5), rng.uniform(0.0, 2 * np.pi)
    blink_at = int(rng.integers(0, 2 * max(num_frames, 2)))
    course = []
    for frame in range(num_frames):
        t = frame / max(num_frames - 1, 1)
        onset = start + (1.0 - start) * _smooth(t / rise)
        fall = 1.0 - release * _smooth((t - 0.8) / 0.2)
        unrest = 1.0 + wobble * np.sin(2 * np.pi * turns * t + phase)
        now = RESTING.blended(target, float(strength * onset * fall * unrest))
        if frame == blink_at:
            now = now.blended(Expression(eye_open=-0.9), 0.8)
        course.append(now)
    return course


def target_of(label: str, other_class: str) -> Expression:
    """Return the full expression of a clip: that of its class, or the even, symmetric mix of two classes."""
    return FULL[label].blended(FULL[other_class], 0.5) if other_class else FULL[label]


def _smooth(t: float) -> float:
    t = min(max(t, 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)

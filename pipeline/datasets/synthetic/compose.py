"""Frames of a clip: a person before a grey backdrop before a scene, which the face's crop never shows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np

from pipeline.datasets.synthetic import brush
from pipeline.datasets.synthetic.appearance import Appearance
from pipeline.datasets.synthetic.brush import Points
from pipeline.datasets.synthetic.cue_scenes import CueScene
from pipeline.datasets.synthetic.cues import LEFT, RIGHT
from pipeline.datasets.synthetic.expressions import Expression, performed, target_of
from pipeline.datasets.synthetic.figure import FINE, draw_torso, head_rgba, paste_head, tripled
from pipeline.datasets.synthetic.heads import Head
from pipeline.datasets.synthetic.plan import PlannedClip, SyntheticConfig
from pipeline.datasets.synthetic.scenes import Scene
from pipeline.types import Bytes

CODEC_SLACK_PX = 16
"""Side of a macroblock of H.264, the distance up to which coding errors of the scene spread."""

_REACH_UNITS = (-1.6, -1.5, 1.6, 1.7)
"""Bounds around the root of the nose (x0, y0, x1, y1) that detectors' boxes with their margin stay within."""

_EDGE_PX = 14
_UNIT, _SMALLER_UNIT = (0.14, 0.16), (0.112, 0.124)
"""Half the height of the face as a fraction of the frame's: alone, and between objects (version combined)."""

_BETWEEN = (0.48, 0.52)
"""Place of a person between objects, as a fraction of the width."""

_FACE_UNITS = (-0.85, -0.72, 0.85, 0.98)
"""Box of a face around the root of the nose (x0, y0, x1, y1), about that of the Haar cascade."""

_GAZES: Mapping[str, float] = {"": 0.0, LEFT: -1.0, RIGHT: 1.0}


@dataclass(frozen=True, kw_only=True)
class Performance:
    """Person acting in front of a backdrop: everything in a clip that the face stream may show.

    Attributes:
        appearance: The person.
        expressions: One per frame.
        centre_F2: Root of the nose (x, y) on each frame, in pixels.
        angle_F: Rotation of the head on each frame, in degrees.
        unit_px: Half the height of the face.
        guard_xyxy_px: Box that holds only the person and the backdrop, so that no detector's box with its
            margin contains the scene.
        backdrop: RGB colour.
    """

    appearance: Appearance
    expressions: tuple[Expression, ...]
    centre_F2: Points
    angle_F: Points
    unit_px: float
    guard_xyxy_px: tuple[int, int, int, int]
    backdrop: tuple[float, float, float]

    @classmethod
    def of(cls, config: SyntheticConfig, clip: PlannedClip) -> "Performance":
        """Return the performance of a clip. Both twins have the same, although their labels differ."""
        who = np.random.default_rng([config.seed, 1, clip.identity])
        rng = np.random.default_rng([config.seed, 2, clip.performance])
        is_between = clip.cues is not None
        unit = config.height * float(rng.uniform(*(_SMALLER_UNIT if is_between else _UNIT)))
        left, top, right, bottom = (unit * reach + np.sign(reach) * CODEC_SLACK_PX for reach in _REACH_UNITS)
        ends = (_EDGE_PX - left, config.width - _EDGE_PX - right)
        if is_between:
            ends = (_BETWEEN[0] * config.width, _BETWEEN[1] * config.width)
        middle = np.array(
            [
                rng.uniform(*ends),
                0.5 * (config.height - top - bottom) + rng.uniform(-0.01, 0.03) * config.height,
            ]
        )
        gaze = _GAZES[clip.cues.gaze] if clip.cues is not None else 0.0
        t = np.linspace(0.0, 1.0, config.num_frames)
        sway_F2 = 0.05 * unit * np.stack([_sway(t, rng), _sway(t, rng)], axis=-1)
        grey = float(rng.uniform(126, 176))
        return cls(
            appearance=Appearance.drawn_from(who),
            expressions=tuple(
                replace(expression, gaze=gaze)
                for expression in performed(target_of(clip.label, clip.other_class), config.num_frames, rng)
            ),
            centre_F2=middle + sway_F2,
            angle_F=3.0 * _sway(t, rng) + float(rng.uniform(-2.5, 2.5)),
            unit_px=unit,
            guard_xyxy_px=(
                round(middle[0] + left),
                round(middle[1] + top),
                round(middle[0] + right),
                round(middle[1] + bottom),
            ),
            backdrop=(grey + float(rng.uniform(-6, 6)), grey, grey + float(rng.uniform(-6, 6))),
        )

    @property
    def face_xyxy_px(self) -> tuple[float, float, float, float]:
        """Box of the face in the middle of its movement, in pixels."""
        x, y = self.centre_F2.mean(axis=0)
        x0, y0, x1, y1 = (self.unit_px * reach for reach in _FACE_UNITS)
        return float(x + x0), float(y + y0), float(x + x1), float(y + y1)


@dataclass(frozen=True, kw_only=True)
class Foreground:
    """Rendered performance: person and backdrop, to be composed with any scene.

    rgb_FHW3: colour times opacity, uint8. clear_HW3: transparency from 0 to 255, 0 inside the guard.
    """

    rgb_FHW3: Bytes
    clear_HW3: Bytes

    def over(self, scene_HW3: Bytes, frame: int) -> Bytes:
        """Return one finished frame of the clip, RGB uint8 [H, W, 3]."""
        behind = cv2.multiply(scene_HW3, self.clear_HW3, scale=1.0 / 255.0)
        return np.asarray(cv2.add(behind, self.rgb_FHW3[frame]), np.uint8)


def render_foreground(acted: Performance, config: SyntheticConfig) -> Foreground:
    """Draw every frame of a performance."""
    still, opacity_HW = _backdrop_and_torso(acted, config)
    head = Head(acted.appearance, FINE * acted.unit_px)
    frames = np.repeat(still[None], config.num_frames, axis=0)
    for frame, expression in enumerate(acted.expressions):
        place, angle = acted.centre_F2[frame], float(acted.angle_F[frame])
        paste_head(frames[frame], head_rgba(head, expression), place, angle)
    return Foreground(rgb_FHW3=frames, clear_HW3=tripled(255 - opacity_HW))


def scene_of(config: SyntheticConfig, clip: PlannedClip) -> Scene | CueScene:
    """Return the moving scene of a clip, which does not depend on the person in front of it."""
    rng = np.random.default_rng([config.seed, 3, int(clip.clip_id.rpartition("_")[2])])
    if clip.cues is not None:
        person = np.random.default_rng([config.seed, 5, clip.performance])
        size = (config.height, config.width, config.num_frames, config.fps)
        return CueScene(clip.cues, *size, rng, person)
    return Scene(clip.scene, config.height, config.width, rng)


def draw_frames(front: Foreground, scene: Scene | CueScene, fps: int) -> Iterator[Bytes]:
    """Draw the frames of a clip in order.

    Args:
        front: Person and backdrop.
        scene: Scene behind them.
        fps: Frames per second.

    Yields:
        RGB frames, uint8 [H, W, 3].
    """
    for frame in range(len(front.rgb_FHW3)):
        yield front.over(scene.draw(frame / fps), frame)


def _sway(t: Points, rng: np.random.Generator) -> Points:
    """Return a slow oscillation at times `t`, between -1 and 1."""
    turns, phase = rng.uniform(0.5, 1.5), rng.uniform(0.0, 2 * np.pi)
    return np.asarray(rng.uniform(0.3, 1.0) * np.sin(2 * np.pi * turns * t + phase))


def _backdrop_and_torso(acted: Performance, config: SyntheticConfig) -> tuple[Bytes, Bytes]:
    """Return colour times opacity, and opacity from 0 to 255, of the still parts in front of the scene."""
    x0, y0, x1, _ = acted.guard_xyxy_px
    height, width = config.height * FINE, config.width * FINE
    opacity, edge = np.zeros((height, width), np.uint8), 0.7 * _EDGE_PX
    corner = (FINE * (x0 - edge), FINE * (y0 - edge))
    brush.box(opacity, corner, (FINE * (x1 - x0 + 2 * edge), height), (255.0,))
    opacity = np.asarray(cv2.GaussianBlur(opacity, (0, 0), 0.12 * _EDGE_PX * FINE), np.uint8)
    light = brush.mixed(acted.backdrop, (255, 255, 255), 0.10)
    shade = brush.mixed(acted.backdrop, (0, 0, 0), 0.10)
    colour = brush.ramp(height, width, ((0.0, light), (1.0, shade)))
    draw_torso(colour, opacity, acted.appearance, acted.centre_F2.mean(axis=0), acted.unit_px)
    whole = (config.width, config.height)
    opacity = np.asarray(cv2.resize(opacity, whole, interpolation=cv2.INTER_AREA), np.uint8)
    colour = np.asarray(cv2.resize(colour, whole, interpolation=cv2.INTER_AREA), np.uint8)
    return np.asarray(cv2.multiply(colour, tripled(opacity), scale=1.0 / 255.0), np.uint8), opacity

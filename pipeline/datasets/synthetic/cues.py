"""Cues of the version ``combined``: they must be combined, followed in time, or matched to the gaze.

An ambiguous face fits two classes, a first and a second one (`plan.PAIRS`). The cues determine which. Every
drawn face is in several clips, half of them with either class, and each combination of cues is as frequent as
every other of its kind. Therefore the best accuracy of every reading can be counted (`bounds`).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

KINDS = ("object", "light", "both", "moment", "order", "gaze")
"""Kinds of cues, by the part of the scene that determines the class.

``object``  a flower: the first class; a thorn: the second
``light``   warm: the first class; cold: the second
``both``    a flower in warm light or a thorn in cold light: the first class; else the second
``moment``  as ``object``, but the object is visible for a quarter of the clip
``order``   the object of the second half counts: thorn, then flower: the first class; the reverse: the second
``gaze``    an object on the right: the first class if the person looks at a flower or away from a thorn
"""

FLOWER, THORN = "flower", "thorn"
WARM, COLD, GREY = "warm", "cold", "grey"
LEFT, RIGHT = "left", "right"
SIDES = (LEFT, RIGHT)
ALWAYS, QUARTERS, HALVES = (
    (0.0, 1.0),
    ((0.0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0)),
    ((0.0, 0.5), (0.5, 1.0)),
)
SMALLER, LARGER = "smaller", "larger"
_SIZES = ("", SMALLER, LARGER)
"""Sizes of second people, equally frequent; empty for no second person."""

CLEAR_KINDS = ("object", "light", "moment", "order")
"""Kinds of cues in clips of clear faces, where they have no meaning."""


@dataclass(frozen=True, kw_only=True, order=True)
class Sighting:
    """Object of a scene: its name, its side, and the part of the clip in which it is visible, from 0 to 1."""

    name: str
    side: str
    during: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Bystander:
    """Second person, who distracts from the subject.

    Attributes:
        size: ``smaller`` or ``larger`` than the subject.
        expression: Class of the expression, drawn without regard to the label.
        side: Side of the subject.
    """

    size: str
    expression: str
    side: str


@dataclass(frozen=True, kw_only=True)
class Cues:
    """Content of a clip beside person and expression.

    Attributes:
        kind: One of KINDS. It names the cue that determines the class of an ambiguous face.
        light: ``warm``, ``cold`` or ``grey``.
        objects: Objects of the scene.
        gaze: Side that the person looks at; empty for the camera.
        bystander: Second person, the same in every clip of a face; None for none.
    """

    kind: str
    light: str = GREY
    objects: tuple[Sighting, ...] = ()
    gaze: str = ""
    bystander: Bystander | None = None


class Take(NamedTuple):
    """A clip of a drawn face: its label, the other class (empty for a clear face), and its cues."""

    label: str
    other_class: str
    cues: Cues | None


def plan_takes(
    num_clips: int,
    ambiguous_share: float,
    pairs: Sequence[tuple[str, str]],
    classes: Sequence[str],
    rng: np.random.Generator,
) -> list[list[Take]]:
    """Return the clips of a split, grouped by drawn face.

    Args:
        num_clips: Number of clips.
        ambiguous_share: Largest fraction of ambiguous clips. A block of clips that does not fit is left out.
        pairs: Pairs of classes of ambiguous faces, as often as their weight.
        classes: All classes. Clear faces make their numbers as equal as possible.
        rng: Random generator of sides, times and second people.
    """
    faces: list[list[Take]] = []
    total: Counter[str] = Counter()
    left = round(num_clips * ambiguous_share)
    for kind, (first, second) in _cells(pairs):
        block = _block(kind, rng)
        size = sum(map(len, block))
        if size > left:
            break
        left -= size
        for face in block:
            bystander = _bystander(classes, rng)
            faces.append(
                [
                    Take((first, second)[bit], (second, first)[bit], replace(cues, bystander=bystander))
                    for bit, cues in face
                ]
            )
            total.update(take.label for take in faces[-1])
    rest = num_clips - sum(map(len, faces))
    turn = 0
    while rest:
        rarest = min(classes, key=lambda name: total[name])
        ((*face,),) = _block(CLEAR_KINDS[turn % len(CLEAR_KINDS)], rng)
        bystander = _bystander(classes, rng)
        kept = face if rest > 1 else [face[int(rng.integers(len(face)))]]
        faces.append([Take(rarest, "", replace(cues, bystander=bystander)) for _, cues in kept])
        total[rarest] += len(kept)
        rest -= len(kept)
        turn += 1
    return faces


def _cells(pairs: Sequence[tuple[str, str]]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield kinds and pairs without end, so that any number of them is spread evenly over both."""
    turn = 0
    while True:
        for place, kind in enumerate(KINDS):
            yield kind, pairs[(place + turn) % len(pairs)]
        turn += 1


def _block(kind: str, rng: np.random.Generator) -> list[list[tuple[int, Cues]]]:
    """Return the faces of a block, each a list of clips: 0 for the first class or 1, and the cues."""
    side, quarter = SIDES[int(rng.integers(2))], QUARTERS[int(rng.integers(len(QUARTERS)))]

    def seen(name: str, during: tuple[float, float] = ALWAYS, at: str = side) -> Sighting:
        return Sighting(name=name, side=at, during=during)

    names, lights = (FLOWER, THORN), (WARM, COLD)
    if kind == "light":
        return [[(bit, Cues(kind=kind, light=light)) for bit, light in enumerate(lights)]]
    if kind == "both":
        cells = [(i, j) for i in range(2) for j in range(2)]
        return [[(i ^ j, Cues(kind=kind, light=lights[j], objects=(seen(names[i]),))) for i, j in cells]]
    if kind == "order":
        orders = ((THORN, FLOWER), (FLOWER, THORN))
        shown = [
            tuple(seen(name, half) for name, half in zip(order, HALVES, strict=True)) for order in orders
        ]
        return [[(bit, Cues(kind=kind, objects=objects)) for bit, objects in enumerate(shown)]]
    if kind == "gaze":
        shown = [(seen(name, at=RIGHT),) for name in names]
        return [
            [(bit ^ away, Cues(kind=kind, objects=shown[bit], gaze=gaze)) for bit in range(2)]
            for away, gaze in enumerate((RIGHT, LEFT))
        ]
    during = quarter if kind == "moment" else ALWAYS
    return [[(bit, Cues(kind=kind, objects=(seen(name, during),))) for bit, name in enumerate(names)]]


def _bystander(classes: Sequence[str], rng: np.random.Generator) -> Bystander | None:
    """Return a second person, drawn without regard to the label, or none."""
    size = _SIZES[int(rng.integers(len(_SIZES)))]
    expression, side = classes[int(rng.integers(len(classes)))], SIDES[int(rng.integers(len(SIDES)))]
    return Bystander(size=size, expression=expression, side=side) if size else None

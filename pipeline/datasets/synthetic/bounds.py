"""Best accuracy of a reading of the drawn clips: of a predictor that perceives some aspects of a clip only.

All numbers are counted over the test clips of a plan, without any pixel. A reading perceives its aspects
without error, and knows the plan. Its best rule predicts the most frequent label of what it perceives.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

from pipeline.datasets.synthetic.cues import Cues
from pipeline.datasets.synthetic.plan import PlannedClip

_Count = Mapping[Hashable, Counter[str]]

ASPECTS: Mapping[str, Callable[[PlannedClip, Cues], Hashable]] = {
    "expression": lambda clip, _: tuple(sorted(filter(None, (clip.label, clip.other_class)))),
    "gaze": lambda _, cues: cues.gaze,
    "light": lambda _, cues: cues.light,
    "objects": lambda _, cues: tuple(sorted(seen.name for seen in cues.objects)),
    "times": lambda _, cues: tuple(sorted((seen.name, seen.during) for seen in cues.objects)),
}
"""Aspect of a clip -> its value. ``times`` names the objects too. The side of an object never counts."""

_FACE, _OBJECTS = ("expression", "gaze"), ("objects", "times")

READINGS: Mapping[str, tuple[str, ...]] = {
    "face": _FACE,
    "scene": ("light", *_OBJECTS),
    "face and light": (*_FACE, "light"),
    "face and objects": (*_FACE, *_OBJECTS),
    "all without order in time": (*_FACE, "light", "objects"),
    "all without gaze": ("expression", "light", *_OBJECTS),
    "all": (*_FACE, "light", *_OBJECTS),
}
"""Name of a reading -> the aspects that it perceives and combines without limit."""


def best_accuracy(clips: Sequence[PlannedClip], aspects: Iterable[str]) -> float:
    """Return the best accuracy, 0 to 1, on the test clips of a predictor that perceives these aspects.

    Args:
        clips: Every clip of a set of the version ``combined``.
        aspects: Keys of ASPECTS; none for the accuracy of chance.

    Raises:
        ValueError: A clip has no cues, or there is no test clip.
    """
    chosen = [ASPECTS[name] for name in aspects]
    labels: dict[Hashable, Counter[str]] = defaultdict(Counter)
    for clip, cues in _test_clips(clips):
        labels[tuple(value(clip, cues) for value in chosen)][clip.label] += 1
    return sum(max(counts.values()) for counts in labels.values()) / _total(labels)


def additive_accuracy(
    clips: Sequence[PlannedClip], *, is_ordered: bool = True, is_scene_combined: bool = False
) -> float:
    """Return the best accuracy, 0 to 1, on the test clips of a predictor that only adds what it perceives.

    Its score of a class is a sum: a function of the face, one of the objects and one of the light. It
    predicts the class of the largest score. Average pooling followed by a linear layer is such a predictor
    if each stream gives one vector (then `is_scene_combined`, because one encoder sees object and light).

    The two classes of a pair differ in score by a threshold on u(object) + v(light). The cues ``both``, the
    exclusive or of both, have four equally frequent cells, of which a threshold on a sum gets at most three
    right. It can do so and read single objects and single lights correctly. The same holds for ``gaze``,
    with the person's gaze and the object. So in each pair the smallest cell is lost.

    Args:
        clips: Every clip of a set of the version ``combined``.
        is_ordered: Whether the order in time is perceived. Without it, half of the cues ``order`` are lost.
        is_scene_combined: Whether object and light are combined without limit before they are added to the
            face.

    Raises:
        ValueError: A clip has no cues, or there is no test clip.
    """
    cells: dict[tuple[str, Hashable], Counter[Hashable]] = defaultdict(Counter)
    orders: dict[Hashable, Counter[str]] = defaultdict(Counter)
    right, total = 0, 0
    for clip, cues in _test_clips(clips):
        total += 1
        pair = ASPECTS["expression"](clip, cues)
        if clip.ambiguous and (cues.kind == "gaze" or (cues.kind == "both" and not is_scene_combined)):
            names = ("gaze", "objects") if cues.kind == "gaze" else ("objects", "light")
            cells[cues.kind, pair][tuple(ASPECTS[name](clip, cues) for name in names)] += 1
        elif clip.ambiguous and cues.kind == "order" and not is_ordered:
            orders[pair][clip.label] += 1
        else:
            right += 1
    right += sum(counts.total() - min(counts.values()) for counts in cells.values())
    right += sum(max(counts.values()) for counts in orders.values())
    return right / total


def all_bounds(clips: Sequence[PlannedClip]) -> dict[str, float]:
    """Return the best accuracy of every reading, by name. Raises ValueError as `best_accuracy`."""
    return {
        "chance": best_accuracy(clips, ()),
        **{name: best_accuracy(clips, aspects) for name, aspects in READINGS.items()},
        "all, added": additive_accuracy(clips),
        "all without order in time, added": additive_accuracy(clips, is_ordered=False),
        "face and combined scene, added": additive_accuracy(clips, is_scene_combined=True),
    }


def _test_clips(clips: Sequence[PlannedClip]) -> list[tuple[PlannedClip, Cues]]:
    held_out = [clip for clip in clips if clip.split == "test"]
    found = [(clip, clip.cues) for clip in held_out if clip.cues is not None]
    if not found or len(found) < len(held_out):
        msg = f"{len(found)} of {len(held_out)} test clips have cues; the version combined gives them to all."
        raise ValueError(msg)
    return found


def _total(labels: _Count) -> int:
    return sum(counts.total() for counts in labels.values())

"""A data set under the class and fold names of a cache, where they are the same in other spellings."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from pipeline.datasets.spelling import fold_meaning_of, meaning_of, shown
from pipeline.errors import some
from pipeline.types import DatasetIndex


def under_names(
    index: DatasetIndex, class_names: tuple[str, ...], fold_names: tuple[str, ...]
) -> tuple[DatasetIndex, tuple[str, ...]]:
    """Return the index with these names, in their order, and notes of what is spelt in another way.

    A list that has grown may spell a class as its cache does not ("Happy", "happiness"): that is the same
    class, and the cache keeps its name. Names that mean something else stay, and so does the index then.
    """
    if (index.class_names, index.fold_names) == (class_names, fold_names):
        return index, ()
    classes = _places(index.class_names, class_names, meaning_of)
    folds = _places(index.fold_names, fold_names, fold_meaning_of)
    if classes is None or folds is None:
        return index, ()
    clips = tuple(
        replace(
            clip,
            label=classes.index(clip.label) if clip.label >= 0 else -1,
            splits=tuple(clip.splits[place] for place in folds),
            votes=None if clip.votes is None else tuple(clip.votes[place] for place in classes),
        )
        for clip in index.clips
    )
    notes = (
        *_notes(index.class_names, class_names, classes, "class"),
        *_notes(index.fold_names, fold_names, folds, "fold"),
    )
    return replace(index, class_names=class_names, fold_names=fold_names, clips=clips), notes


def _places(here: Sequence[str], there: Sequence[str], meaning: Callable[[str], str]) -> list[int] | None:
    """For each name there, the place of the same name here; None unless each has one of its own."""
    place_of = {meaning(name): place for place, name in enumerate(here)}
    places = [place_of.get(meaning(name), -1) for name in there]
    return places if sorted(places) == list(range(len(here))) and len(place_of) == len(here) else None


def _notes(here: Sequence[str], there: Sequence[str], places: list[int], kind: str) -> list[str]:
    other = [
        f"{shown(here[place])} is {shown(name)} there"
        for name, place in zip(there, places, strict=True)
        if here[place] != name
    ]
    return [f"the cache keeps its {kind} names: {some(other)}"] if other else []

"""Index of a dataset with the class and fold names of a cache, if they are the same in other spellings."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from pipeline.datasets.spelling import fold_meaning_of, meaning_of, shown
from pipeline.errors import some
from pipeline.types import DatasetIndex


def under_names(
    index: DatasetIndex, class_names: tuple[str, ...], fold_names: tuple[str, ...]
) -> tuple[DatasetIndex, tuple[str, ...]]:
    """Return the index with the names of a cache.

    A list that has grown may spell a class in another way than its cache ("Happy", "happiness"). It is the
    same class, and the cache keeps its name. If any name means something else, the index is not changed.

    Args:
        index: The dataset as read.
        class_names: Classes of the cache, in its order.
        fold_names: Folds of the cache, in its order.

    Returns:
        The index, and notes on names in other spellings.
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


def keep_names(
    index: DatasetIndex, class_names: tuple[str, ...], fold_names: tuple[str, ...]
) -> tuple[DatasetIndex, tuple[str, ...]]:
    """Return the index with the names that a cache has for its classes and folds, and with further ones.

    It is like `under_names`, but classes and folds that the cache lacks are added. The names of a cache do
    not change, because runs that were trained on it refer to them.

    Args:
        index: The dataset as read.
        class_names: Classes of the cache, in its order.
        fold_names: Folds of the cache, in its order.

    Returns:
        The index, and notes on names in other spellings.
    """
    index, notes = under_names(index, class_names, fold_names)
    classes = _renamed(index.class_names, class_names, meaning_of)
    folds = _renamed(index.fold_names, fold_names, fold_meaning_of)
    places = range(len(classes)), range(len(folds))
    notes += (
        *_notes(index.class_names, classes, places[0], "class"),
        *_notes(index.fold_names, folds, places[1], "fold"),
    )
    return replace(index, class_names=classes, fold_names=folds), notes


def _renamed(here: tuple[str, ...], there: tuple[str, ...], meaning: Callable[[str], str]) -> tuple[str, ...]:
    """Return the names of `here` in the spelling of `there`; unchanged if two of `there` mean the same."""
    name_of = {meaning(name): name for name in there}
    if len(name_of) < len(there):
        return here
    return tuple(name if name in there else name_of.get(meaning(name), name) for name in here)


def _places(here: Sequence[str], there: Sequence[str], meaning: Callable[[str], str]) -> list[int] | None:
    """Return the index in `here` of each name of `there`; None unless they correspond one to one."""
    place_of = {meaning(name): place for place, name in enumerate(here)}
    places = [place_of.get(meaning(name), -1) for name in there]
    return places if sorted(places) == list(range(len(here))) and len(place_of) == len(here) else None


def _notes(here: Sequence[str], there: Sequence[str], places: Sequence[int], kind: str) -> list[str]:
    other = [
        f"{shown(here[place])} is {shown(name)} there"
        for name, place in zip(there, places, strict=True)
        if here[place] != name
    ]
    return [f"the cache keeps its {kind} names: {some(other)}"] if other else []

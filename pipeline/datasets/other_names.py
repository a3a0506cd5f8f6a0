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


def keep_names(
    index: DatasetIndex, class_names: tuple[str, ...], fold_names: tuple[str, ...]
) -> tuple[DatasetIndex, tuple[str, ...]]:
    """Return the index with each class and fold under the name that a cache has for it, and notes of those.

    As `under_names` where all are the same; classes or folds that the cache lacks are added to the others.
    A run that was trained on the cache fits it by the names of its classes, so these do not change.
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
    """The names here, each as it is spelt there; as they are where two there mean the same."""
    name_of = {meaning(name): name for name in there}
    if len(name_of) < len(there):
        return here
    return tuple(name if name in there else name_of.get(meaning(name), name) for name in here)


def _places(here: Sequence[str], there: Sequence[str], meaning: Callable[[str], str]) -> list[int] | None:
    """For each name there, the place of the same name here; None unless each has one of its own."""
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

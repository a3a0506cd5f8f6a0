"""Split and fold of a list, by the names of its file and of the directories around it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.datasets.splits import SPLIT_OF
from pipeline.types import Split

_SPLITS = {word: split for word, split in SPLIT_OF.items() if not word.startswith("dev")}
"""Without the words for development, because people keep their work in directories of these names."""

_WORDS = "|".join(sorted(_SPLITS, key=len, reverse=True))
_SPLIT = re.compile(rf"(?<![a-z])({_WORDS})(?![a-z])")
_FOLD = re.compile(r"(?<![a-z])(?:set|fold|split|fd)[ _-]?0*(\d{1,4})(?!\d)")
_NUMBER = re.compile(rf"(?<![a-z])(?:{_WORDS})[ _-]?0*(\d{{1,4}})(?!\d)|[ _-]0*(\d{{1,4}})$")
"""A number after the split, or at the end of a file's name: ``train_1``, ``dfew_train_01``, ``test1``."""

NO_FOLD = "no fold in the name"
"""Problem of a list whose names show its split, but no number that could be its fold."""


@dataclass(frozen=True, kw_only=True)
class ListName:
    """Fold and split of the list at `path`; None if its names do not show them. problem: why not."""

    path: Path
    fold: str | None
    split: Split | None
    problem: str = ""


def list_name(path: Path, num_parents: int, fold_names: Sequence[str]) -> ListName:
    """Find the split and the fold in the names of a file and of directories above it, nearest first.

    A number without ``set``, ``fold``, ``split`` or ``fd`` before it is a fold only in the file's own name,
    if no other name shows a fold and it is one of `fold_names`.

    Args:
        path: The list.
        num_parents: Number of directories whose names count.
        fold_names: Published folds. A dataset of one fold needs no fold in the name.
    """
    names = [name.lower() for name in (path.stem, *(parent.name for parent in path.parents[:num_parents]))]
    split = _split(names)
    if split is None:
        return ListName(path=path, fold=None, split=None, problem="no train or test in the name")
    if len(fold_names) == 1:
        return ListName(path=path, fold=fold_names[0], split=split)
    fold = next((found[1] for name in names if (found := _FOLD.search(name))), None)
    if fold is None and (number := _NUMBER.search(names[0])):
        fold = next(one for one in number.groups() if one)
        fold = fold if fold in fold_names else None
    if fold in fold_names:
        return ListName(path=path, fold=fold, split=split)
    problem = NO_FOLD if fold is None else f"fold {fold} in the name, which is not published"
    return ListName(path=path, fold=None, split=split, problem=problem)


def needed_names(fold_names: Sequence[str]) -> str:
    """Return the names that a list needs, as the end of a message."""
    if len(fold_names) == 1:
        return "Name the split, one list for each, as in train.csv."
    first = fold_names[0]
    return (
        f"Name the split and the fold, one list for each, as in set_{first}/train.csv or train_{first}.csv; "
        f"folds: {', '.join(fold_names)}."
    )


def _split(names: Sequence[str]) -> Split | None:
    for name in names:
        splits = {_SPLITS[word] for word in _SPLIT.findall(name)}
        if splits:
            return splits.pop() if len(splits) == 1 else None
    return None

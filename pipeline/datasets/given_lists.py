"""Which lists are read: the owner's in the tree, or those that the user names instead."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.datasets.names import on_one_line
from pipeline.errors import DatasetError
from pipeline.types import Split

_SPLITS = {
    "train": Split.TRAIN, "training": Split.TRAIN, "test": Split.TEST, "testing": Split.TEST,
    "val": Split.VALIDATION, "valid": Split.VALIDATION, "validation": Split.VALIDATION,
}  # fmt: skip
_SPLIT = re.compile(r"(?<![a-z])(" + "|".join(sorted(_SPLITS, key=len, reverse=True)) + r")(?![a-z])")
_FOLD = re.compile(r"(?<![a-z])(?:set|fold|split|fd)[ _-]?0*(\d{1,4})(?!\d)")
_SUFFIXES = (".csv", ".txt", ".tsv")
_MOST_FILES = 1000
_PARENTS = 2


def given_lists(
    lists: Iterable[str], fold_names: Sequence[str]
) -> tuple[list[tuple[Path, str, Split]], list[str]]:
    """The user's lists as (path, fold, split), and notes of files in named folders that are none.

    Fold and split are in the names of the file and of the folders around it, nearest first; a data set
    of one fold needs no fold's name. Raises DatasetError for a list that does not tell.
    """
    found: list[tuple[Path, str, Split]] = []
    left: list[str] = []
    for text in lists:
        path = Path(text).absolute()
        if path.is_dir():
            for file in _files(path):
                names = _names(file, len(file.relative_to(path).parts))
                if _split(names) is None:
                    left.append(file.name)
                else:
                    found.append(_placed(file, names, fold_names))
        elif path.is_file():
            found.append(_placed(path, _names(path, _PARENTS), fold_names))
        else:
            msg = f"--lists '{path}' is neither a file nor a folder; give a list, or a folder of lists."
            raise DatasetError(msg)
    if not found:
        named = ", ".join(f"'{text}'" for text in lists)
        msg = f"--lists {named}: no list there; files whose name or folder says train or test are needed."
        raise DatasetError(msg)
    shown = on_one_line(", ".join(left[:3]) + (", ..." if len(left) > 3 else ""))
    notes = [f"files in --lists whose names say neither train nor test are left alone: {shown}"]
    return found, notes if left else []


def _files(folder: Path) -> list[Path]:
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in _SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if len(files) > _MOST_FILES:
        msg = (
            f"--lists '{folder}' holds {len(files)} files; allowed: {_MOST_FILES}. Name the lists themselves."
        )
        raise DatasetError(msg)
    return files


def _names(path: Path, num_parents: int) -> list[str]:
    """Names of a file and of so many folders around it, nearest first."""
    return [name.lower() for name in (path.stem, *(parent.name for parent in path.parents[:num_parents]))]


def _split(names: Sequence[str]) -> Split | None:
    for name in names:
        splits = {_SPLITS[word] for word in _SPLIT.findall(name)}
        if splits:
            return splits.pop() if len(splits) == 1 else None
    return None


def _placed(path: Path, names: Sequence[str], fold_names: Sequence[str]) -> tuple[Path, str, Split]:
    split = _split(names)
    if split is None:
        msg = f"--lists '{path}': neither its name nor its folder says its split; call it train or test."
        raise DatasetError(msg)
    if len(fold_names) == 1:
        return path, fold_names[0], split
    told = next((found[1] for name in names if (found := _FOLD.search(name))), None)
    if told is None or told not in fold_names:
        said = (
            "neither its name nor its folder says its fold"
            if told is None
            else f"it is named after fold {told}"
        )
        msg = f"--lists '{path}': {said}; allowed: set_{fold_names[0]} to set_{fold_names[-1]} in a name."
        raise DatasetError(msg)
    return path, told, split

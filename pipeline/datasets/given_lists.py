"""Which lists are read: the owner's in the tree, or those that the user names instead."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.datasets.splits import SPLIT_OF
from pipeline.errors import DatasetError, printable, some
from pipeline.types import Split

_SPLITS = {word: split for word, split in SPLIT_OF.items() if not word.startswith("dev")}
"""Without the words for development, because people keep their work in directories of these names."""

_SPLIT = re.compile(r"(?<![a-z])(" + "|".join(sorted(_SPLITS, key=len, reverse=True)) + r")(?![a-z])")
_FOLD = re.compile(r"(?<![a-z])(?:set|fold|split|fd)[ _-]?0*(\d{1,4})(?!\d)")
_SUFFIXES = (".csv", ".txt", ".tsv")
_MOST_FILES = 1000
_PARENTS = 2


def given_lists(
    lists: Iterable[str], fold_names: Sequence[str]
) -> tuple[list[tuple[Path, str, Split]], list[str]]:
    """Return the user's lists as (path, fold, split), and notes of files in named folders that are none.

    Fold and split are in the names of the file and of the folders around it, nearest first; a data set
    of one fold needs no fold's name. In a folder, files that do not name both are left alone: projects keep
    the lists of several data sets side by side. Raises DatasetError for such a list that is named itself.
    """
    found: list[tuple[Path, str, Split]] = []
    left: list[str] = []
    for text in lists:
        path = Path(text).absolute()
        if path.is_dir():
            for file in _files(path):
                fold, split, _ = _fold_and_split(_names(file, len(file.relative_to(path).parts)), fold_names)
                if fold is None or split is None:
                    left.append(file.relative_to(path).as_posix())
                else:
                    found.append((file, fold, split))
        elif path.is_file():
            fold, split, problem = _fold_and_split(_names(path, _PARENTS), fold_names)
            if fold is None or split is None:
                msg = f"--lists '{path}': {problem}."
                raise DatasetError(msg)
            found.append((path, fold, split))
        else:
            msg = f"--lists '{path}' is neither a file nor a folder; give a list, or a folder of lists."
            raise DatasetError(msg)
    if not found:
        named = some([f"'{text}'" for text in lists])
        needed = "train or test" if len(fold_names) == 1 else "train or test, and set_1 or another fold,"
        msg = f"--lists {named}: no list there; {needed} in the names of files or their folders is needed."
        raise DatasetError(msg)
    kind = "split" if len(fold_names) == 1 else "split and fold"
    notes = [f"files in --lists that do not name their {kind} are left alone: {printable(some(left))}"]
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


def _fold_and_split(names: Sequence[str], fold_names: Sequence[str]) -> tuple[str | None, Split | None, str]:
    """What the names show, None for what they do not, and why that is a problem."""
    split = _split(names)
    if split is None:
        return None, None, "neither its name nor its folder shows its split; name it train or test"
    if len(fold_names) == 1:
        return fold_names[0], split, ""
    fold = next((found[1] for name in names if (found := _FOLD.search(name))), None)
    if fold in fold_names:
        return fold, split, ""
    shown = (
        "neither its name nor its folder shows its fold" if fold is None else f"it is named after fold {fold}"
    )
    return None, split, f"{shown}; allowed: set_{fold_names[0]} to set_{fold_names[-1]} in a name"

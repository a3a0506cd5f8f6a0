"""Choice of the lists that --lists names, with fold and split. Files there that are not lists are noted."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.datasets.label_counts import count_labels
from pipeline.datasets.list_names import NO_FOLD, ListName, list_name, needed_names
from pipeline.datasets.list_parser import read_list
from pipeline.datasets.official_counts import Published
from pipeline.errors import DatasetError, printable, some
from pipeline.types import Split

_SUFFIXES = (".csv", ".txt", ".tsv")
_NOT_READ = (".json", ".jsonl", ".xlsx", ".xls", ".pkl", ".parquet")
"""Suffixes of files that may hold a list but are not read; a message names them."""

_MOST_FILES = 1000
_PARENTS = 2
ClipId = Callable[[str], str | None]


def given_lists(
    lists: Iterable[str], published: Published, clip_id_of: ClipId
) -> tuple[list[tuple[Path, str, Split]], list[str]]:
    """Find the user's lists, with fold and split.

    Fold and split are in the names of the file and of the directories around it. If no list shows its fold,
    a train and a test list in one directory are of the one fold that has their class counts. Other files in
    a directory are left alone, because projects keep the lists of several datasets side by side.

    Args:
        lists: Files and directories that --lists names.
        published: Published folds and class counts of the dataset.
        clip_id_of: Returns the clip id of a name or path, None if it is no clip.

    Returns:
        The lists as (path, fold, split), and notes on files that are left alone.

    Raises:
        DatasetError: A list that is named itself has no fold or split, or no list is left.
    """
    fold_names = published.fold_names
    named, beside, shown = _seen(lists, fold_names)
    notes: list[str] = []
    if all(one.fold is None for one in (*named, *beside)):
        determined = _determined([*named, *beside], published, clip_id_of)
        named = [determined.get(one.path, one) for one in named]
        beside = [determined.get(one.path, one) for one in beside]
        notes += [
            f"'{printable(str(one.path))}' is read as fold {one.fold}: no name shows its fold, and only that "
            "fold has the class counts of both lists there"
            for one in determined.values()
            if one.fold is not None
        ]
    for one in named:
        if one.problem:
            msg = f"--lists '{one.path}': {one.problem}. {needed_names(fold_names)}"
            raise DatasetError(msg)
    found = [(one.path, one.fold, one.split) for one in (*named, *beside) if one.fold and one.split]
    left = _reasons([one for one in beside if one.problem], shown)
    if not found:
        given = some([f"'{text}'" for text in lists])
        msg = f"--lists {given}: no list there is read: {left or 'no files'}. {needed_names(fold_names)}"
        raise DatasetError(msg)
    return found, [*notes, *([f"files in --lists left alone: {left}"] if left else [])]


def _seen(
    lists: Iterable[str], fold_names: Sequence[str]
) -> tuple[list[ListName], list[ListName], dict[Path, str]]:
    """Return named lists, files in named directories, and the paths that messages show for the latter."""
    named: list[ListName] = []
    beside: list[ListName] = []
    shown: dict[Path, str] = {}
    for text in lists:
        path = Path(text).absolute()
        if path.is_dir():
            for file in _files(path):
                inside = file.relative_to(path)
                shown[file] = inside.as_posix()
                beside.append(_name(file, len(inside.parts), fold_names))
        elif path.is_file():
            named.append(_name(path, _PARENTS, fold_names))
        else:
            msg = f"--lists '{path}' is neither a file nor a directory; give a list, or a directory of lists."
            raise DatasetError(msg)
    return named, beside, shown


def _name(path: Path, num_parents: int, fold_names: Sequence[str]) -> ListName:
    if path.suffix.lower() in _NOT_READ:
        problem = f"{path.suffix} is not read; allowed: {', '.join(_SUFFIXES)}"
        return ListName(path=path, fold=None, split=None, problem=problem)
    return list_name(path, num_parents, fold_names)


def _files(folder: Path) -> list[Path]:
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in (*_SUFFIXES, *_NOT_READ)
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    num_lists = sum(path.suffix.lower() in _SUFFIXES for path in files)
    if num_lists > _MOST_FILES:
        msg = (
            f"--lists '{folder}' holds {num_lists} files; allowed: {_MOST_FILES}. Name the lists themselves."
        )
        raise DatasetError(msg)
    return files


def _reasons(left: Sequence[ListName], shown: Mapping[Path, str]) -> str:
    """Describe files that are left alone, by reason: ``a.csv, b.csv (no fold in the name)``."""
    by_problem: dict[str, list[str]] = {}
    for one in left:
        by_problem.setdefault(one.problem, []).append(shown[one.path])
    return printable(", ".join(f"{some(names)} ({problem})" for problem, names in by_problem.items()))


def _determined(seen: Sequence[ListName], published: Published, clip_id_of: ClipId) -> dict[Path, ListName]:
    """Return lists that show no fold, by path, with the fold of their class counts or a problem."""
    pairs: dict[Path, dict[Split, list[ListName]]] = {}
    for one in {one.path: one for one in seen}.values():
        if one.problem == NO_FOLD and one.split in (Split.TRAIN, Split.TEST):
            pairs.setdefault(one.path.parent, {}).setdefault(one.split, []).append(one)
    found: dict[Path, ListName] = {}
    for by_split in pairs.values():
        train, test = by_split.get(Split.TRAIN, []), by_split.get(Split.TEST, [])
        if len(train) == len(test) == 1:
            fold, problem = _fold_of(train[0].path, test[0].path, published, clip_id_of)
        else:
            fold, problem = (
                None,
                f"{NO_FOLD}, and {len(train)} train and {len(test)} test lists there",
            )
        for one in (*train, *test):
            found[one.path] = replace(one, fold=fold, problem=problem)
    with_fold = [one for one in found.values() if one.fold is not None]
    if len(with_fold) > 2:
        problem = f"{NO_FOLD}, and lists in several directories have the class counts of a fold"
        found |= {one.path: replace(one, fold=None, problem=problem) for one in with_fold}
    return found


def _fold_of(train: Path, test: Path, published: Published, clip_id_of: ClipId) -> tuple[str | None, str]:
    """Return the one published fold with the class counts of two lists, in any class order, or a problem."""
    counts = {}
    for split, path in (("train", train), ("test", test)):
        try:
            counts[split] = sorted(count_labels(read_list(path, clip_id_of).lines).values())
        except DatasetError as error:
            return None, f"{NO_FOLD}, and its counts cannot be read: {str(error).rstrip('.')}"
    folds = [
        fold
        for fold in published.fold_names
        if all(
            counts[split] == sorted(filter(None, published.classes.get((fold, split), ())))
            for split in counts
        )
    ]
    if len(folds) == 1:
        return folds[0], ""
    fits = f"folds {' and '.join(folds)}" if folds else "no published fold"
    return None, f"{NO_FOLD}, and the class counts fit {fits}"

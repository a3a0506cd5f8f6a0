"""Families of lists in one directory, such as MAFW's ``single`` and ``compound``. Only one can be read."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.datasets.label_encoding import ListInSplit
from pipeline.errors import DatasetError, some
from pipeline.types import Split


def require_one_family(
    split_lists: Sequence[ListInSplit], lists: Sequence[str], title: str, owners_place: str
) -> None:
    """Check that the directories of --lists hold one family of lists.

    Args:
        split_lists: The lists that were found.
        lists: Paths of --lists. A list that is named itself is not checked.
        title: Name of the dataset, for the message.
        owners_place: Pattern of the authors' lists below a root. Its directories show the family to propose.

    Raises:
        DatasetError: Paths of two lists of one fold and split differ in one directory alone.
    """
    named = {Path(text).absolute() for text in lists}
    roots = [path for path in named if path.is_dir()]
    seen: dict[tuple[str, Split], list[Path]] = {}
    for one in split_lists:
        if one.file.path not in named:
            seen.setdefault((one.fold, one.split), []).append(one.file.path)
    for paths in seen.values():
        for path in paths[1:]:
            place = _only_difference(paths[0], path)
            if place is not None and any(_is_below(paths[0], path, root, place) for root in roots):
                _refuse(paths, place, lists, title, owners_place)


def _only_difference(one: Path, other: Path) -> int | None:
    """Return the index of the one directory in which two paths differ; None if more or the files differ."""
    if len(one.parts) != len(other.parts) or one.name != other.name:
        return None
    places = [number for number, (a, b) in enumerate(zip(one.parts, other.parts, strict=True)) if a != b]
    return places[0] if len(places) == 1 else None


def _is_below(one: Path, other: Path, root: Path, place: int) -> bool:
    return one.is_relative_to(root) and other.is_relative_to(root) and place >= len(root.parts)


def _refuse(paths: Sequence[Path], place: int, lists: Sequence[str], title: str, owners_place: str) -> None:
    alike = [path for path in paths if _only_difference(paths[0], path) == place]
    families = sorted({Path(*path.parts[: place + 1]) for path in (paths[0], *alike)})
    own = [family for family in families if family.name in owners_place.split("/")]
    give = f"'{own[0]}', as the authors' lists of {title} are read" if len(own) == 1 else "one of them"
    given, found = ([f"'{path}'" for path in names] for names in (lists, families))
    msg = f"--lists {some(given)} holds families of lists of the same folds: {some(found)}. Give {give}."
    raise DatasetError(msg)

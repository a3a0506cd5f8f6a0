"""How much a data set may say, and where its files may lie: lists of clips are not to be trusted.

A file belongs to a data set when it lies in the set's folder once every symbolic link is followed.
The folder itself, and the manifest, are what the user named: they may be links.
"""

import io
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, BinaryIO, TextIO, TypeVar

from pipeline.errors import DatasetError, FileError, first_line, printable, some
from pipeline.plain_file import open_given
from pipeline.store.meta import MAX_NAME_LENGTH

MAX_NAMES = 1000
"""Classes, and folds: clips times folds are numbers that are held in memory and stored."""

MAX_ROWS = 5_000_000
"""Of a manifest: a million clips in five folds."""

MAX_BOX_ROWS = 200_000
"""Of a boxes file: two hours of video."""

_MAX_BOXES = 50_000_000
_MAX_LIST_BYTES = 512 << 20
_MAX_LINE = 1 << 20
_SHOWN = 50
"""Characters of a name that is too long."""

_T = TypeVar("_T")


def require_few_names(kind: str, names: Collection[str], where: Path) -> None:
    """Raise DatasetError for more classes or folds (`kind`, in the plural), or longer names, than allowed."""
    if len(names) > MAX_NAMES:
        msg = f"'{where}' has {len(names)} {kind} ({some(sorted(names))}); allowed: {MAX_NAMES}. Group them."
        raise DatasetError(msg)
    longest = max(names, key=len, default="")
    if len(longest) > MAX_NAME_LENGTH:
        msg = (
            f"'{where}': one of the names of {kind}, '{printable(longest[:_SHOWN])}...', has {len(longest)} "
            f"characters; allowed: {MAX_NAME_LENGTH}. Shorten it."
        )
        raise DatasetError(msg)


def require_readable_size(path: Path) -> None:
    """Raise DatasetError for a list that is no ordinary file, or too large to be held in memory."""
    if not path.is_file():
        msg = f"'{path}' is not a file; a CSV or JSONL list is needed."
        raise DatasetError(msg)
    num_bytes = path.stat().st_size
    if num_bytes > _MAX_LIST_BYTES:
        msg = (
            f"'{path}' has {num_bytes >> 20} MiB; allowed: {_MAX_LIST_BYTES >> 20} MiB, enough for millions "
            "of clips. Split it."
        )
        raise DatasetError(msg)


@contextmanager
def open_list(path: Path) -> Iterator[BinaryIO]:
    """Open a list. Raises DatasetError for what is no regular file, or too large, once it is open."""
    try:
        with open_given(path, _MAX_LIST_BYTES) as file:
            yield file
    except FileError as error:
        raise DatasetError(str(error)) from error


@contextmanager
def open_text(path: Path, encoding: str, newline: str = "") -> Iterator[TextIO]:
    """Open a list as text, as `open_list` does."""
    with open_list(path) as file, io.TextIOWrapper(file, encoding=encoding, newline=newline) as text:
        yield text


def lines_of(file: IO[str]) -> Iterator[str]:
    """The lines of a list. Raises ValueError for one so long that it is no line of a list."""
    while line := file.readline(_MAX_LINE + 1):
        if len(line) > _MAX_LINE:
            msg = f"a line has more than {_MAX_LINE} characters"
            raise ValueError(msg)
        yield line


def at_most(rows: Iterable[_T], largest: int, where: Path) -> list[_T]:
    """All the rows. Raises DatasetError when there are more than `largest`, without reading on."""
    held = list(islice(rows, largest + 1))
    if len(held) > largest:
        msg = f"'{where}' has more than {largest} rows, the most that is allowed. Split it."
        raise DatasetError(msg)
    return held


def require_few_boxes(num_boxes: int, where: Path) -> None:
    """Raise DatasetError for more face boxes, over all clips, than are held in memory."""
    if num_boxes > _MAX_BOXES:
        msg = f"'{where}' names more than {_MAX_BOXES} face boxes in all, the most allowed. Split it."
        raise DatasetError(msg)


class Folder:
    """A data set's folder, which its files must not leave by a symbolic link."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._real_root = os.path.realpath(root)
        self._real_parents: dict[str, str] = {}

    def way_out(self, path: str) -> str | None:
        """Where the file at `path`, relative to the folder, really lies, if that is outside; else None."""
        real = self._real(path)
        if os.path.islink(real):  # noqa: PTH114
            real = os.path.realpath(real)
        inside = self._real_root.rstrip("/") + "/"
        return None if f"{real}/".startswith(inside) else real

    def holds(self, path: str) -> bool:
        """Whether there is anything at `path`, relative to the folder: a file, a folder, a link."""
        return os.path.lexists(self._real(path))

    def names(self, path: str) -> list[str]:
        """The names in the folder at `path`, relative to this one; none where it is no folder, or outside."""
        if self.way_out(path) is not None:
            return []
        try:
            return os.listdir(self._real(path))  # noqa: PTH208 - of a million
        except OSError:
            return []

    def entries(self, path: str) -> list["os.DirEntry[str]"]:
        """Return what is in the folder at `path`, relative to this one, in order of the names.

        Raises DatasetError for one that cannot be listed.
        """
        try:
            with os.scandir(self.root / path) as listing:
                return sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            msg = f"'{printable(str(self.root / path))}' cannot be listed: {first_line(error)}."
            raise DatasetError(msg) from error

    def relative(self, path: str) -> str | None:
        """The absolute `path` relative to the folder, if it is inside by its text; else None."""
        for root in (os.path.abspath(self.root), self._real_root):  # noqa: PTH100 - keeps links
            inside = root.rstrip("/") + "/"
            if path.startswith(inside):
                return path[len(inside) :]
        return None

    def _real(self, path: str) -> str:
        """The place of `path` once the links to its folder are followed, but not the last part's own."""
        parent, name = os.path.split(os.path.join(self._real_root, path))  # noqa: PTH118, PTH206 - of a million
        if parent not in self._real_parents:
            self._real_parents[parent] = os.path.realpath(parent)
        return os.path.join(self._real_parents[parent], name)  # noqa: PTH118

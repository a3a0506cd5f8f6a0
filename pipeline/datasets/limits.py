"""Limits on the size of lists and the place of files, because lists of clips may be hostile.

A file belongs to a dataset if it is in the dataset's directory after every symbolic link is followed.
The directory itself and the manifest may be links, because the user named them.
"""

import io
import os
import stat
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, BinaryIO, TextIO, TypeVar

from pipeline.errors import DatasetError, FileError, first_line, printable, some
from pipeline.plain_file import open_given
from pipeline.store.meta import MAX_NAME_LENGTH

MAX_NAMES = 1000
"""Limit for classes and for folds. An array of clips times folds is held in memory and stored."""

MAX_ROWS = 5_000_000
"""Limit for rows of a manifest: a million clips in five folds."""

MAX_BOX_ROWS = 200_000
"""Limit for rows of a boxes file: two hours of video."""

_MAX_BOXES = 50_000_000
_MAX_LIST_BYTES = 512 << 20
_MAX_LINE = 1 << 20
_SHOWN = 50
"""Characters of a too long name that a message shows."""

_T = TypeVar("_T")


def require_few_names(kind: str, names: Collection[str], where: Path) -> None:
    """Check the number and the length of names.

    Args:
        kind: ``classes`` or ``folds``, for the message.
        names: Each once.
        where: File or directory that has them, for the message.

    Raises:
        DatasetError: There are more than MAX_NAMES, or one is longer than MAX_NAME_LENGTH.
    """
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
    """Raise DatasetError for a list that is not a regular file, or too large to be held in memory."""
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
    """Open a list. Raises DatasetError if the opened file is not a regular file, or too large."""
    try:
        with open_given(path, _MAX_LIST_BYTES) as file:
            yield file
    except FileError as error:
        raise DatasetError(str(error)) from error


@contextmanager
def open_text(path: Path, encoding: str, newline: str = "") -> Iterator[TextIO]:
    """Open a list as text, with the checks of `open_list`.

    Args:
        path: The list.
        encoding: Name of its encoding, as Python knows it.
        newline: As for `open`. By default, line ends are kept as they are.
    """
    with open_list(path) as file, io.TextIOWrapper(file, encoding=encoding, newline=newline) as text:
        yield text


def lines_of(file: IO[str]) -> Iterator[str]:
    """Yield the lines of a list. Raises ValueError for a line of more than 1 Mi characters."""
    while line := file.readline(_MAX_LINE + 1):
        if len(line) > _MAX_LINE:
            msg = f"a line has more than {_MAX_LINE} characters"
            raise ValueError(msg)
        yield line


def at_most(rows: Iterable[_T], largest: int, where: Path) -> list[_T]:
    """Return all rows as a list.

    Args:
        rows: Read up to the limit only.
        largest: Most rows that are allowed.
        where: Their file, for the message.

    Raises:
        DatasetError: There are more rows.
    """
    held = list(islice(rows, largest + 1))
    if len(held) > largest:
        msg = f"'{where}' has more than {largest} rows, the most that is allowed. Split it."
        raise DatasetError(msg)
    return held


def require_few_boxes(num_boxes: int, where: Path) -> None:
    """Raise DatasetError for more face boxes, over all clips, than are allowed in memory."""
    if num_boxes > _MAX_BOXES:
        msg = f"'{where}' names more than {_MAX_BOXES} face boxes in all, the most allowed. Split it."
        raise DatasetError(msg)


class Folder:
    """Directory of a dataset, which its files must not leave by a symbolic link."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._real_root = os.path.realpath(root)
        self._inside = self._real_root.rstrip("/") + "/"
        self._given_inside = os.path.abspath(root).rstrip("/") + "/"  # noqa: PTH100 - keeps links
        self._parents: dict[str, _Parent] = {}

    def way_out(self, path: str) -> str | None:
        """Return the real path of a file, given relative to the directory, if it is outside; else None."""
        return self.find(path)[1]

    def holds(self, path: str) -> bool:
        """Return whether a file, a directory or a link is at `path`, relative to the directory."""
        return self.find(path)[0]

    def find(self, path: str) -> tuple[bool, str | None]:
        """Return `holds` and `way_out` of a path, with a single access to the file system for most files."""
        parent, name = self._split(path)
        real, mode = f"{parent.prefix}{name}", 0
        if parent.exists:
            try:
                mode = os.lstat(real).st_mode
            except (OSError, ValueError):
                mode = 0
        if stat.S_ISLNK(mode):
            real = os.path.realpath(real)
        elif parent.is_inside:
            return mode != 0, None
        return mode != 0, None if f"{real}/".startswith(self._inside) else real

    def names(self, path: str) -> list[str]:
        """Return the names in a directory, given relative to this one; none if it is missing or outside."""
        if self.way_out(path) is not None:
            return []
        try:
            return os.listdir(self._real(path))  # noqa: PTH208 - of a million
        except OSError:
            return []

    def entries(self, path: str) -> list["os.DirEntry[str]"]:
        """Return the entries of the directory at `path`, relative to this one, sorted by name.

        Raises DatasetError if it cannot be listed.
        """
        try:
            with os.scandir(self.root / path) as listing:
                return sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            msg = f"'{printable(str(self.root / path))}' cannot be listed: {first_line(error)}."
            raise DatasetError(msg) from error

    def relative(self, path: str) -> str | None:
        """Return the absolute `path` relative to the directory, if its text is inside; else None."""
        for inside in (self._given_inside, self._inside):
            if path.startswith(inside):
                return path[len(inside) :]
        return None

    def _real(self, path: str) -> str:
        """Return `path` with the links of its directories followed, but not a link at its last part."""
        parent, name = self._split(path)
        return f"{parent.prefix}{name}"

    def _split(self, path: str) -> tuple["_Parent", str]:
        """Return the directory and the name of a path."""
        head, slash, name = path.rpartition("/")
        head = head or (slash if path.startswith("/") else "")
        parent = self._parents.get(head)
        if parent is None:
            real = os.path.realpath(os.path.join(self._real_root, head))  # noqa: PTH118 - keeps links
            prefix = real.rstrip("/") + "/"
            is_inside = prefix.startswith(self._inside)
            parent = _Parent(prefix, is_inside=is_inside, exists=os.path.lexists(real))
            self._parents[head] = parent
        return parent, name


@dataclass(frozen=True, slots=True)
class _Parent:
    """Directory of files: its real path up to the last '/', and whether it is in the dataset's directory.

    A directory that does not exist is looked up once, and not for each of its files.
    """

    prefix: str
    is_inside: bool
    exists: bool

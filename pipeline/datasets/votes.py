"""Votes of the annotators in a workbook: one row per clip, one column of counts per class.

DFEW's annotation.xlsx has the columns ``1happy ... 7fear``, then the clip's number (``order`` or
``clip_name``) and its class as a number from 1, or 0 if the votes do not agree (``label`` or ``annotation``).
"""

import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from python_calamine import CalamineError, load_workbook

from pipeline.datasets.emotions import class_of
from pipeline.errors import DatasetError, FileError, first_line
from pipeline.plain_file import open_given

_MAX_BYTES = 256 << 20
"""Limit for an unpacked workbook. One of 16,372 clips has a few MB."""

_FAR_CELL = re.compile(rb"""\br\s*=\s*["']([A-Za-z]{2,9}\d{1,9}|[A-Za-z]{1,9}0*[1-9]\d{5,9})""")
"""A cell beyond column Z or row 99,999."""

_TEXTS = "sharedstrings.xml"

_UNREADABLE = (
    OSError, FileError, ValueError, RuntimeError, EOFError, zlib.error, zipfile.BadZipFile, CalamineError,
)  # fmt: skip
"""Errors of zipfile and calamine for damaged files; NotImplementedError is a RuntimeError."""

_CLIP = ("order", "clip_name", "video_name", "clip", "name")
_LABEL = ("label", "annotation")
_LARGEST_VOTE = 1000
_NUMBERED = re.compile(r"[0-9]{1,4}(?=[^0-9])")


def sheet_votes(
    path: Path, class_names: Sequence[str], clip_id_of: Callable[[str], str | None]
) -> Mapping[str, tuple[int, ...]]:
    """Read the votes of a workbook.

    Args:
        path: The workbook (.xlsx).
        class_names: Classes in the order of the returned counts.
        clip_id_of: Returns the clip id of a name or number, None if it is no clip.

    Returns:
        By clip id, the number of votes for each class. Empty if there is no such file.

    Raises:
        DatasetError: The workbook cannot be read, or has no such columns.
    """
    return {clip_id: votes for clip_id, votes, _ in _rows(path, class_names, clip_id_of)}


def sheet_classes(
    path: Path, class_names: Sequence[str], clip_id_of: Callable[[str], str | None]
) -> Mapping[str, str]:
    """Read the classes of a workbook.

    Args:
        path: The workbook (.xlsx).
        class_names: Classes in the order of its numbers from 1.
        clip_id_of: Returns the clip id of a name or number, None if it is no clip.

    Returns:
        By clip id, the class on which the votes agree. Clips without agreement are left out.

    Raises:
        DatasetError: The workbook cannot be read, or has no such columns.
    """
    classes = {clip_id: label for clip_id, _, label in _rows(path, class_names, clip_id_of)}
    return {clip_id: class_names[label - 1] for clip_id, label in classes.items() if label}


def _rows(
    path: Path, class_names: Sequence[str], clip_id_of: Callable[[str], str | None]
) -> Iterator[tuple[str, tuple[int, ...], int]]:
    if not path.is_file():
        return
    table = _table(path)
    header = [str(cell).strip().lower() for cell in table[0]] if table else []
    columns = _columns(header, class_names, path)
    seen: dict[str, int] = {}
    for number, row in enumerate(table[1:], start=2):
        if all(cell == "" for cell in row):
            continue
        where = f"{path}, row {number}"
        *votes, name, label = [row[column] if column < len(row) else "" for column in columns]
        text = str(int(name)) if isinstance(name, float) and name.is_integer() else str(name).strip()
        clip_id = clip_id_of(text)
        if clip_id is None or clip_id in seen:
            problem = "is not a clip" if clip_id is None else f"is in row {seen[clip_id]} too"
            msg = f"{where}: '{text[:100]}' {problem}; one row per clip is needed."
            raise DatasetError(msg)
        seen[clip_id] = number
        counts = tuple(_whole(cell, _LARGEST_VOTE, f"{where}: the number of votes") for cell in votes)
        yield clip_id, counts, _whole(label, len(class_names), f"{where}: the label")


def _table(path: Path) -> list[list[Any]]:
    """Return all cells of the first sheet. Raises DatasetError for a damaged or too large workbook."""
    try:
        with open_given(path, _MAX_BYTES) as file, zipfile.ZipFile(file) as packed:
            unpacked = sum(member.file_size for member in packed.infolist())
            if unpacked > _MAX_BYTES:
                msg = f"'{path}' unpacks to {unpacked >> 20} MiB; allowed: {_MAX_BYTES >> 20} MiB."
                raise DatasetError(msg)
            parts = {name.lower(): packed.read(name) for name in packed.namelist()}
            file.seek(0)
            content = file.read()
        longest = max(
            (_longest_text(part) for name, part in parts.items() if name.endswith(_TEXTS)), default=0
        )
        for part in parts.values():
            _require_few_cells(part, longest, path)
        table: list[list[Any]] = load_workbook(io.BytesIO(content)).get_sheet_by_index(0).to_python()
    except _UNREADABLE as error:
        msg = f"'{path}' is not a workbook (.xlsx) that can be read: {first_line(error)}"
        raise DatasetError(msg) from error
    return table


def _longest_text(texts: bytes) -> int:
    """Return the number of bytes of the longest text that cells share."""
    return max(map(len, re.split(rb"</(?:\w+:)?si>", texts)))


def _require_few_cells(part: bytes, longest: int, path: Path) -> None:
    """Reject a table that would fill the memory, which would kill this process.

    Such a table has a cell in a far row or column, or many cells that share a text of `longest` bytes.
    """
    if far := _FAR_CELL.search(part):
        msg = f"'{path}' has a cell {far[1].decode()}; allowed: up to column Z, row 99999."
        raise DatasetError(msg)
    if part.count(b"<") * longest > _MAX_BYTES:
        msg = f"'{path}' has a text of {longest} bytes, too long for the number of its cells; shorten it."
        raise DatasetError(msg)


def _columns(header: Sequence[str], class_names: Sequence[str], path: Path) -> list[int]:
    """Return the columns of the votes of each class, of the clip and of its label."""
    classes = [class_of(name.lstrip("0123456789").strip(" _-.")) for name in header]
    places = [classes.index(name) if name in classes else None for name in class_names]
    clip = next((header.index(name) for name in _CLIP if name in header), None)
    label = next((header.index(name) for name in _LABEL if name in header), None)
    columns = [place for place in (*places, clip, label) if place is not None]
    if len(columns) < len(class_names) + 2:
        msg = (
            f"'{path}' has the columns {', '.join(header)[:200]!r}; needed: one per class "
            f"({', '.join(class_names)}), one of {', '.join(_CLIP)}, and one of {', '.join(_LABEL)}."
        )
        raise DatasetError(msg)
    for number, (place, class_name) in enumerate(zip(columns, class_names, strict=False), start=1):
        written = _NUMBERED.match(header[place])
        if written and int(written[0]) != number:
            msg = (
                f"'{path}' counts classes in another order: its column '{header[place][:100]}' is "
                f"{class_name}, which is number {number} here. Take the authors' workbook."
            )
            raise DatasetError(msg)
    return columns


def _whole(cell: Any, largest: int, name: str) -> int:
    """Return the whole number in a cell; 0 for an empty cell."""
    try:
        number = float(cell or 0)
    except (TypeError, ValueError):
        number = -1.0
    if not 0 <= number <= largest or number != int(number):
        msg = f"{name} is {str(cell)[:100]!r}; allowed: 0 to {largest}."
        raise DatasetError(msg)
    return int(number)


def most_voted(votes: Sequence[int]) -> int | None:
    """Return the index of the class that more than half of the annotators chose; None without one."""
    most = max(range(len(votes)), key=votes.__getitem__, default=0)
    return most if votes and 2 * votes[most] > sum(votes) else None


def contradicted(
    class_of_clip: Mapping[str, str], votes: Mapping[str, tuple[int, ...]], class_names: Sequence[str]
) -> tuple[dict[str, str], int]:
    """Find clips whose class is not the one that most annotators chose.

    Args:
        class_of_clip: Class by clip id.
        votes: Votes by clip id, one count per class.
        class_names: Classes in the order of the counts.

    Returns:
        By clip id, the class that most annotators chose, and the number of clips that could be compared.
    """
    wrong, compared = {}, 0
    for clip_id, name in class_of_clip.items():
        most = most_voted(votes.get(clip_id, ()))
        if most is None or name not in class_names:
            continue
        compared += 1
        if class_names[most] != name:
            wrong[clip_id] = class_names[most]
    return wrong, compared

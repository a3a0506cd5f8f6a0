"""Rows of a CSV or JSONL list, as texts by column, each with its file and line."""

import csv
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pipeline.datasets.limits import lines_of, open_text, require_readable_size
from pipeline.datasets.names import fits_one_line, folded
from pipeline.datasets.text_files import column_name, dialect_of, encoding_of, records, unreadable
from pipeline.errors import DatasetError, printable

BOX = ("x0", "y0", "x1", "y1")
SUBJECT_BOX = ("subject_x0", "subject_y0", "subject_x1", "subject_y1")
SUBJECT = ("subject_person", *SUBJECT_BOX, "subject_seconds")
REQUIRED = ("path",)
LIST_SUFFIXES = (".csv", ".tsv", ".jsonl")
"""Suffixes of lists of clips."""
TIMES = ("start_seconds", "end_seconds")
COLUMNS = (
    *REQUIRED, "label", "split", "clip_id", "fold", *BOX, "boxes", "box_units", "faces", *TIMES, "polarity",
    "group", *SUBJECT,
)  # fmt: skip
_NUMBERS = ("frame", *BOX, *TIMES, *SUBJECT)
_KNOWN = frozenset((*COLUMNS, *_NUMBERS, "class"))
"""Columns of all lists, boxes files and maps of polarities."""

LIKELY: Mapping[str, tuple[str, ...]] = {
    "path": ("file", "filename", "file_name", "file_path", "filepath", "video", "video_name", "video_path",
             "clip", "clip_name", "clip_path", "name"),
    "label": ("labels", "emotion", "emotions", "class", "class_name", "expression", "annotation", "category",
              "target"),
    "split": ("set", "subset", "usage", "partition", "phase"),
    "x0": ("xmin", "x_min", "left"), "y0": ("ymin", "y_min", "top"),
    "x1": ("xmax", "x_max", "right"), "y1": ("ymax", "y_max", "bottom"),
    "frame": ("frame_index", "frame_id", "frame_number", "index"),
    "start_seconds": ("start", "start_time", "begin", "onset"),
    "end_seconds": ("end", "end_time", "stop", "offset"),
    "fold": ("folds", "fold_id", "cv"), "boxes": ("boxes_file", "bbox_file"),
    "clip_id": ("id", "video_id"), "box_units": ("units",), "faces": ("face_path", "crops"),
    "polarity": ("valence", "sentiment", "sign"),
    "group": ("groups", "group_id", "subject", "subject_id", "subjects", "actor", "actor_id", "person",
              "person_id", "participant", "speaker", "speaker_id", "identity", "source", "source_video",
              "movie", "movie_id", "film", "session", "recording"),
    "subject_person": ("subject_number", "person_number"),
    "subject_seconds": ("subject_time", "subject_second"),
}  # fmt: skip
"""Columns -> their names in other projects, which messages propose. They are never read under these names."""

_LARGEST = {"frame": 1e9, "start_seconds": 1e9, "end_seconds": 1e9, "subject_seconds": 1e9}
_LARGEST_PX = 1e6
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d*,\d+\s*")
_JSONL_EXAMPLE = '{"path": "a.mp4", "label": "joy", "split": "train"}'
_SHOWN = 100
"""Characters of a wrong value that a message shows."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Header:
    """Names of the columns of a list, which its rows share. A name that occurs twice is the last column."""

    file: Path
    names: tuple[str, ...]
    place_of: Mapping[str, int]

    @classmethod
    def of(cls, file: Path, names: Sequence[str]) -> "Header":
        """Return the header of a list with these columns."""
        return cls(file, tuple(names), {name: place for place, name in enumerate(names)})


class Row:
    """Line of a manifest: its texts without outer blanks. A list may have millions of them.

    Args:
        header: Columns of the list.
        line: Number of the line, from 1.
        cells: One text per column.

    Raises:
        DatasetError: A text of a known column is not of one line.
    """

    __slots__ = ("_cells", "_place_of", "header", "line")

    def __init__(self, header: Header, line: int, cells: Sequence[str]) -> None:
        self.header, self.line, self._cells, self._place_of = header, line, cells, header.place_of
        if not fits_one_line(" ".join(cells)):
            for column, place in header.place_of.items():
                if column in _KNOWN and not fits_one_line(cells[place]):
                    raise self.wrong(column, "text of one line, without control characters")

    @property
    def where(self) -> str:
        """File and line, for messages."""
        return f"{self.header.file}, line {self.line}"

    @property
    def values(self) -> Mapping[str, str]:
        """Text by column."""
        return {name: self._cells[place] for name, place in self._place_of.items()}

    def has_any(self, columns: Iterable[str]) -> bool:
        """Return whether the list has any of these columns."""
        return not self._place_of.keys().isdisjoint(columns)

    def get(self, column: str) -> str:
        """Return the cell; empty if there is no such column."""
        place = self._place_of.get(column)
        return "" if place is None else self._cells[place]

    def under(self, header: Header) -> "Row":
        """Return the row with other names of its columns."""
        return Row(header, self.line, self._cells)

    def number(self, column: str) -> float:
        """Return the cell as a number. Raises DatasetError for other text and for numbers beyond _LARGEST."""
        try:
            value = float(self.get(column))
        except ValueError:
            value = math.nan
        largest = _LARGEST.get(column, _LARGEST_PX)
        if not abs(value) <= largest:
            raise self.wrong(column, f"a number, {largest:g} at most")
        return value

    def seconds(self, column: str) -> float | None:
        """Return the cell as a time in seconds; None if it is empty. Raises DatasetError for another one."""
        if not self.get(column):
            return None
        value = self.number(column)
        if value < 0:
            raise self.wrong(column, "seconds, 0 or more")
        return value

    def one_of(self, column: str, choices: Mapping[str, _T]) -> _T:
        """Return the choice that the cell names, in any case. Raises DatasetError for another text."""
        value = folded(self.get(column))
        if value not in choices:
            raise self.wrong(column, ", ".join(choice or "empty" for choice in choices))
        return choices[value]

    def wrong(self, column: str, allowed: str) -> DatasetError:
        """Return the error for a cell, with its place, its value and the allowed values."""
        return DatasetError(f"{self.where}: {column} is {self.get(column)[:_SHOWN]!r}; allowed: {allowed}.")


def csv_rows(path: Path, required: tuple[str, ...]) -> Iterator[Row]:
    """Yield the rows of a CSV file, which must have the `required` columns.

    Columns are separated by comma, semicolon, tab or ``|``. With semicolons, numbers may have decimal commas.
    The encoding is UTF-8, or that of a byte order mark. Rows without any text, and columns without a name
    at the end, are left out. Raises DatasetError with the line where a row begins.
    """
    try:
        dialect = dialect_of(path, _KNOWN)
        rows = records(path, dialect)
        _, header = next(rows, (0, []))
        names = column_names(header)
        _require_columns(names, required, str(path))
        shared = Header.of(path, names)
        for number, cells in rows:
            if len(cells) != len(names):
                if len(cells) < len(names) or any(cell.strip() for cell in cells[len(names) :]):
                    msg = (
                        f"{path}, line {number}: the row has more or fewer cells than the {len(names)} of "
                        "the header."
                    )
                    raise DatasetError(msg)
                cells = cells[: len(names)]
            texts = [cell.strip() for cell in cells]
            yield Row(shared, number, _with_points(names, texts) if dialect.has_decimal_commas else texts)
    except (OSError, ValueError, csv.Error) as error:
        raise unreadable(path, "CSV file", error) from error


def list_rows(path: Path) -> Iterator[Row]:
    """Return the rows of a list of clips, by its suffix, which must have the column ``path``.

    Raises DatasetError, for a list that is no file or too large before the first row.
    """
    require_readable_size(path)
    return jsonl_rows(path) if path.suffix.lower() == ".jsonl" else csv_rows(path, REQUIRED)


def jsonl_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a manifest of one JSON object per line. Raises DatasetError."""
    try:
        with open_text(path, encoding_of(path), newline="\n") as file:
            headers: dict[tuple[str, ...], Header] = {}
            for number, line in enumerate(lines_of(file), start=1):
                if line.strip():
                    values = _jsonl_object(line, f"{path}, line {number}")
                    if (written := tuple(values)) not in headers:
                        names = column_names(written)
                        _require_columns(names, REQUIRED, f"{path}, line {number}")
                        headers[written] = Header.of(path, names)
                    texts = ["" if value is None else str(value).strip() for value in values.values()]
                    yield Row(headers[written], number, texts)
    except (OSError, ValueError) as error:
        raise unreadable(path, "JSONL list", error) from error


def column_names(header: Sequence[str]) -> list[str]:
    """Return the names of a header without empty ones at its end.

    A known column may be written in another case or with blanks (``Path``, ``start seconds``), unless the
    header has its plain name too.
    """
    names = [name.strip() for name in header]
    names = [name if (plain := column_name(name, _KNOWN)) in names else plain for name in names]
    while names and not names[-1]:
        names.pop()
    return names


def unread_columns(names: Sequence[str]) -> list[str]:
    """Return the columns that no manifest has, each with the known column that may be meant."""
    likely = {other: name for name, others in LIKELY.items() for other in others if name in COLUMNS}
    unread = [name for name in names if name and name not in COLUMNS]
    return [
        f"{printable(name)} ({likely[plain]}?)" if (plain := folded(name)) in likely else printable(name)
        for name in unread
    ]


def _with_points(names: Sequence[str], cells: Sequence[str]) -> list[str]:
    """Return the cells, with decimal points for the decimal commas of numbers."""
    return [
        cell.replace(",", ".") if name in _NUMBERS and _DECIMAL_COMMA.fullmatch(cell) else cell
        for name, cell in zip(names, cells, strict=True)
    ]


def _jsonl_object(line: str, where: str) -> dict[str, Any]:
    try:
        values: Any = json.loads(line, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        msg = f"{where}: not JSON: {error}"
        raise DatasetError(msg) from error
    nested = isinstance(values, dict) and any(isinstance(v, list | dict) for v in values.values())
    if nested or not isinstance(values, dict):
        msg = f"{where}: one flat object per line is needed, such as {_JSONL_EXAMPLE}."
        raise DatasetError(msg)
    return values


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        msg = "a name occurs twice in one object"
        raise ValueError(msg)
    return values


def _require_columns(names: list[str], required: tuple[str, ...], where: str) -> None:
    missing = [name for name in required if name not in names]
    if missing:
        there = printable(", ".join(names)) or "none"
        of_manifest = ("label", "split") if required == REQUIRED else ()
        wanted = [*missing, *(name for name in of_manifest if name not in names)]
        msg = f"{where}: no column {', '.join(missing)}; columns there: {there}.{_hint(names, wanted)}"
        raise DatasetError(msg)
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        msg = f"{where}: column {printable(', '.join(twice))} occurs twice; once is allowed."
        raise DatasetError(msg)
    for columns in (BOX, SUBJECT_BOX):
        box = [name for name in columns if name in names]
        if box and len(box) < len(columns):
            msg = (
                f"{where}: of the box columns only {', '.join(box)}; all of {', '.join(columns)} are needed."
            )
            raise DatasetError(msg)


def _hint(names: list[str], missing: list[str]) -> str:
    """Return the remedy for missing columns: rename others, or write a header."""
    plain = {folded(name): name for name in names}
    renamed = [
        f"'{printable(plain[other])}' to '{name}'"
        for name in missing
        if (other := next((one for one in LIKELY.get(name, ()) if one in plain), None))
    ]
    if renamed:
        return f" Rename {' and '.join(renamed)}."
    if not any(name in _KNOWN for name in names):
        return " The first line needs to name the columns."
    return ""

"""The rows of a CSV or JSONL list, as texts by column; each knows its file and line."""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.datasets.bounds import lines_of
from pipeline.datasets.names import fits_one_line, on_one_line
from pipeline.errors import DatasetError

BOX = ("x0", "y0", "x1", "y1")
REQUIRED = ("path",)
COLUMNS = (
    *REQUIRED, "label", "split", "clip_id", "fold", *BOX, "boxes", "faces", "start_seconds", "end_seconds",
    "polarity",
)  # fmt: skip
_JSONL_EXAMPLE = '{"path": "a.mp4", "label": "joy", "split": "train"}'
_SHOWN = 100
"""Characters of a wrong value that a message shows."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a manifest, its values as text; `where` names file and line for messages."""

    where: str
    values: Mapping[str, str]

    def __post_init__(self) -> None:
        for column in (*COLUMNS, "frame"):
            if not fits_one_line(self.get(column)):
                raise self.wrong(column, "text of one line, without control characters")

    def get(self, column: str) -> str:
        """The cell, without blanks around it; empty where there is no such column."""
        return self.values.get(column, "").strip()

    def wrong(self, column: str, allowed: str) -> DatasetError:
        """The error that names the cell, its value and what is allowed."""
        return DatasetError(f"{self.where}: {column} is {self.get(column)[:_SHOWN]!r}; allowed: {allowed}.")


def csv_rows(path: Path, required: tuple[str, ...]) -> Iterator[Row]:
    """The rows of a CSV file, which must have the `required` columns. Raises DatasetError."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(lines_of(file), strict=True)
            names = [name.strip() for name in reader.fieldnames or ()]
            _require_columns(names, required, str(path))
            reader.fieldnames = names
            for values in reader:
                where = f"{path}, line {reader.line_num}"
                if None in values or None in values.values():
                    msg = f"{where}: the row has more or fewer cells than the {len(names)} of the header."
                    raise DatasetError(msg)
                yield Row(where=where, values=values)
    except (OSError, ValueError, csv.Error) as error:
        msg = f"'{path}' is not a CSV file in UTF-8 that can be read: {error}"
        raise DatasetError(msg) from error


def jsonl_rows(path: Path) -> Iterator[Row]:
    """The rows of a manifest of one JSON object per line. Raises DatasetError."""
    try:
        with path.open(newline="\n", encoding="utf-8-sig") as file:
            for number, line in enumerate(lines_of(file), start=1):
                if line.strip():
                    yield _jsonl_row(line, f"{path}, line {number}")
    except (OSError, ValueError) as error:
        msg = f"'{path}' is not text in UTF-8 that can be read: {error}"
        raise DatasetError(msg) from error


def _jsonl_row(line: str, where: str) -> Row:
    try:
        values: Any = json.loads(line, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        msg = f"{where}: not JSON: {error}"
        raise DatasetError(msg) from error
    nested = isinstance(values, dict) and any(isinstance(v, list | dict) for v in values.values())
    if nested or not isinstance(values, dict):
        msg = f"{where}: one flat object per line is needed, such as {_JSONL_EXAMPLE}."
        raise DatasetError(msg)
    _require_columns(list(values), REQUIRED, where)
    return Row(where=where, values={k: "" if v is None else str(v) for k, v in values.items()})


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        msg = "a name stands twice in one object"
        raise ValueError(msg)
    return values


def _require_columns(names: list[str], required: tuple[str, ...], where: str) -> None:
    missing = [name for name in required if name not in names]
    if missing:
        there = on_one_line(", ".join(names)) or "none"
        msg = f"{where}: no column {', '.join(missing)}; columns there: {there}."
        raise DatasetError(msg)
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        msg = f"{where}: column {on_one_line(', '.join(twice))} stands there twice; once is allowed."
        raise DatasetError(msg)
    box = [name for name in BOX if name in names]
    if box and len(box) < len(BOX):
        msg = f"{where}: of the box columns only {', '.join(box)}; all of {', '.join(BOX)} are needed."
        raise DatasetError(msg)

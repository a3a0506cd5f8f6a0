"""Rows of cells -> the lines of a CSV file, and back.

Every file is UTF-8 with commas, points in numbers, line ends of one character, and one header. An empty cell
is a value that there is not. A text that a spreadsheet would take for a formula has an apostrophe before it.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from pipeline.errors import printable

Cell = str | float | int | bool | None
Row = Sequence[Cell]

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
"""Start of a text that a spreadsheet would take for a formula, or of one that would be read back as such."""


def csv_lines(header: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    """Yield the header and the rows as lines of a CSV file."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    for row in chain([header], rows):
        buffer.seek(0)
        buffer.truncate()
        writer.writerow([_cell(value) for value in row])
        yield buffer.getvalue()


def _cell(value: Cell) -> str | float | int:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if _FORMULA.match(text) else text


def csv_rows(text: str) -> Iterator[dict[str, str]]:
    """Yield the rows of `csv_lines` by column, as texts. Raises ValueError for another text."""
    try:
        header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    except csv.Error as error:
        raise ValueError(str(error)) from error
    for row in rows:
        yield dict(zip(header, map(_plain, row), strict=True))


def _plain(text: str) -> str:
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text

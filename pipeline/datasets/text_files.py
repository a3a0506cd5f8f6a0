"""Encoding of a list, and the column separator of a CSV file."""

import csv
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pipeline.datasets.limits import lines_of, open_list, open_text
from pipeline.datasets.names import folded
from pipeline.errors import DatasetError, first_line

_MARKS = {
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
"""Byte order marks: spreadsheets write the first for "CSV UTF-8", the fourth for "Unicode text"."""

_DELIMITERS = (",", ";", "\t", "|")
_SEPARATOR_LINE = re.compile(r"\"?sep=([,;\t|: ])\"?[,;]*", re.IGNORECASE)
"""A line before the header that names the delimiter, for Excel."""

_UTF8 = "save it in UTF-8 (in Excel: 'CSV UTF-8'; elsewhere: iconv -f CODE -t UTF-8, with its present CODE)"


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """Form of a CSV file. num_skipped: number of lines before the header."""

    encoding: str
    delimiter: str
    num_skipped: int

    @property
    def has_decimal_commas(self) -> bool:
        """Whether a comma in a number is its decimal point, because semicolons separate the columns."""
        return self.delimiter == ";"


def encoding_of(path: Path) -> str:
    """Return the encoding of a list by its byte order mark, UTF-8 without one. Raises DatasetError."""
    with open_list(path) as file:
        start = file.read(4)
    for mark, encoding in _MARKS.items():
        if start.startswith(mark):
            return encoding
    if len(start) == 4 and any(start[::2]) != any(start[1::2]):
        msg = f"'{path}' looks like UTF-16 without a byte order mark; {_UTF8}."
        raise DatasetError(msg)
    return "utf-8"


def unreadable(path: Path, kind: str, error: Exception) -> DatasetError:
    """Return the error for a list that does not decode or parse, with its first wrong line if known.

    Args:
        path: The list.
        kind: Kind of file, for the message, such as ``CSV file``.
        error: What its reader raised.
    """
    if isinstance(error, UnicodeDecodeError):
        where = _first_undecodable(path) if error.encoding.startswith("utf-8") else f"'{path}'"
        return DatasetError(f"{where} is not {error.encoding.upper()} text: {error.reason}; {_UTF8}.")
    return DatasetError(f"'{path}' is not a {kind} that can be read: {first_line(error)}")


def dialect_of(path: Path, known: Collection[str]) -> Dialect:
    """Find the delimiter of a CSV file, which separates most of the `known` columns in its header.

    A line such as ``sep=;`` before the header names it. Raises DatasetError, OSError or ValueError.
    """
    encoding = encoding_of(path)
    with open_text(path, encoding) as file:
        for number, line in enumerate(lines_of(file)):
            text = line.strip()
            if named := named_delimiter(line):
                return Dialect(encoding=encoding, delimiter=named, num_skipped=number + 1)
            if text:
                found = max(_DELIMITERS, key=lambda one: _num_known(text, one, known))
                return Dialect(encoding=encoding, delimiter=found, num_skipped=number)
    return Dialect(encoding=encoding, delimiter=",", num_skipped=0)


def named_delimiter(line: str) -> str:
    """Return the delimiter that a line such as ``sep=;`` names; empty for any other line."""
    named = _SEPARATOR_LINE.fullmatch(line.strip("\r\n "))
    return named[1] if named else ""


def records(path: Path, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a CSV file that hold any text, as the line where each begins and its cells.

    The first row is the header. Raises DatasetError, OSError, ValueError or csv.Error.
    """
    with open_text(path, dialect.encoding) as file:
        lines = islice(lines_of(file), dialect.num_skipped, None)
        reader = csv.reader(lines, delimiter=dialect.delimiter, skipinitialspace=True, strict=True)
        first = dialect.num_skipped + 1
        while True:
            try:
                cells = next(reader, None)
            except csv.Error as error:
                msg = f"{path}, line {first}: not a row of a CSV file: {error}."
                raise DatasetError(msg) from error
            if cells is None:
                return
            if any(map(str.strip, cells)):
                yield first, cells
            first = dialect.num_skipped + reader.line_num + 1


def _num_known(header: str, delimiter: str, known: Collection[str]) -> int:
    try:
        cells = next(csv.reader([header], delimiter=delimiter, skipinitialspace=True))
    except csv.Error:
        return 0
    return sum(column_name(cell, known) in known for cell in cells)


def column_name(written: str, known: Collection[str]) -> str:
    """Return the known column that a header cell names, whatever its case, blanks or hyphens.

    An unknown name is returned stripped.
    """
    plain = re.sub(r"[ -]+", "_", folded(written))
    return plain if plain in known else written.strip()


def _first_undecodable(path: Path) -> str:
    """Return the file and the number of the first line that is not UTF-8."""
    with open_list(path) as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return f"{path}, line {number}"
    return f"'{path}'"

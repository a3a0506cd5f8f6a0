"""Parser of lists of clips and labels, in the forms that projects publish. A form is recognised by content.

A line is ``path label`` or ``path frames label``, separated by commas, semicolons, tabs or blanks, with or
without a header. Examples are DFEW's ``video_name,label``, FERV39k's ``Action/Sad/0010 Sad``, MAFW's
``00025.mp4 anger``, DFER-CLIP's ``/data/DFEW_Frame_Face/00001 144 1``, S2D's ``video_name,labels``,
MAE-DFER's ``/data/frames/00025 0``, and ``path,id`` of others.
"""

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.datasets.emotions import class_of
from pipeline.datasets.limits import MAX_ROWS, at_most, lines_of, open_text, require_readable_size
from pipeline.datasets.names import fits_one_line
from pipeline.datasets.text_files import encoding_of, named_delimiter, unreadable
from pipeline.errors import DatasetError, counted

_SEPARATORS = {"\t": "tab", ";": "semicolon", ",": "comma"}
_CLIP = ("video_name", "clip_name", "path", "video", "clip", "name", "file", "filename", "file_name",
         "video_path", "clip_path", "file_path", "video_id", "clip_id", "folder")  # fmt: skip
_LABEL = ("label", "emotion", "class", "expression", "annotation", "category", "label_name", "class_name",
          "label_id", "class_id", "emotion_id", "id")  # fmt: skip
_FRAMES = ("num_frames", "frames", "frame_num", "n_frames", "frame_count", "length")
_WHOLE_FLOAT = re.compile(r"^(\d+)\.0*$")
_QUOTES = "\"'"
_SHOWN = 100
"""Characters of a wrong line that a message shows."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """Line of a list: its number, and its cells as texts. clip_id: None if `clip` is none of the dataset."""

    number: int
    clip: str
    clip_id: str | None
    label: str
    num_frames: int | None = None


@dataclass(frozen=True, kw_only=True)
class ListFile:
    """List as it is written.

    Attributes:
        path: The file.
        kind: Its format, in words.
        lines: Its lines, without the header.
        header: Cells of the header, empty without one. They are in lower case, with underscores between
            words: ``Video Name`` is video_name.
        has_crlf: Whether lines end in CRLF.
    """

    path: Path
    kind: str
    lines: tuple[Line, ...]
    header: tuple[str, ...]
    has_crlf: bool


def read_list(path: Path, clip_id_of: Callable[[str], str | None]) -> ListFile:
    """Read a list. `clip_id_of` distinguishes a clip's line from a header, so that no first line is lost.

    Raises DatasetError, with file and line, for a file that is not a list.
    """
    require_readable_size(path)
    texts, has_crlf = _texts(path)
    if not texts:
        msg = f"'{path}' lists no clips; lines of `path label` or `path frames label` are needed."
        raise DatasetError(msg)
    separator = _separator([text for _, text in texts])
    first_number, first = texts[0]
    cells = _cells(first, separator, f"{path}, line {first_number}")
    if _is_entry(cells, clip_id_of):
        header: tuple[str, ...] = ()
    else:
        header = tuple(map(_column_name, first.split() if separator == " " else cells))
    rows = [
        (number, _cells(text, separator, f"{path}, line {number}", header))
        for number, text in (texts[1:] if header else texts)
    ]
    places = _columns(header, rows[0][1] if rows else [], path) if header else None
    lines = [_line(cells, places, number, path, clip_id_of) for number, cells in rows]
    if not lines:
        msg = f"'{path}' holds a header ({', '.join(header)}) and no clips."
        raise DatasetError(msg)
    has_frames = any(line.num_frames is not None for line in lines)
    return ListFile(
        path=path,
        kind=_kind(separator, header, has_frames=has_frames),
        lines=tuple(lines),
        header=header,
        has_crlf=has_crlf,
    )


def _texts(path: Path) -> tuple[list[tuple[int, str]], bool]:
    """Return the lines that are not blank, with their numbers, and whether lines end in CRLF."""
    try:
        with open_text(path, encoding_of(path)) as file:
            raw = at_most(lines_of(file), MAX_ROWS, path)
    except (OSError, ValueError) as error:
        raise unreadable(path, "list", error) from error
    texts = [(number, text.strip(" \r\n")) for number, text in enumerate(raw, start=1) if text.strip()]
    if texts and named_delimiter(texts[0][1]):
        texts = texts[1:]
    for number, text in texts:
        if not fits_one_line(text.replace("\t", " ")):
            msg = f"{path}, line {number}: {text[:_SHOWN]!r} holds control characters; plain text is needed."
            raise DatasetError(msg)
    return texts, any(text.endswith("\r\n") for text in raw)


def _separator(texts: list[str]) -> str:
    """Return the separator that occurs in at least half of the lines; a blank if there is none."""
    for separator in _SEPARATORS:
        if 2 * sum(separator in text for text in texts) >= len(texts):
            return separator
    return " "


def _cells(text: str, separator: str, where: str, header: tuple[str, ...] = ()) -> list[str]:
    if separator != " ":
        tight = re.sub(rf'"\s+(?={separator})', '"', text)
        try:
            rows = csv.reader([tight], delimiter=separator, strict=True, skipinitialspace=True)
            return [cell.strip() for cell in next(rows)]
        except csv.Error as error:
            msg = f"{where}: {text[:_SHOWN]!r} is not a line of CSV: {error}"
            raise DatasetError(msg) from error
    last = text.rsplit(None, len(header) - 1 if header else 2)
    if not header and not (len(last) == 3 and last[1].isdecimal()):
        last = text.rsplit(None, 1)
    return [cell.strip(_QUOTES) for cell in last]


def _column_name(cell: str) -> str:
    """Return a cell of a header in lower case, with underscores between words."""
    return "_".join(re.split(r"[\s_.-]+", cell.strip().lower())).strip("_")


def _place(header: tuple[str, ...], names: tuple[str, ...]) -> list[int]:
    """Return the columns that have one of the names, or its plural, in the order of the names."""
    return [
        place
        for name in names
        for place, cell in enumerate(header)
        if cell in (name, f"{name}s", f"{name}es")
    ]


def _is_entry(cells: list[str], clip_id_of: Callable[[str], str | None]) -> bool:
    """Return whether a first line is a clip's: it names a clip of the dataset, or ends in a label."""
    is_label = cells[-1].isdecimal() or class_of(cells[-1]) is not None
    return is_label or any(clip_id_of(cell) is not None for cell in cells)


def _columns(header: tuple[str, ...], first_row: list[str], path: Path) -> tuple[int, int, int | None]:
    """Return the columns of clip, label and number of frames. A label column with names is preferred."""
    labels = _place(header, _LABEL)
    named = [place for place in labels if place < len(first_row) and class_of(first_row[place]) is not None]
    label = next(iter(named or labels), None)
    clip = next((place for place in _place(header, (*_CLIP, "id")) if place != label), None)
    if label is None or clip is None:
        lacks, allowed = ("label", _LABEL) if label is None else ("clip", _CLIP)
        msg = (
            f"{path}, line 1: {', '.join(header)[:_SHOWN]!r} names no clip of the dataset, and as a header "
            f"it has no column for the {lacks}; allowed: {', '.join(allowed)}."
        )
        raise DatasetError(msg)
    return clip, label, next(iter(_place(header, _FRAMES)), None)


def _line(
    cells: list[str],
    places: tuple[int, int, int | None] | None,
    number: int,
    path: Path,
    clip_id_of: Callable[[str], str | None],
) -> Line:
    where = f"{path}, line {number}"
    at = places or (0, len(cells) - 1, 1 if len(cells) == 3 else None)
    if len(cells) < 2 or (places is None and len(cells) > 3) or max(at[0], at[1], at[2] or 0) >= len(cells):
        msg = (
            f"{where}: {' '.join(cells)[:_SHOWN]!r} has {counted(len(cells), 'cell')}; allowed: a clip and "
            "its label, or a clip, its number of frames and its label."
        )
        raise DatasetError(msg)
    frames = "" if at[2] is None else _WHOLE_FLOAT.sub(r"\1", cells[at[2]])
    if frames and not (frames.isdecimal() and len(frames) < 10):
        msg = f"{where}: number of frames is {frames[:_SHOWN]!r}; allowed: a whole number, 0 or more."
        raise DatasetError(msg)
    return Line(
        number=number,
        clip=cells[at[0]],
        clip_id=clip_id_of(cells[at[0]]),
        label=_WHOLE_FLOAT.sub(r"\1", cells[at[1]]),
        num_frames=int(frames) if frames else None,
    )


def _kind(separator: str, header: tuple[str, ...], *, has_frames: bool) -> str:
    cells = "clip, frames, label" if has_frames else "clip, label"
    between = f"{_SEPARATORS[separator]}s" if separator in _SEPARATORS else "blanks"
    first = f"below the header {','.join(header)}" if header else "without a header"
    return f"{cells}, separated by {between}, {first}"

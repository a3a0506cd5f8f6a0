"""Face boxes of a manifest: one box in the clip's row, or a CSV file of boxes by frame; its named subject.

``box_units`` of the row gives their units: ``pixels`` of the upright frame (the default), or ``relative``
for fractions of its width and height. Boxes whose range does not fit the stated units are rejected.
"""

import math
import re
from pathlib import Path

import numpy as np

from pipeline.datasets.limits import MAX_BOX_ROWS, at_most, require_readable_size
from pipeline.datasets.rows import BOX, SUBJECT, SUBJECT_BOX, Row, csv_rows
from pipeline.errors import DatasetError
from pipeline.types import Floats, NamedSubject, ProvidedBoxes

_UNITS = {"": False, "pixels": False, "relative": True}
"""Text of ``box_units`` -> whether boxes are fractions."""

_OF_BOXES = (*BOX, "box_units")

_SIZES = " Are these x, y, width and height? Then x1 is x + width, and y1 is y + height."
"""Hint for a box that is empty as two corners, but not as a corner and a size."""

_PERSON = re.compile(r"[Pp]?([0-9]{1,6})(?:[.]0*)?")
"""Number of a person: `P2`, `2`, or `2.0` of a table with a column of floats."""

_LARGEST_FRACTION = 2.0
"""Limit between fractions and pixels. A face at the frame's edge has fractions beyond 0 to 1."""


def boxes_of_row(row: Row, boxes_path: Path | None) -> ProvidedBoxes | None:
    """Read the boxes that a row gives for its clip; None if it gives none.

    Args:
        row: A row of a manifest.
        boxes_path: The file that its column ``boxes`` names; None without one.

    Raises:
        DatasetError: A box is empty, incomplete or in other units than stated. The message has file and line.
    """
    if boxes_path is None and not row.has_any(_OF_BOXES):
        return None
    given = [column for column in BOX if row.get(column)]
    if given and boxes_path is not None:
        msg = f"{row.where}: both a box and a boxes file ('{row.get('boxes')}'); give one of them."
        raise DatasetError(msg)
    has_box = given or boxes_path is not None or any(row.get(column) for column in SUBJECT_BOX)
    if row.get("box_units") and not has_box:
        raise row.wrong("box_units", "none without a box or a boxes file")
    if boxes_path is not None:
        return _of_file(boxes_path, row)
    return _provided([row], None, row) if given else None


def subject_of_row(row: Row, start_seconds: float | None, end_seconds: float | None) -> NamedSubject | None:
    """Read the subject that a row names for its clip; None if it names none.

    Args:
        row: A row of a manifest.
        start_seconds: Start of the clip in its file, in seconds; None for the file's start.
        end_seconds: End of the clip in its file, in seconds; None for the file's end.

    Raises:
        DatasetError: The number is no number of a person, the box is invalid, its time is missing or outside
            the clip, or both a number and a box are given. The message has file and line.
    """
    if not row.has_any(SUBJECT):
        return None
    box = [column for column in SUBJECT_BOX if row.get(column)]
    if box and row.get("subject_person"):
        allowed = f"empty with a box ({', '.join(box)}), because one of them names the subject"
        raise row.wrong("subject_person", allowed)
    if row.get("subject_seconds") and not box:
        raise row.wrong("subject_seconds", f"empty without a box ({', '.join(SUBJECT_BOX)})")
    if row.get("subject_person"):
        number = _PERSON.fullmatch(row.get("subject_person"))
        if number is None or int(number[1]) < 1:
            allowed = "a person's number, 1 or more, as `faces --draw` shows it, such as P2 or 2"
            raise row.wrong("subject_person", allowed)
        return NamedSubject(person=int(number[1]))
    if not box:
        return None
    if not row.get("subject_seconds"):
        raise row.wrong("subject_seconds", "the time of the subject's box, in seconds from the file's start")
    seconds, start = row.number("subject_seconds"), start_seconds or 0.0
    if not start <= seconds < (math.inf if end_seconds is None else end_seconds):
        end = "" if end_seconds is None else f" and less than end_seconds ({end_seconds:g})"
        first = "0 or more" if start_seconds is None else f"start_seconds ({start:g}) or more"
        raise row.wrong("subject_seconds", f"{first}{end}, in seconds from the file's start")
    is_relative = row.one_of("box_units", _UNITS)
    x0, y0, x1, y1 = _corners([row], SUBJECT_BOX, is_relative=is_relative)[0].tolist()
    return NamedSubject(box_xyxy=(x0, y0, x1, y1), seconds=seconds, is_relative=is_relative)


def _of_file(path: Path, row: Row) -> ProvidedBoxes:
    if not path.is_file():
        raise row.wrong("boxes", f"a CSV file of frame, {', '.join(BOX)}; there is none at '{path}'")
    require_readable_size(path)
    lines = at_most(csv_rows(path, ("frame", *BOX)), MAX_BOX_ROWS, path)
    frames = [line.number("frame") for line in lines]
    for line, frame in zip(lines, frames, strict=True):
        if frame < 0 or frame != int(frame):
            raise line.wrong("frame", "a whole number, 0 or more")
    return _provided(lines, frames, row)


def _provided(lines: list[Row], frames: list[float] | None, row: Row) -> ProvidedBoxes:
    """Return the boxes of `lines`, one each. `row` is that of the clip."""
    is_relative = row.one_of("box_units", _UNITS)
    return ProvidedBoxes(
        box_xyxy=_corners(lines, BOX, is_relative=is_relative),
        frame_index=None if frames is None else np.array(frames, dtype=np.int64),
        is_relative=is_relative,
    )


def _corners(lines: list[Row], columns: tuple[str, ...], *, is_relative: bool) -> Floats:
    """Return the boxes in four columns of K lines, float32 [K, 4]. Raises DatasetError."""
    boxes_K4 = np.array(
        [[line.number(column) for column in columns] for line in lines], dtype=np.float32
    ).reshape(-1, 4)
    for line, (x0, y0, x1, y1) in zip(lines, boxes_K4, strict=True):
        if x1 <= x0 or y1 <= y0:
            sizes = "" if x1 <= 0 or y1 <= 0 else _SIZES
            msg = (
                f"{line.where}: box {x0:g}, {y0:g}, {x1:g}, {y1:g} is empty; {columns[0]} < {columns[2]} and "
                f"{columns[1]} < {columns[3]} are needed.{sizes}"
            )
            raise DatasetError(msg)
    _require_units(lines, boxes_K4, is_relative=is_relative)
    return boxes_K4


def _require_units(lines: list[Row], boxes_K4: Floats, *, is_relative: bool) -> None:
    """Raise DatasetError for fractions that are stated as pixels, and for pixels stated as fractions."""
    stray_K = np.flatnonzero(np.abs(boxes_K4).max(axis=1, initial=0) > _LARGEST_FRACTION)
    units = "fractions of the frame's width and height"
    if is_relative and len(stray_K):
        number = int(stray_K[0])
        wrong = (
            f"is not in {units}, as box_units states; allowed: -{_LARGEST_FRACTION:g} to "
            f"{_LARGEST_FRACTION:g}. For boxes in pixels leave box_units empty"
        )
    elif not is_relative and len(lines) and not len(stray_K):
        number = 0
        others = f", and so are the other {len(lines) - 1} of its file" if len(lines) > 1 else ""
        wrong = (
            f"is in {units}{others}; allowed: pixels. For fractions, add a column box_units with "
            "'relative' to the manifest"
        )
    else:
        return
    box = ", ".join(f"{value:g}" for value in boxes_K4[number])
    msg = f"{lines[number].where}: box {box} {wrong}."
    raise DatasetError(msg)

"""Face boxes of a manifest: one box in the clip's row, or a CSV file of boxes by frame.

``box_units`` of the row gives their units: ``pixels`` of the upright frame (the default), or ``relative``
for fractions of its width and height. Boxes whose range does not fit the stated units are rejected.
"""

from pathlib import Path

import numpy as np

from pipeline.datasets.limits import MAX_BOX_ROWS, at_most, require_readable_size
from pipeline.datasets.rows import BOX, Row, csv_rows
from pipeline.errors import DatasetError
from pipeline.types import Floats, ProvidedBoxes

_UNITS = {"": False, "pixels": False, "relative": True}
"""Text of ``box_units`` -> whether boxes are fractions."""

_SIZES = " Are these x, y, width and height? Then x1 is x + width, and y1 is y + height."
"""Hint for a box that is empty as two corners, but not as a corner and a size."""

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
    given = [column for column in BOX if row.get(column)]
    if given and boxes_path is not None:
        msg = f"{row.where}: both a box and a boxes file ('{row.get('boxes')}'); give one of them."
        raise DatasetError(msg)
    if row.get("box_units") and not given and boxes_path is None:
        raise row.wrong("box_units", "none without a box or a boxes file")
    if boxes_path is not None:
        return _of_file(boxes_path, row)
    return _provided([row], None, row) if given else None


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
    boxes_K4 = np.array(
        [[line.number(column) for column in BOX] for line in lines], dtype=np.float32
    ).reshape(-1, 4)
    for line, (x0, y0, x1, y1) in zip(lines, boxes_K4, strict=True):
        if x1 <= x0 or y1 <= y0:
            sizes = "" if x1 <= 0 or y1 <= 0 else _SIZES
            msg = (
                f"{line.where}: box {x0:g}, {y0:g}, {x1:g}, {y1:g} is empty; x0 < x1 and y0 < y1 are needed."
                f"{sizes}"
            )
            raise DatasetError(msg)
    _require_units(lines, boxes_K4, is_relative=is_relative)
    return ProvidedBoxes(
        box_xyxy=boxes_K4,
        frame_index=None if frames is None else np.array(frames, dtype=np.int64),
        is_relative=is_relative,
    )


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

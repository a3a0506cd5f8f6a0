"""A user's own clips: a CSV or JSONL list with ``path``, ``label``, ``split`` and optional columns.

A clip without a label (no such column, or an empty cell) is extracted and never trained on; it needs no
split, and without one it is in no fold. The other columns:
``clip_id`` (default: the path, with its time window), ``fold`` (one row per clip and fold),
``x0, y0, x1, y1`` (a face box for the whole clip) or ``boxes`` (a CSV of ``frame,x0,y0,x1,y1``),
``faces`` (a folder of face crops, for ``--detector crops``),
``start_seconds``, ``end_seconds`` (times in the file, as a player shows them),
``polarity`` (positive, neutral, negative; default: by class).

Paths are relative to the manifest's folder and stay inside, symbolic links followed. Two clips may
be parts of one file, or the same part with other boxes; their ids differ.
"""

import math
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from pipeline.datasets.bounds import (
    MAX_BOX_ROWS,
    MAX_ROWS,
    Folder,
    at_most,
    require_few_boxes,
    require_few_names,
    require_readable_size,
)
from pipeline.datasets.emotions import polarity_of_class
from pipeline.datasets.names import on_one_line
from pipeline.datasets.rows import BOX, COLUMNS, REQUIRED, Row, csv_rows, jsonl_rows
from pipeline.errors import DatasetError
from pipeline.types import ClipRef, DatasetIndex, GivenBoxes, Polarity, ReadOptions, Split

OPTIONS: tuple[str, ...] = ()
_DEFAULTS = ReadOptions()
FILE_NAMES = ("manifest.csv", "manifest.jsonl")
_SPLITS: Mapping[str, Split] = {
    "train": Split.TRAIN, "val": Split.VALIDATION, "valid": Split.VALIDATION,
    "validation": Split.VALIDATION, "test": Split.TEST,
}  # fmt: skip
_POLARITIES = {p.name.lower(): p for p in Polarity if p != Polarity.UNKNOWN}
_ONLY_FOLD = "1"
_MEANT: Mapping[str, tuple[str, ...]] = {
    "label": ("class", "classes", "emotion", "expression", "annotation", "category", "target"),
    "split": ("set", "subset", "partition", "usage"),
}
"""Columns without which clips are not used -> other names that people give them."""

_LARGEST = {"frame": 1e9, "start_seconds": 1e9, "end_seconds": 1e9}
_LARGEST_PX = 1e6


def read(root: Path, options: ReadOptions = _DEFAULTS) -> DatasetIndex:
    """Read a manifest: `root` is the file itself, or a folder with a manifest.csv or manifest.jsonl.

    Paths in it are relative to its folder and stay inside. Raises DatasetError with file and line.
    """
    path = _find(root)
    rows = at_most(_rows(path), MAX_ROWS, path)
    if not rows:
        msg = f"'{path}' lists no clips; one row per clip is needed, with columns path, label, split."
        raise DatasetError(msg)
    _require_no_misspelling(rows, path)
    labels = sorted({row.get("label") for row in rows} - {""})
    folds = sorted({row.get("fold") or _ONLY_FOLD for row in rows}, key=_natural)
    require_few_names("classes", labels, path)
    require_few_names("folds", folds, path)
    by_id: dict[str, list[Row]] = {}
    for row in rows:
        by_id.setdefault(_clip_id(row), []).append(row)
    folder = Folder(path.parent)
    clips: list[ClipRef] = []
    num_boxes = 0
    for clip_id in sorted(by_id):
        clips.append(_clip(clip_id, by_id[clip_id], labels, folds, folder))
        num_boxes += len(boxes.box_xyxy_px) if (boxes := clips[-1].given_boxes) else 0
        require_few_boxes(num_boxes, path)
    return DatasetIndex(
        name="manifest",
        root=path.parent,
        class_names=tuple(labels),
        fold_names=tuple(folds),
        clips=tuple(clips),
        notes=_notes(rows[0]),
    )


def _notes(row: Row) -> tuple[str, ...]:
    """Columns that mean nothing here are told: a misspelt name would be among them."""
    unread = [name for name in row.values if name not in COLUMNS]
    return (f"columns of the manifest that mean nothing here: {', '.join(unread)}",) if unread else ()


def _require_no_misspelling(rows: list[Row], path: Path) -> None:
    """Raise DatasetError for clips without a label or split beside a column that may have been meant."""
    for wanted, others in _MEANT.items():
        names = {name for row in rows if wanted not in row.values for name in row.values}
        for name in sorted(names - set(COLUMNS)):
            if name.lower() in others or get_close_matches(name.lower(), [wanted]):
                msg = (
                    f"'{path}' has no column {wanted} for all clips, but a column '{on_one_line(name)}'; "
                    f"rename it to {wanted}, or remove it."
                )
                raise DatasetError(msg)


def _find(root: Path) -> Path:
    candidates = [root] if root.is_file() else [root / name for name in FILE_NAMES]
    there = [path for path in candidates if path.is_file()]
    if len(there) == 1 and there[0].suffix.lower() in (".csv", ".jsonl"):
        return there[0]
    found = ", ".join(str(path) for path in there) or "none"
    msg = (
        f"--root '{root}' needs to be a .csv or .jsonl manifest, or a folder with one "
        f"{' or '.join(FILE_NAMES)}; found: {found}."
    )
    raise DatasetError(msg)


def _rows(path: Path) -> Iterator[Row]:
    require_readable_size(path)
    return jsonl_rows(path) if path.suffix.lower() == ".jsonl" else csv_rows(path, REQUIRED)


def _clip_id(row: Row) -> str:
    window = f"{row.get('start_seconds')}-{row.get('end_seconds')}"
    return row.get("clip_id") or row.get("path") + (f"#{window}" if window != "-" else "")


def _clip(clip_id: str, rows: list[Row], labels: list[str], folds: list[str], folder: Folder) -> ClipRef:
    first = rows[0]
    for row in rows[1:]:
        for column in ("path", "label", *BOX, "boxes", "faces", "start_seconds", "end_seconds", "polarity"):
            if row.get(column) != first.get(column):
                msg = (
                    f"{row.where}: clip '{clip_id}' has {column} '{row.get(column)}', but "
                    f"'{first.get(column)}' at {first.where}; one clip_id is one clip."
                )
                raise DatasetError(msg)
    splits: dict[str, Split] = {}
    for row in rows:
        fold = row.get("fold") or _ONLY_FOLD
        if fold in splits:
            msg = f"{row.where}: clip '{clip_id}' is listed twice in fold {fold}; once per fold is allowed."
            raise DatasetError(msg)
        splits[fold] = _split(row)
    label = first.get("label")
    if re.fullmatch(r"[+-]?\d+", label):
        raise first.wrong("label", "a class name, since numbers mean other classes in other data sets")
    polarity = polarity_of_class(label)
    if first.get("polarity"):
        polarity = _one_of(first, "polarity", _POLARITIES)
    start, end = _seconds(first, "start_seconds"), _seconds(first, "end_seconds")
    if end is not None and end <= (start or 0.0):
        raise first.wrong("end_seconds", f"more than start_seconds ({start or 0:g})")
    return ClipRef(
        clip_id=clip_id,
        path=_inside(first, "path", folder),
        label=labels.index(label) if label else -1,
        splits=tuple(splits.get(fold, Split.ABSENT) for fold in folds),
        polarity=polarity,
        start_seconds=start,
        end_seconds=end,
        given_boxes=_boxes(first, folder),
        face_path=_inside(first, "faces", folder) if first.get("faces") else None,
    )


def _split(row: Row) -> Split:
    """The split of a row. A clip without a label that names none is in no split."""
    if row.get("split"):
        found: Split = _one_of(row, "split", _SPLITS)
        return found
    if row.get("label"):
        raise row.wrong("split", f"{', '.join(_SPLITS)}; only a clip without a label needs none")
    return Split.ABSENT


def _one_of(row: Row, column: str, choices: Mapping[str, Any]) -> Any:
    value = row.get(column).lower()
    if value not in choices:
        raise row.wrong(column, ", ".join(choices))
    return choices[value]


def _inside(row: Row, column: str, folder: Folder) -> str:
    """A relative path that stays in the manifest's folder, or DatasetError."""
    text = row.get(column)
    path = PurePosixPath(text)
    if not text or "\0" in text or path.is_absolute() or ".." in path.parts:
        raise row.wrong(column, "a path inside the manifest's folder, without '..'")
    if (elsewhere := folder.way_out(path.as_posix())) is not None:
        allowed = f"a file inside the manifest's folder, but this is a link to '{on_one_line(elsewhere)}'"
        raise row.wrong(column, f"{allowed}; move the manifest to a folder that holds both")
    return path.as_posix()


def _number(row: Row, column: str) -> float:
    try:
        value = float(row.get(column))
    except ValueError:
        value = math.nan
    largest = _LARGEST.get(column, _LARGEST_PX)
    if not abs(value) <= largest:
        raise row.wrong(column, f"a number, {largest:g} at most")
    return value


def _seconds(row: Row, column: str) -> float | None:
    if not row.get(column):
        return None
    value = _number(row, column)
    if value < 0:
        raise row.wrong(column, "seconds, 0 or more")
    return value


def _boxes(row: Row, folder: Folder) -> GivenBoxes | None:
    given = [column for column in BOX if row.get(column)]
    if given and row.get("boxes"):
        msg = f"{row.where}: both a box and a boxes file ('{row.get('boxes')}'); give one of them."
        raise DatasetError(msg)
    if row.get("boxes"):
        return _boxes_file(folder.root / _inside(row, "boxes", folder), row)
    return _given([row], None) if given else None


def _boxes_file(path: Path, row: Row) -> GivenBoxes:
    if not path.is_file():
        raise row.wrong("boxes", f"a CSV file of frame, {', '.join(BOX)}; there is none at '{path}'")
    require_readable_size(path)
    rows = at_most(csv_rows(path, ("frame", *BOX)), MAX_BOX_ROWS, path)
    frames = [_number(line, "frame") for line in rows]
    for line, frame in zip(rows, frames, strict=True):
        if frame < 0 or frame != int(frame):
            raise line.wrong("frame", "a whole number, 0 or more")
    return _given(rows, frames)


def _given(rows: list[Row], frames: list[float] | None) -> GivenBoxes:
    boxes = np.array([[_number(row, column) for column in BOX] for row in rows], dtype=np.float32).reshape(
        -1, 4
    )
    for row, (x0, y0, x1, y1) in zip(rows, boxes, strict=True):
        if x1 <= x0 or y1 <= y0:
            msg = f"{row.where}: box {x0:g}, {y0:g}, {x1:g}, {y1:g} is empty; x0 < x1 and y0 < y1 are needed."
            raise DatasetError(msg)
    return GivenBoxes(
        box_xyxy_px=boxes, frame_index=None if frames is None else np.array(frames, dtype=np.int64)
    )


def _natural(text: str) -> tuple[list[tuple[int, str]], str]:
    """Sorts 2 before 10: numbers by length, then by digits; equal ones by how they are written."""
    parts = [part.lstrip("0") if part.isdecimal() else part for part in re.split(r"(\d+)", text)]
    return [(len(part) if part.isdecimal() else -1, part) for part in parts], text

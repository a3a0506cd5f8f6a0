"""Rows of a manifest -> the clips that they name, without labels and splits."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from pipeline.datasets.manifest_paths import PATH_COLUMNS, ManifestPaths
from pipeline.datasets.names import folded
from pipeline.datasets.provided_boxes import boxes_of_row, subject_of_row
from pipeline.datasets.rows import BOX, SUBJECT, TIMES, Row
from pipeline.errors import DatasetError
from pipeline.types import ClipRef, Polarity, Split

SAME_TEXTS = (*BOX, "box_units", *TIMES, *SUBJECT)
"""Columns whose texts have to be equal in all rows of a clip."""

CLIP_COLUMNS = ("path", *SAME_TEXTS, "boxes", "faces")
"""Columns that determine the features of a clip."""


def rows_by_id(rows: Iterable[Row], paths: ManifestPaths) -> dict[str, list[Row]]:
    """Return the rows of each clip.

    Without a `clip_id`, the id is the path as written, or the path found if it is written in two ways.
    """
    by_id: dict[str, list[Row]] = defaultdict(list)
    by_path: dict[str, list[tuple[str, Row]]] = defaultdict(list)
    for row in rows:
        found = paths.find(row, "path")
        if clip_id := row.get("clip_id"):
            by_id[clip_id].append(row)
        else:
            window = _window(row)
            by_path[found.path + window].append((found.given + window, row))
    for place, same in by_path.items():
        written = same[0][0]
        clip_id = written if all(other == written for other, _ in same[1:]) else place
        by_id[clip_id] += [row for _, row in same]
    return by_id


def _window(row: Row) -> str:
    start, end = row.get(TIMES[0]), row.get(TIMES[1])
    return f"#{start}-{end}" if start or end else ""


def require_one_clip(
    clip_id: str, rows: Sequence[Row], columns: Sequence[str], meaning: Callable[[Row, str], str]
) -> None:
    """Raise DatasetError unless all rows of an id mean the same in some columns.

    Args:
        clip_id: The id.
        rows: Its rows, one or more.
        columns: The columns.
        meaning: Returns the meaning of a cell.
    """
    first = rows[0]
    for row in rows[1:]:
        for column in columns:
            if meaning(row, column) != meaning(first, column):
                msg = (
                    f"{row.where}: clip '{clip_id}' has {column} '{row.get(column)}', but "
                    f"'{first.get(column)}' at {first.where}; one clip_id is one clip."
                )
                raise DatasetError(msg)


def path_meaning(row: Row, column: str, paths: ManifestPaths) -> str:
    """Return the path that a cell of `PATH_COLUMNS` names; empty if the cell is."""
    return paths.find(row, column).path if row.get(column) else ""


def meaning_of_cell(row: Row, column: str, paths: ManifestPaths) -> str:
    """Return the meaning of a cell, which all rows of one clip have in common.

    It is the path that the cell names, its text for `SAME_TEXTS`, and for all other columns the text without
    its case and spelling in Unicode.
    """
    if column in PATH_COLUMNS:
        return path_meaning(row, column, paths)
    return row.get(column) if column in SAME_TEXTS else folded(row.get(column))


class Labelling(NamedTuple):
    """The label, splits, polarity and group that a list gives a clip; see `ClipRef`."""

    label: int = -1
    splits: tuple[Split, ...] = ()
    polarity: Polarity = Polarity.UNKNOWN
    group: str = ""


_UNLABELLED = Labelling()


def clip_of_row(clip_id: str, row: Row, paths: ManifestPaths, labelling: Labelling = _UNLABELLED) -> ClipRef:
    """Return the clip of a row.

    Args:
        clip_id: Its id.
        row: The row.
        paths: The paths of the list.
        labelling: Its label, splits, polarity and group.

    Raises:
        DatasetError: A time, box, subject or path is invalid. The message has file and line.
    """
    start = end = None
    if row.has_any(TIMES):
        start, end = row.seconds("start_seconds"), row.seconds("end_seconds")
    if end is not None and end <= (start or 0.0):
        raise row.wrong("end_seconds", f"more than start_seconds ({start or 0:g})")
    path, boxes, faces = (path_meaning(row, column, paths) for column in PATH_COLUMNS)
    return ClipRef(
        clip_id=clip_id,
        path=path,
        label=labelling.label,
        splits=labelling.splits,
        polarity=labelling.polarity,
        start_seconds=start,
        end_seconds=end,
        provided_boxes=boxes_of_row(row, paths.folder.root / boxes if boxes else None),
        subject=subject_of_row(row, start, end),
        face_path=faces or None,
        group=labelling.group,
    )

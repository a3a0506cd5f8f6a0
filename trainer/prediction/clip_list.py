"""A user's list of clips -> one clip per row: a manifest whose labels and splits are optional.

The columns ``path``, ``clip_id``, ``start_seconds``, ``end_seconds``, ``label`` and ``group`` are read, and
those of face boxes, of face crops and of the named subject. They mean the same as in a manifest.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pipeline.datasets.limits import MAX_ROWS, Folder, at_most, require_few_boxes
from pipeline.datasets.manifest_paths import ManifestPaths
from pipeline.datasets.manifest_rows import (
    CLIP_COLUMNS,
    clip_of_row,
    meaning_of_cell,
    require_one_clip,
    rows_by_id,
)
from pipeline.datasets.rows import COLUMNS, LIST_SUFFIXES, TIMES, Row, list_rows, unread_columns
from pipeline.datasets.spelling import meaning_of, why_no_name
from pipeline.errors import ConfigError, DatasetError, some
from pipeline.fingerprint import sha256_json
from pipeline.process import ExtractConfig
from pipeline.types import ClipRef
from trainer.class_map import Classes
from trainer.prediction.label_texts import require_no_misspelling
from trainer.prediction.labels import LabelRow, Labels, with_near_names

_SHOWN = 8


@dataclass(frozen=True, kw_only=True)
class ListedClip:
    """A row of a list.

    Attributes:
        where: File and line, for messages.
        clip: Its clip, without label and splits. Rows of one clip have equal ones.
        label: The label as written; empty without one.
        group: Source video, subject or film that other clips share; empty if the list names none.
    """

    where: str
    clip: ClipRef
    label: str
    group: str


@dataclass(frozen=True, kw_only=True)
class ClipList:
    """A list of clips.

    Attributes:
        file: The list.
        rows: Its rows, in order.
        num_missing: Clips without a file.
        notes: Remarks for the user.
    """

    file: Path
    rows: tuple[ListedClip, ...]
    num_missing: int
    notes: tuple[str, ...]

    @property
    def root(self) -> Path:
        """The directory that the clips' paths start from."""
        return self.file.parent

    @cached_property
    def counts(self) -> Counter[str]:
        """Ids of the clips, in the order of their first rows, and their numbers of rows."""
        return Counter(row.clip.clip_id for row in self.rows)

    def sha256(self) -> str:
        """Return a hash of the clips of all rows, in order: ids, files, times, boxes and subjects.

        A file counts with its size and the time of its last change, so that the answer for a replaced video
        is not taken for that of the new one.
        """
        states = {path: _state(self.root / path) for path in {row.clip.path for row in self.rows}}
        return sha256_json(
            [
                [
                    row.clip.clip_id,
                    states[row.clip.path],
                    row.clip.path,
                    row.clip.start_seconds,
                    row.clip.end_seconds,
                    row.clip.given_sha256,
                    row.clip.face_path,
                ]
                for row in self.rows
            ]
        )


def _state(path: Path) -> list[int]:
    """Return size and time of the last change of a file; both 0 if nothing is there."""
    try:
        found = path.stat()
    except OSError:
        return [0, 0]
    return [found.st_size, found.st_mtime_ns]


def is_clip_list(paths: Sequence[Path]) -> bool:
    """Return whether paths to predict are one list of clips.

    Raises ConfigError for a list among other paths.
    """
    lists = [path for path in paths if path.suffix.lower() in LIST_SUFFIXES and not path.is_dir()]
    if lists and len(paths) > 1:
        msg = f"'{lists[0]}' is a list of clips, and {len(paths)} paths are given; predict a list alone."
        raise ConfigError(msg)
    return bool(lists)


def read_clip_list(file: Path) -> ClipList:
    """Read a list of clips.

    Raises:
        DatasetError: The list cannot be read, is empty, or a row is invalid. Names file and line.
    """
    if not file.exists():
        msg = f"Nothing is at '{file}'; give a list of clips, a CSV file with the column path."
        raise DatasetError(msg)
    rows = at_most(list_rows(file), MAX_ROWS, file)
    if not rows:
        msg = f"'{file}' lists no clips; one row per clip is needed, with the column path."
        raise DatasetError(msg)
    require_no_misspelling(rows, file, ("label", *TIMES), COLUMNS)
    paths = ManifestPaths(Folder(file.parent), rows)

    def meaning(row: Row, column: str) -> str:
        return meaning_of(row.get(column)) if column == "label" else meaning_of_cell(row, column, paths)

    found: dict[str, ClipRef] = {}  # place of a row -> its clip
    num_boxes = num_missing = 0
    for clip_id, same in rows_by_id(rows, paths).items():
        require_one_clip(clip_id, same, (*CLIP_COLUMNS, "label", "group"), meaning)
        clip = clip_of_row(clip_id, same[0], paths)
        num_boxes += len(clip.provided_boxes.box_xyxy) if clip.provided_boxes else 0
        require_few_boxes(num_boxes, file)
        num_missing += not paths.find(same[0], "path").is_there
        found |= {row.where: clip for row in same}
    unread = unread_columns(list(rows[0].values))
    notes = [f"columns of the list that are not read: {some(unread, _SHOWN)}"] if unread else []
    return ClipList(
        file=file,
        rows=tuple(
            ListedClip(where=row.where, clip=found[row.where], label=_label(row), group=row.get("group"))
            for row in rows
        ),
        num_missing=num_missing,
        notes=(*notes, *paths.notes()),
    )


def _label(row: Row) -> str:
    text = row.get("label")
    if text and (allowed := why_no_name(text)) is not None:
        raise row.wrong("label", allowed)
    return text


def require_faces(clips: ClipList, config: ExtractConfig) -> None:
    """Raise DatasetError if no clip has the face boxes or crops that a run was trained on."""
    if config.faces.is_detected:
        return
    needs = (
        "face crops (column faces)" if config.faces.takes_crops else "a face box (x0, y0, x1, y1 or boxes)"
    )
    has_some = any(
        row.clip.face_path if config.faces.takes_crops else row.clip.provided_boxes for row in clips.rows
    )
    if not has_some:
        msg = (
            f"The run was trained on faces that the dataset provides (--faces {config.faces.source}), and no "
            f"clip of '{clips.file}' has {needs}; add these columns, or predict with a run on detected faces."
        )
        raise DatasetError(msg)


def labels_of(clips: ClipList, class_names: Sequence[str]) -> Labels | None:
    """Return the labels of a list, one per labelled clip; None without any.

    Args:
        clips: The list.
        class_names: Classes of the run.
    """
    classes = Classes(class_names)
    rows: dict[str, LabelRow] = {}
    for row in clips.rows:
        if row.label:
            rows.setdefault(
                row.clip.clip_id,
                LabelRow(
                    where=row.where,
                    path=row.clip.path,
                    video=row.clip.path,
                    label=row.label,
                    class_name=classes.find(row.label),
                    start_seconds=row.clip.start_seconds,
                    end_seconds=row.clip.end_seconds,
                    group=row.group,
                ),
            )
    if not rows:
        return None
    labels = Labels(file=clips.file, class_names=tuple(class_names), rows=tuple(rows.values()))
    return with_near_names(labels)

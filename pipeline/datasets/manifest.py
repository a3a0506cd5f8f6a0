"""A user's own clips: a CSV or JSONL list with ``path``, ``label``, ``split`` and optional columns.

A clip without a label (no such column, or an empty cell) is extracted but never used for training. It needs
no split, and without one it is in no fold. The other columns:
``clip_id`` (default: the path, with its time window), ``fold`` (one row per clip and fold),
``x0, y0, x1, y1`` (a face box for the whole clip) or ``boxes`` (a CSV of ``frame,x0,y0,x1,y1``),
``box_units`` (``pixels``, the default, or ``relative``), ``faces`` (a folder of face crops, for
``--faces crops``), ``start_seconds``, ``end_seconds`` (times in the file, as a player shows them),
``polarity`` (positive, neutral, negative; default: by class), ``group`` (the source video, subject or film:
clips of one group are not independent; default: by file), ``subject_person`` (the number of the person that
is the clip's subject) or ``subject_x0, subject_y0, subject_x1, subject_y1, subject_seconds`` (the box of its
face at a time).

Paths are relative to the manifest's directory and stay inside it, also after symbolic links are followed.
Two clips may be parts of one file, or the same part with other boxes, if their ids differ.
docs/manifests.md describes the spellings of one name and the forms of lists and paths that are read.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from pipeline.collection import paused_collection
from pipeline.datasets.emotions import polarity_of_class
from pipeline.datasets.limits import (
    MAX_ROWS,
    Folder,
    at_most,
    require_few_boxes,
    require_few_names,
)
from pipeline.datasets.manifest_paths import ManifestPaths
from pipeline.datasets.manifest_rows import (
    SAME_TEXTS,
    Labelling,
    clip_of_row,
    meaning_of_cell,
    require_one_clip,
    rows_by_id,
)
from pipeline.datasets.names import folded
from pipeline.datasets.rows import (
    COLUMNS,
    LIKELY,
    LIST_SUFFIXES,
    Row,
    list_rows,
    unread_columns,
)
from pipeline.datasets.spelling import (
    Spelling,
    fold_meaning_of,
    is_no_value,
    meaning_of,
    one_spelling,
    shown,
    whole_number,
    why_no_name,
)
from pipeline.datasets.splits import SPLIT_OF
from pipeline.errors import DatasetError, printable, some
from pipeline.types import ClipRef, DatasetIndex, Polarity, ReadOptions, Split

OPTIONS: tuple[str, ...] = ()
_DEFAULTS = ReadOptions()
FILE_NAMES = ("manifest.csv", "manifest.tsv", "manifest.jsonl")
_POLARITIES = {p.name.lower(): p for p in Polarity if p != Polarity.UNKNOWN}
_ONLY_FOLD = "1"
_CLOSE = 0.8
"""Least similarity of a misspelt column: "lable" has it, "lab" and "site" do not."""


def read(root: Path, options: ReadOptions = _DEFAULTS) -> DatasetIndex:
    """Read a manifest. `root` is the file itself, or a directory with one of FILE_NAMES.

    Raises DatasetError, with file and line.
    """
    file = _find(root)
    with paused_collection():
        return _read(file)


def _read(file: Path) -> DatasetIndex:
    rows = at_most(list_rows(file), MAX_ROWS, file)
    if not rows:
        msg = f"'{file}' lists no clips; one row per clip is needed, with columns path, label, split."
        raise DatasetError(msg)
    _require_no_misspelling(rows, file)
    texts = _Texts.of(rows, Folder(file.parent))
    require_few_names("classes", texts.labels.names, file)
    require_few_names("folds", texts.folds.names, file)
    by_id = rows_by_id(rows, texts.paths)
    clips: list[ClipRef] = []
    num_boxes = 0
    for clip_id in sorted(by_id):
        clips.append(_clip(clip_id, by_id[clip_id], texts))
        num_boxes += len(boxes.box_xyxy) if (boxes := clips[-1].provided_boxes) else 0
        require_few_boxes(num_boxes, file)
    return DatasetIndex(
        name="manifest",
        root=file.parent,
        class_names=texts.labels.names,
        fold_names=texts.fold_names,
        clips=tuple(clips),
        notes=(*_notes(rows, texts), *_path_notes(by_id, texts.paths)),
    )


@dataclass(frozen=True, kw_only=True)
class _Texts:
    """Meanings of the texts of a manifest, in all their spellings. Each text of a column is read once."""

    labels: Spelling
    folds: Spelling
    groups: Spelling
    fold_names: tuple[str, ...]
    paths: ManifestPaths
    fold_of: Mapping[str, str]
    """Text of the column -> name of the fold."""
    group_of: Mapping[str, str]
    """Text of the column -> name of the group."""
    split_of: Mapping[str, Split]
    """Text of the column -> split; ABSENT for an empty text."""
    class_of: Mapping[str, tuple[int, Polarity]]
    """Name of the class -> its label and its polarity; the empty name is that of clips without a label."""

    @classmethod
    def of(cls, rows: list[Row], folder: Folder) -> "_Texts":
        """Read the columns of names. Raises DatasetError for the first row with a text that is no name."""
        folds, fold_of = _names(rows, "fold", _fold, fold_meaning_of)
        groups, group_of = _names(rows, "group", _group, folded)
        labels, _ = _names(rows, "label", lambda row: row.get("label"), meaning_of)
        for text, row in _first_rows(rows, "label").items():
            if labels.name_of[text] and (allowed := why_no_name(text)) is not None:
                raise row.wrong("label", allowed)
        splits = {
            text: row.one_of("split", SPLIT_OF) if text else Split.ABSENT
            for text, row in _first_rows(rows, "split").items()
        }
        classes = {name: (label, polarity_of_class(name)) for label, name in enumerate(labels.names)}
        return cls(
            labels=labels,
            folds=folds,
            groups=groups,
            fold_names=tuple(sorted(folds.names, key=_natural)),
            paths=ManifestPaths(folder, rows),
            fold_of=fold_of,
            group_of=group_of,
            split_of=splits,
            class_of={"": (-1, polarity_of_class("")), **classes},
        )

    def label(self, row: Row) -> str:
        """Return the class of a row, empty without one."""
        return self.labels.name_of[row.get("label")]

    def fold(self, row: Row) -> str:
        return self.fold_of[row.get("fold")]

    def meaning(self, row: Row, column: str) -> str:
        """Return the meaning of a cell, which all rows of one clip have in common."""
        if column == "label":
            return self.label(row)
        if column == "group":
            return self.group_of[row.get("group")]
        return meaning_of_cell(row, column, self.paths)


def _first_rows(rows: list[Row], column: str) -> dict[str, Row]:
    """Return the first row of each text of a column, in the order of the rows."""
    first: dict[str, Row] = {}
    for row in rows:
        first.setdefault(row.get(column), row)
    return first


def _names(
    rows: list[Row], column: str, read: Callable[[Row], str], meaning: Callable[[str], str]
) -> tuple[Spelling, dict[str, str]]:
    """Choose one spelling for every name of a column.

    Args:
        rows: The rows.
        column: ``label``, ``fold`` or ``group``.
        read: Returns the name that a row has in the column, or raises DatasetError.
        meaning: As for `one_spelling`.

    Returns:
        The spellings of the names as read, and the name of each text.
    """
    counts = Counter(row.get(column) for row in rows)
    names = {text: read(row) for text, row in _first_rows(rows, column).items()}
    totals: Counter[str] = Counter()
    for text, name in names.items():
        totals[name] += counts[text]
    spelling = one_spelling(totals, "class" if column == "label" else column, meaning)
    return spelling, {text: spelling.name_of[name] for text, name in names.items()}


def _notes(rows: list[Row], texts: _Texts) -> tuple[str, ...]:
    """Return notes on the reading of the texts."""
    unread = unread_columns(rows[0].header.names)
    notes = [f"columns of the manifest that are not read: {', '.join(unread)}"] if unread else []
    notes += texts.labels.notes
    splits = sorted(text for text in texts.split_of.keys() - {""} if folded(text) not in _PLAIN_SPLITS)
    if splits:
        read_as = [f"{shown(text)} as {SPLIT_OF[folded(text)].name.lower()}" for text in splits]
        notes.append(f"splits read in other words: {some(read_as)}")
    folds = sorted(text for text in texts.fold_of if text != whole_number(text))
    if folds:
        read_as = [f"{shown(text)} as '{whole_number(text)}'" for text in folds]
        notes.append(f"folds read as whole numbers: {some(read_as)}")
    return (*notes, *texts.folds.notes, *texts.groups.notes)


_PLAIN_SPLITS = ("train", "val", "valid", "validation", "test")


def _path_notes(by_id: Mapping[str, list[Row]], paths: ManifestPaths) -> tuple[str, ...]:
    """Return notes on the reading of paths, and on clips with several spellings of their path."""
    several = [
        f"{some([shown(text) for text in sorted(written)])} as '{clip_id}'"
        for clip_id, rows in by_id.items()
        if len(rows) > 1 and len(written := {row.get("path") for row in rows}) > 1
    ]
    notes = paths.notes()
    return (
        (*notes, f"spellings of one path are read as one clip: {some(sorted(several))}") if several else notes
    )


def _require_no_misspelling(rows: list[Row], path: Path) -> None:
    """Raise DatasetError if clips have no label or split, but a column is probably a misspelling of it."""
    for wanted in ("label", "split"):
        headers = {row.header.names for row in rows}
        names = {name for header in headers if wanted not in header for name in header}
        for name in sorted(names - set(COLUMNS)):
            if folded(name) in LIKELY[wanted] or get_close_matches(folded(name), [wanted], cutoff=_CLOSE):
                msg = (
                    f"'{path}' has no column {wanted} for all clips, but a column '{printable(name)}'; "
                    f"rename it to {wanted}, or remove it."
                )
                raise DatasetError(msg)


def _find(root: Path) -> Path:
    candidates = [root] if root.is_file() else [root / name for name in FILE_NAMES]
    there = [path for path in candidates if path.is_file()]
    if len(there) == 1 and there[0].suffix.lower() in LIST_SUFFIXES:
        return there[0]
    found = ", ".join(str(path) for path in there) or "none"
    msg = (
        f"--root '{root}' needs to be a manifest ({', '.join(LIST_SUFFIXES)}), or a directory with one "
        f"{' or '.join(FILE_NAMES)}; found: {found}."
    )
    raise DatasetError(msg)


def _fold(row: Row) -> str:
    text = row.get("fold")
    if is_no_value(text):
        raise row.wrong("fold", "a fold's name; for a list without folds leave it empty")
    return whole_number(text) or _ONLY_FOLD


def _group(row: Row) -> str:
    text = row.get("group")
    if is_no_value(text):
        raise row.wrong("group", "the name of a source video, subject or film; without one leave it empty")
    return whole_number(text)


def _clip(clip_id: str, rows: list[Row], texts: _Texts) -> ClipRef:
    first = rows[0]
    if len(rows) > 1:
        columns = ("path", "label", *SAME_TEXTS, "boxes", "faces", "polarity", "group")
        require_one_clip(clip_id, rows, columns, texts.meaning)
    splits: dict[str, Split] = {}
    for row in rows:
        fold = texts.fold(row)
        if fold in splits:
            msg = f"{row.where}: clip '{clip_id}' is listed twice in fold {fold}; once per fold is allowed."
            raise DatasetError(msg)
        splits[fold] = _split(row, texts)
    label, polarity = texts.class_of[texts.label(first)]
    if first.get("polarity"):
        polarity = first.one_of("polarity", _POLARITIES)
    labelling = Labelling(
        label=label,
        splits=tuple([splits.get(fold, Split.ABSENT) for fold in texts.fold_names]),
        polarity=polarity,
        group=texts.group_of[first.get("group")],
    )
    return clip_of_row(clip_id, first, texts.paths, labelling)


def _split(row: Row, texts: _Texts) -> Split:
    """Return the split of a row. A clip with neither label nor split is in no split."""
    split = texts.split_of[row.get("split")]
    if split is Split.ABSENT and texts.label(row):
        raise row.wrong("split", f"{', '.join(SPLIT_OF)}; only a clip without a label needs none")
    return split


def _natural(text: str) -> tuple[list[tuple[int, str]], str]:
    """Return a sort key that puts 2 before 10: numbers by length, then digits. Equal keys sort by text."""
    parts = [part.lstrip("0") if part.isdecimal() else part for part in re.split(r"(\d+)", text)]
    return [(len(part) if part.isdecimal() else -1, part) for part in parts], text

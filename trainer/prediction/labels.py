"""A user's labels for videos that are predicted: a CSV, TSV or JSONL list -> one row per labelled span.

Columns: ``path`` and ``label``; optional ``start_seconds`` and ``end_seconds`` (the whole video without them)
and ``person`` (a name or a track of the prediction). A manifest of clips is such a list too.
"""

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePath

from pipeline.datasets.limits import MAX_ROWS, at_most
from pipeline.datasets.names import folded
from pipeline.datasets.near_names import near_names
from pipeline.datasets.rows import TIMES, Header, Row, list_rows
from pipeline.datasets.spelling import is_no_value, meaning_of, shown, why_no_name
from pipeline.errors import DatasetError, printable, some
from trainer.class_map import Classes
from trainer.prediction.inputs import Input
from trainer.prediction.label_texts import SIMILAR, require_no_misspelling

COLUMNS = ("path", "label", *TIMES, "person")
_SHOWN = 8


@dataclass(frozen=True, kw_only=True)
class LabelRow:
    """A labelled span of a video.

    Attributes:
        where: File and line, for messages.
        path: The video as the file names it.
        video: `Input.name` of the video.
        label: The label as written.
        class_name: Class of the run that the label means; None if the run has no such class.
        start_seconds, end_seconds: The span; None for the start and the end of the video.
        person: Name or track of the person; empty if the file names nobody.
        group: Source video, subject or film that other clips share; empty if the file names none.
    """

    where: str
    path: str
    video: str
    label: str
    class_name: str | None
    start_seconds: float | None = None
    end_seconds: float | None = None
    person: str = ""
    group: str = ""

    @property
    def cluster(self) -> str:
        """The group of the bootstrap, whose clips are not independent: `group`, or else the video."""
        return self.group or self.video


@dataclass(frozen=True, kw_only=True)
class Labels:
    """The labels of a file for the videos that are predicted.

    Attributes:
        file: The file.
        class_names: Classes of the run.
        rows: Labelled spans in the order of the file.
        num_elsewhere: Rows of existing videos that are not predicted.
        notes: Remarks for the user.
    """

    file: Path
    class_names: tuple[str, ...]
    rows: tuple[LabelRow, ...]
    num_elsewhere: int = 0
    notes: tuple[str, ...] = ()

    @property
    def other_classes(self) -> Mapping[str, int]:
        """Labels that are no class of the run, as written, and their numbers of rows."""
        return Counter(row.label for row in self.rows if row.class_name is None)

    def of_video(self, video: str) -> list[LabelRow]:
        """Return the rows of the video with this output name."""
        return self._rows_of_videos.get(video, [])

    @cached_property
    def _rows_of_videos(self) -> Mapping[str, list[LabelRow]]:
        found: dict[str, list[LabelRow]] = {}
        for row in self.rows:
            found.setdefault(row.video, []).append(row)
        return found


def read_labels(path: Path, inputs: Sequence[Input], class_names: Sequence[str]) -> Labels:
    """Read the labels of videos.

    A path is relative to the directory of the file, or to the working directory. If nothing is there, it
    means the only video whose path ends with it, or the video with this output name. A label means a class in
    any usual spelling ("Happy": happiness).

    Args:
        path: The file.
        inputs: The videos that are predicted.
        class_names: Classes of the run.

    Raises:
        DatasetError: The file cannot be read, a row is wrong, or there is no row to score. Names the line.
    """
    rows = at_most(_rows(path), MAX_ROWS, path)
    if not rows:
        msg = f"'{path}' has no labels; one row per clip is needed, with the columns path and label."
        raise DatasetError(msg)
    _require_columns(rows, path)
    videos, classes = _Videos(inputs, path.parent), Classes(class_names)
    found: dict[tuple[str, float | None, float | None, str], LabelRow] = {}
    num_elsewhere = num_repeated = 0
    for row in rows:
        video = videos.find(row)
        if video is None:
            num_elsewhere += 1
            continue
        label = _label_row(row, video, classes)
        key = (label.video, label.start_seconds, label.end_seconds, label.person)
        first = found.setdefault(key, label)
        if first is not label:
            num_repeated += 1
            if meaning_of(first.label) != meaning_of(label.label):
                raise row.wrong(
                    "label",
                    f"{shown(first.label)}, as for the same clip at {first.where}; remove one of them",
                )
    labels = Labels(
        file=path,
        class_names=tuple(class_names),
        rows=tuple(found.values()),
        num_elsewhere=num_elsewhere,
        notes=tuple(_notes(rows, num_repeated)),
    )
    _require_some(labels)
    return with_near_names(labels)


def with_near_names(labels: Labels) -> Labels:
    """Return labels with a note on those that are no class of the run, but nearly the name of one."""
    classes = Classes(labels.class_names)
    near = [pair for pair in near_names(sorted(labels.other_classes)) if classes.find(pair[1])]
    if not near:
        return labels
    pairs = some([f"{shown(name)} is near {shown(other)}" for name, other in near], _SHOWN)
    return replace(labels, notes=(*labels.notes, f"{pairs}; correct the labels if they are one class"))


def _rows(path: Path) -> Iterable[Row]:
    for row in list_rows(path):
        names = ["person" if folded(name) == "person" else name for name in row.header.names]
        yield row.under(Header.of(path, names))


def _require_columns(rows: Sequence[Row], path: Path) -> None:
    """Raise DatasetError without labels, or if a column is probably a misspelling of one that is missing."""
    require_no_misspelling(rows, path, SIMILAR, COLUMNS)
    if not any("label" in row.values for row in rows):
        there = printable(", ".join(rows[0].values))
        msg = f"'{path}' has no column label; columns there: {there}. Add the class of each clip."
        raise DatasetError(msg)


def _notes(rows: Sequence[Row], num_repeated: int) -> Iterable[str]:
    unread = [printable(name) for name in rows[0].values if name and name not in COLUMNS]
    if unread:
        yield f"columns of the labels that are not read: {some(unread, _SHOWN)}"
    if num_repeated:
        yield f"repeated rows of the labels, each counted once: {num_repeated}"


def _label_row(row: Row, video: str, classes: Classes) -> LabelRow:
    text = row.get("label")
    if not text or is_no_value(text):
        names = some(classes.names, _SHOWN)
        raise row.wrong("label", f"a class, such as {names}; remove the rows of clips without a label")
    if (allowed := why_no_name(text)) is not None:
        raise row.wrong("label", allowed)
    start, end = (row.seconds(column) for column in TIMES)
    if end is not None and end <= (start or 0.0):
        above = f"a time after start_seconds ({start or 0:g}); empty for the end of the video"
        raise row.wrong("end_seconds", above)
    return LabelRow(
        where=row.where,
        path=row.get("path"),
        video=video,
        label=text,
        class_name=classes.find(text),
        start_seconds=start,
        end_seconds=end,
        person=_normal(row.get("person")),
    )


def _require_some(labels: Labels) -> None:
    """Raise DatasetError if no row has a predicted video and a class of the run."""
    if not labels.rows:
        msg = (
            f"'{labels.file}' has labels of other videos only ({labels.num_elsewhere} rows); name the videos "
            "that are predicted in its column path."
        )
        raise DatasetError(msg)
    if all(row.class_name is None for row in labels.rows):
        others = some([shown(name) for name in labels.other_classes], _SHOWN)
        msg = (
            f"'{labels.file}' has no label of a class of the run: {others}; the run's classes are "
            f"{some(labels.class_names, _SHOWN)}."
        )
        raise DatasetError(msg)


class _Videos:
    """The videos that are predicted, by the paths that may mean them.

    Args:
        inputs: The videos.
        directory: Directory of the file of labels.
    """

    def __init__(self, inputs: Sequence[Input], directory: Path) -> None:
        self._directory = directory
        self._by_place: dict[str, str] = {}
        self._names = {_normal(one.name): one.name for one in inputs}
        self._by_file_name: dict[str, list[tuple[tuple[str, ...], str]]] = {}
        for one in inputs:
            place = os.path.realpath(one.path)
            if self._by_place.setdefault(place, one.name) == one.name:
                parts = PurePath(_normal(place)).parts
                self._by_file_name.setdefault(parts[-1], []).append((parts, one.name))

    def find(self, row: Row) -> str | None:
        """Return the name of a row's video; None for an existing path that is not predicted.

        Raises DatasetError for a path of nothing, and for one that several videos end with.
        """
        text = row.get("path")
        if not text:
            raise row.wrong("path", self._allowed())
        places = [os.path.realpath(above / text) for above in (self._directory, Path())]
        for place in places:
            if place in self._by_place:
                return self._by_place[place]
        parts = tuple(part for part in PurePath(_normal(text).replace("\\", "/")).parts if part != ".")
        same = self._by_file_name.get(parts[-1], []) if parts else []
        ends = [name for whole, name in same if whole[-len(parts) :] == parts]
        if len(ends) > 1:
            raise row.wrong(
                "path", f"one video, and {some(sorted(ends))} have this name; write a longer path"
            )
        if ends or _normal(text) in self._names:
            return ends[0] if ends else self._names[_normal(text)]
        if any(map(os.path.exists, places)):
            return None
        raise row.wrong("path", self._allowed())

    def _allowed(self) -> str:
        names = some(sorted(map(printable, self._by_file_name)), _SHOWN)
        return f"a predicted video ({names}), by its path or file name"


def _normal(text: str) -> str:
    """Return the text in one Unicode form, because macOS writes names of files in another."""
    return unicodedata.normalize("NFC", text)

"""Results of a list of clips: the answer for one clip, as clips.jsonl stores it, and the report on all."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from trainer.prediction.answer_values import (
    HeadAnswer,
    are_texts,
    is_answer,
    is_box,
    is_count,
    is_number,
    line_of,
    require_names,
)
from trainer.prediction.label_scores import LabelScores
from trainer.prediction.results import NOTICE

BEYOND_END = "beyond_end"
"""Flag of a clip whose end_seconds is after the end of its file. See `results` for the other flags."""


@dataclass(frozen=True, kw_only=True)
class ClipAnswer(HeadAnswer):
    """The answer for a clip: a line of clips.jsonl.

    Attributes:
        clip_id: Id of the clip.
        path: Its file, relative to the directory of the list.
        start_seconds, end_seconds: The part of the file, as the list has it; None for its start and end.
        source_sha256: Hash of the file; empty if it was not read.
        frames_found: Sampled frames on which the subject's face was found.
        num_sampled: Sampled frames; 0 for a clip that failed.
        box_xyxy_px: Mean box of the face over these frames; None if it was found on none, or has no place.
        reason: Why there is no answer; None if there is one.
        flags: Some of `SHORT`, `DOUBTFUL`, `GAP` and `BEYOND_END`.
        failed_at: Step that failed; None for a clip with features.
    """

    clip_id: str
    path: str
    start_seconds: float | None
    end_seconds: float | None
    source_sha256: str = ""
    frames_found: int = 0
    num_sampled: int = 0
    box_xyxy_px: tuple[float, float, float, float] | None = None
    reason: str | None = None
    flags: tuple[str, ...] = ()
    failed_at: str | None = None

    def line(self) -> str:
        """Return the line of clips.jsonl, without its end."""
        return line_of(self)

    @classmethod
    def of_values(cls, values: Mapping[str, Any]) -> "ClipAnswer":
        """Return the answer of a line's values. Raises ValueError for other values."""
        require_names(values, [item.name for item in fields(cls)], "a clip")
        box = values["box_xyxy_px"]
        is_clip = (
            is_answer(values)
            and all(isinstance(values[name], str) for name in ("clip_id", "path", "source_sha256"))
            and all(values[name] is None or is_number(values[name]) for name in _TIMES)
            and all(is_count(values[name]) for name in ("frames_found", "num_sampled"))
            and (box is None or is_box(box))
            and all(values[name] is None or isinstance(values[name], str) for name in ("reason", "failed_at"))
            and are_texts(values["flags"])
        )
        if not is_clip:
            msg = "a value of a clip is of another kind"
            raise ValueError(msg)
        return cls(
            **{**values, "box_xyxy_px": None if box is None else tuple(box), "flags": tuple(values["flags"])}
        )


_TIMES = ("start_seconds", "end_seconds")


@dataclass(frozen=True, kw_only=True)
class ClipSettings:
    """Settings of a prediction of a list.

    Attributes:
        min_face_px: Shortest side of a face for an answer, in pixels.
        min_share: Smallest share of a clip's sampled frames on which the face must be found.
        people: The person that answers are for: ``main``, the subject that `extract` chooses.
    """

    min_face_px: float
    min_share: float
    people: str = "main"


@dataclass(frozen=True, kw_only=True)
class ClipReport:
    """Result for a list of clips: the document of prediction.json.

    Attributes:
        file: The list.
        out: Directory of the files.
        run: Name of the run.
        face_run: Name of the face-only run; None without one.
        class_names: Classes, in the order of the run.
        banners: Warnings to show with every answer.
        settings: Settings.
        num_rows: Rows of the list.
        num_clips: Clips of these rows, each counted once.
        num_done: Rows that are done.
        num_answers: Rows with an answer.
        num_failed: Rows whose clip failed.
        answers: Classes and their numbers of rows, in the order of the run.
        reasons: The most frequent reasons of rows without an answer, with their numbers of rows.
        is_interrupted: Whether rows are missing because of an interruption.
        notes: Remarks for the user.
        labels: Scores of the labels in the list; None without labels.
        notice: `NOTICE`.
    """

    file: Path
    out: Path
    run: str
    face_run: str | None
    class_names: tuple[str, ...]
    banners: tuple[str, ...]
    settings: ClipSettings
    num_rows: int
    num_clips: int
    num_done: int
    num_answers: int
    num_failed: int
    answers: Mapping[str, int]
    reasons: Mapping[str, int]
    is_interrupted: bool
    notes: tuple[str, ...]
    labels: LabelScores | None = None
    notice: str = NOTICE


@dataclass(frozen=True, kw_only=True)
class ClipPlan:
    """Plan for a list of clips: `predict --dry-run`.

    Attributes:
        file: The list.
        num_rows: Rows of the list.
        num_clips: Clips of these rows, each counted once.
        num_missing: Clips without a file.
        num_labels: Labelled clips.
        num_images: Most images that are encoded; fewer for clips with fewer frames than the model takes.
        notes: Remarks for the user.
        face_run: Name of the face-only run whose answers will be shown beside; None without one.
    """

    file: Path
    num_rows: int
    num_clips: int
    num_missing: int
    num_labels: int
    num_images: int
    notes: tuple[str, ...]
    face_run: str | None = None

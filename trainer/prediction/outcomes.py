"""Results of predictions of several sources, and callbacks for their progress."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from trainer.prediction.inputs import Input
from trainer.prediction.label_runs import timelines
from trainer.prediction.label_scores import LabelScores
from trainer.prediction.people_summary import summaries
from trainer.prediction.results import NOTICE, UNKNOWN, Prediction
from trainer.prediction.source import PlannedSource
from trainer.prediction.video_progress import Progress


@dataclass(frozen=True, kw_only=True)
class PersonShare:
    """A person of a video.

    Attributes:
        name: Name of the person.
        num_windows: Windows of the person.
        num_answers: Those with an answer.
        shares: Fraction of the time with an answer that each class has; empty without any answer.
    """

    name: str
    num_windows: int
    num_answers: int
    shares: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class PredictedVideo:
    """Outcome for one source.

    Attributes:
        name: Name of its output below the output directory.
        path: The source.
        out: Directory of its files.
        num_windows: Windows; a window with two people counts twice.
        num_answers: Those with an answer.
        people: People with a name, and `UNKNOWN`.
        num_unfollowed: See `Prediction`.
        done_seconds: See `Prediction`.
        duration_seconds: Length of the source; None without times.
        seconds: Time of this run for the source.
        notes: Remarks for the user.
        skipped: Formats that were not written, with the reason.
        failure: Why there is no prediction; empty if there is one.
    """

    name: str
    path: Path
    out: Path
    num_windows: int = 0
    num_answers: int = 0
    people: tuple[PersonShare, ...] = ()
    num_unfollowed: int = 0
    done_seconds: float | None = None
    duration_seconds: float | None = None
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    failure: str = ""


@dataclass(frozen=True, kw_only=True)
class PredictReport:
    """Result of `predict_all`.

    Attributes:
        videos: The sources, in order.
        banners: Warnings to show with every answer.
        page: Page over all sources; None for a single one.
        is_interrupted: Whether sources are missing or incomplete because of an interruption.
        notice: `NOTICE`.
        labels: Scores of the user's labels; None without labels.
    """

    videos: tuple[PredictedVideo, ...]
    banners: tuple[str, ...]
    page: Path | None
    is_interrupted: bool = False
    notice: str = NOTICE
    labels: LabelScores | None = None

    @property
    def num_failed(self) -> int:
        """Sources without a prediction."""
        return sum(bool(video.failure) for video in self.videos)


@dataclass(kw_only=True)
class PredictObserver:
    """Callbacks of `predict_all`; each does nothing by default.

    Attributes:
        on_scan: Called when a scan begins, with the source; returns a function of the scanned seconds.
        on_windows: Called when the windows of a source are known; returns a function of the progress.
        on_drawing: Called before the annotated video is written; returns a function of the written seconds.
        on_explaining: Called before windows are explained; returns a function of the numbers of windows that
            are done, and of all.
        on_note: Called with a remark.
        on_video: Called with the outcome of a source.
        on_videos: Called with the progress over all sources since its last call, as a number of sources. Any
            thread may call it.
    """

    on_scan: Callable[[Input], Callable[[float], None]] = field(default=lambda _: lambda _: None)
    on_windows: Callable[[Input, PlannedSource], Callable[[Progress], None]] = field(
        default=lambda *_: lambda _: None
    )
    on_drawing: Callable[[Input, PlannedSource], Callable[[float], None]] = field(
        default=lambda *_: lambda _: None
    )
    on_explaining: Callable[[Input], Callable[[int, int], None]] = field(default=lambda _: lambda *_: None)
    on_note: Callable[[str], None] = field(default=lambda _: None)
    on_video: Callable[[PredictedVideo], None] = field(default=lambda _: None)
    on_videos: Callable[[float], None] = field(default=lambda _: None)


def outcome_of(
    one: Input,
    where: Path,
    prediction: Prediction,
    seconds: float,
    *,
    notes: tuple[str, ...],
    skipped: tuple[str, ...],
) -> PredictedVideo:
    """Return the outcome for a source.

    Args:
        one: The source.
        where: Directory of its files.
        prediction: Its prediction.
        seconds: Time of this run for the source.
        notes: Remarks for the user.
        skipped: Formats that were not written, with the reason.
    """
    people = [
        PersonShare(
            name=summary.person.name,
            num_windows=summary.num_windows,
            num_answers=summary.num_windows - summary.num_unanswered,
            shares=dict(summary.shares or {}),
        )
        for summary in summaries(prediction, timelines(prediction))
    ]
    return PredictedVideo(
        name=one.name,
        path=one.path,
        out=where,
        num_windows=len(prediction.windows),
        num_answers=sum(window.answer is not None for window in prediction.windows),
        people=tuple(sorted(people, key=lambda person: person.name == UNKNOWN)),
        num_unfollowed=prediction.num_unfollowed,
        done_seconds=prediction.done_seconds,
        duration_seconds=prediction.source.duration_seconds,
        seconds=seconds,
        notes=notes,
        skipped=skipped,
    )

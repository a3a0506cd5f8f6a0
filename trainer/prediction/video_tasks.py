"""A video as a task of a worker, and its result."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.portable import portable
from trainer.prediction.folder_page import VideoRow
from trainer.prediction.inputs import Input
from trainer.prediction.label_scores import VideoScores
from trainer.prediction.outcomes import PredictedVideo


@dataclass(frozen=True, kw_only=True)
class VideoTask:
    """A video to predict.

    Attributes:
        number: Its place among all videos.
        source: The video.
        out: Directory of its files.
        is_only: Whether it is the only video, so that an option that does not fit it ends the command.
    """

    number: int
    source: Input
    out: Path
    is_only: bool


@dataclass(frozen=True, kw_only=True)
class VideoResult:
    """Result of a video.

    Attributes:
        video: The outcome.
        row: Its row on the page over all videos.
        scores: Scores of its labels; None without labels, or without a prediction.
        made_with: See `Prediction`; empty without a prediction.
    """

    video: PredictedVideo
    row: VideoRow
    scores: VideoScores | None = None
    made_with: Mapping[str, str] = field(default_factory=dict)


def failed(task: VideoTask, failure: str) -> VideoResult:
    """Return the result of a video that cannot be predicted, with the reason."""
    name, path = task.source.name, task.source.path
    return VideoResult(
        video=PredictedVideo(name=name, path=path, out=task.out, failure=failure),
        row=VideoRow(name=name, failure=portable(failure)),
    )

"""Labelled spans and the predictions of their videos -> one answer per span, WAR, UAR and recalls.

The answer for a span is the class with the largest mean probability over the windows of one person whose
middle is in the span. A span between two middles has the windows that overlap it most.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.errors import DatasetError, some
from trainer.metrics import Metrics
from trainer.prediction.labels import LabelRow, Labels
from trainer.prediction.results import UNKNOWN, Prediction, WindowAnswer
from trainer.prediction.spans import Axis, Span, axis_of, spans_of

_EQUAL = 1e-6
"""Overlaps in seconds or frames that differ by less are equal."""
_SHOWN = 8

NO_WINDOW = "no window of a person in the span"
STOPPED = "the prediction was stopped before the end of the span"
NOT_YET = "no such person before the prediction was stopped"
NOT_PREDICTED = "no prediction of the video"


@dataclass(frozen=True, kw_only=True)
class LabelScore:
    """A labelled span with its answer.

    Attributes:
        row: The label.
        person: Person whose windows count; a track for one of `UNKNOWN`; empty if nobody is in the span.
        prediction: Class with the largest mean probability; None if there is no answer.
        probability: Mean probability of each class; None if there is no answer.
        num_windows: Windows with an answer that the mean is over.
        num_people: People with an answer in the span.
        reason: Why there is no answer; empty if there is one.
    """

    row: LabelRow
    person: str = ""
    prediction: str | None = None
    probability: Mapping[str, float] | None = None
    num_windows: int = 0
    num_people: int = 0
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class LabelScores:
    """The scores of a file of labels.

    Attributes:
        labels: The labels.
        scores: One per row of `labels`, in its order.
        run: Name of the run.
        banners: Warnings to show with every answer.
    """

    labels: Labels
    scores: tuple[LabelScore, ...]
    run: str
    banners: tuple[str, ...] = ()

    @cached_property
    def metrics(self) -> Metrics | None:
        """Metrics of the rows with an answer and a class of the run, over clusters of rows; None without."""
        names = self.labels.class_names
        clusters = {
            name: number for number, name in enumerate(dict.fromkeys(r.cluster for r in self.labels.rows))
        }
        counted = [
            (names.index(score.row.class_name), names.index(score.prediction), clusters[score.row.cluster])
            for score in self.scores
            if score.row.class_name is not None and score.prediction is not None
        ]
        if not counted:
            return None
        label_N, predicted_N, group_N = np.array(counted, dtype=np.int64).T
        return Metrics.of_clips(names, label_N, predicted_N, group_N)

    @property
    def unanswered(self) -> Mapping[str, int]:
        """Reasons why rows with a class of the run have no answer, and their numbers of rows."""
        return Counter(
            score.reason
            for score in self.scores
            if score.row.class_name is not None and score.prediction is None
        )

    @property
    def num_several_people(self) -> int:
        """Rows without a person in whose span several people have an answer."""
        return sum(not score.row.person and score.num_people > 1 for score in self.scores)


@dataclass(frozen=True, kw_only=True)
class VideoScores:
    """The scores of one video's labels.

    Attributes:
        scores: One per label of the video.
        error: Why they cannot be scored: the message of a DatasetError; empty if they can.
    """

    scores: tuple[LabelScore, ...] = ()
    error: str = ""


def score_video(labels: Labels, video: str, prediction: Prediction) -> VideoScores:
    """Return the scores of the labels of a video, so that its prediction does not have to stay in memory.

    Args:
        labels: The labels of all videos.
        video: Name of the video, an `Input.name`.
        prediction: Its prediction.
    """
    try:
        return VideoScores(scores=score_labels(labels.of_video(video), prediction))
    except DatasetError as error:
        return VideoScores(error=str(error))


def collect_scores(
    labels: Labels, found: Sequence[VideoScores | None], run: str, banners: Sequence[str] = ()
) -> LabelScores:
    """Return the scores of all labels; those of videos without a prediction are without an answer.

    Args:
        labels: The labels.
        found: Scores of the videos; None for a video without a prediction.
        run: Name of the run.
        banners: Warnings to show with every answer.

    Raises:
        DatasetError: The first of `score_labels`.
    """
    there = [one for one in found if one is not None]
    for one in there:
        if one.error:
            raise DatasetError(one.error)
    scores = {row: LabelScore(row=row, reason=NOT_PREDICTED) for row in labels.rows}
    scores |= {score.row: score for one in there for score in one.scores}
    return LabelScores(labels=labels, scores=tuple(scores.values()), run=run, banners=tuple(banners))


def score_labels(rows: Sequence[LabelRow], prediction: Prediction) -> tuple[LabelScore, ...]:
    """Return the score of each labelled span of a video.

    Without a person in the row, the person with the longest time with an answer in the span counts. Each
    track of `UNKNOWN` is taken as a person of its own.

    Args:
        rows: Labels of this video.
        prediction: Its prediction.

    Raises:
        DatasetError: There is no such person or track, the span begins after the end of the video, or it has
            times and the video has none.
    """
    spans = _PeopleSpans(prediction)
    return tuple(_score(row, prediction, spans) for row in rows)


class _PeopleSpans:
    """The spans of the windows of every person and track, each computed once."""

    def __init__(self, prediction: Prediction) -> None:
        self.axis: Axis = axis_of(prediction)
        self._prediction = prediction
        self._tracks: dict[str, tuple[str, ...]] = {}
        self._spans: dict[str, tuple[Span, ...]] = {}
        self.candidates: list[str] = []
        for person in prediction.people:
            self._tracks |= {track: (track,) for track in person.tracks}
            self.candidates += person.tracks if person.name == UNKNOWN else [person.name]
        self._tracks |= {person.name: person.tracks for person in prediction.people if person.name != UNKNOWN}

    def has(self, person: str) -> bool:
        """Return whether there is a person or track of this name."""
        return person in self._tracks

    def of(self, person: str) -> tuple[Span, ...]:
        """Return the spans of a person or track."""
        if person not in self._spans:
            self._spans[person] = spans_of(self._prediction, self.axis, self._tracks[person])
        return self._spans[person]


def _score(row: LabelRow, prediction: Prediction, spans: _PeopleSpans) -> LabelScore:
    start, end = _span(row, spans.axis)
    done = prediction.done_seconds
    if done is not None and min(end, spans.axis.end) > done:
        return LabelScore(row=row, reason=STOPPED)
    if row.person and not spans.has(row.person):
        if done is not None:
            return LabelScore(row=row, reason=NOT_YET)
        raise _no_such_person(row, prediction)
    times = {name: _answered(spans.of(name), prediction, start, end) for name in spans.candidates}
    num_people = sum(time > 0 for time in times.values())
    windows = {
        name: _windows(spans.of(name), prediction, spans.axis, start, end)
        for name in ([row.person] if row.person else spans.candidates)
    }
    windows = {name: found for name, found in windows.items() if found}
    if not windows:
        return LabelScore(row=row, reason=_no_person(prediction, spans.axis, start, end))
    person = max(windows, key=lambda name: (_num_answers(windows[name]) > 0, times.get(name, 0.0)))
    answered = [window.probability for window in windows[person] if window.probability is not None]
    if not answered:
        return LabelScore(row=row, person=person, num_people=num_people, reason=_reason(windows[person]))
    mean = {name: sum(one[name] for one in answered) / len(answered) for name in prediction.class_names}
    return LabelScore(
        row=row,
        person=person,
        prediction=max(mean, key=lambda name: mean[name]),
        probability=mean,
        num_windows=len(answered),
        num_people=num_people,
    )


def _span(row: LabelRow, axis: Axis) -> tuple[float, float]:
    """Return the start and end of a row on the axis of the video."""
    for column, value in (("start_seconds", row.start_seconds), ("end_seconds", row.end_seconds)):
        if value is not None and not axis.has_times:
            msg = f"{row.where}: {column} is {value:g}, and the images have no times; give --rate."
            raise DatasetError(msg)
    start = row.start_seconds or 0.0
    if start >= axis.end:
        msg = (
            f"{row.where}: start_seconds is {start:g}; allowed: less than {axis.end:g}, the length of "
            f"'{row.path}' in seconds."
        )
        raise DatasetError(msg)
    return start, axis.end + 1 if row.end_seconds is None else row.end_seconds


def _windows(
    spans: Sequence[Span], prediction: Prediction, axis: Axis, start: float, end: float
) -> list[WindowAnswer]:
    """Return the windows with their middle in a span; without any, those that overlap it most."""
    inside = [prediction.windows[span.index] for span in spans if start <= span.middle < end]
    if inside:
        return inside
    overlaps = []
    for span in spans:
        window = prediction.windows[span.index]
        first, last = axis.extent(window)
        overlaps.append((min(last, end) - max(first, start), window))
    most = max((overlap for overlap, _ in overlaps), default=0.0)
    return [window for overlap, window in overlaps if overlap > max(0.0, most - _EQUAL)]


def _answered(spans: Sequence[Span], prediction: Prediction, start: float, end: float) -> float:
    """Return the time with an answer in a span."""
    return sum(
        max(0.0, min(span.end, end) - max(span.start, start))
        for span in spans
        if prediction.windows[span.index].answer is not None
    )


def _num_answers(windows: Sequence[WindowAnswer]) -> int:
    return sum(window.probability is not None for window in windows)


def _reason(windows: Sequence[WindowAnswer]) -> str:
    """Return the most frequent reason of windows without an answer."""
    return Counter(window.reason or NO_WINDOW for window in windows).most_common(1)[0][0]


def _no_person(prediction: Prediction, axis: Axis, start: float, end: float) -> str:
    """Return why nobody has a window in a span: the reason of its windows without a track, if any."""
    empty = [window for window in prediction.windows if not window.track]
    middles = [(sum(axis.extent(window)) / 2, window) for window in empty]
    inside = [window for middle, window in middles if start <= middle < end]
    return _reason(inside) if inside else NO_WINDOW


def _no_such_person(row: LabelRow, prediction: Prediction) -> DatasetError:
    people = [person.name for person in prediction.people if person.name != UNKNOWN]
    tracks = [track for person in prediction.people for track in person.tracks]
    there = f"the people {some(people, _SHOWN)}" if people else "nobody with a name"
    if tracks:
        there += f", and the tracks {some(tracks, _SHOWN)}"
    return DatasetError(
        f"{row.where}: person is {row.person[:100]!r}; allowed: {there}. Correct the row and repeat the "
        "command; the prediction is kept."
    )

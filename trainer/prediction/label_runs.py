"""Answers of neighbouring windows -> runs of equal answers, on a timeline for each person."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from trainer.prediction.results import UNKNOWN, PersonTracks, Prediction
from trainer.prediction.spans import Axis, Span, axis_of, spans_of


@dataclass(frozen=True, kw_only=True)
class LabelRun:
    """Consecutive windows of a person with the same answer, or all without one, within a shot.

    Attributes:
        start, end: In the unit of the axis, the end excluded.
        answer: The class; None if there is no answer.
        probability: Mean probability of this class, weighted by time; None if there is no answer.
        reasons: Different reasons why there is no answer, in order of time.
        shot: Number of the shot.
        tracks: Tracks of the windows, in order of time.
        indices: Indices of the windows in the prediction.
    """

    start: float
    end: float
    answer: str | None
    probability: float | None
    reasons: tuple[str, ...]
    shot: int
    tracks: tuple[str, ...]
    indices: tuple[int, ...]

    @property
    def length(self) -> float:
        """Length in the unit of the axis."""
        return self.end - self.start


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """Spans and runs that do not overlap.

    Attributes:
        name: Name of the person; ``unknown``, ``unknown (2)``, ... for tracks that may be of several people.
        person: The person, with all tracks.
        tracks: The tracks on this timeline.
        spans: Spans of its windows, in order.
        runs: Runs of equal answers, in order.
    """

    name: str
    person: PersonTracks
    tracks: tuple[str, ...]
    spans: tuple[Span, ...]
    runs: tuple[LabelRun, ...]


def timelines(prediction: Prediction, axis: Axis | None = None) -> tuple[Timeline, ...]:
    """Return the timeline of each person.

    Unknown tracks of the same time are of several people, so that each is on a timeline of its own; tracks
    that do not overlap share one.

    Args:
        prediction: The prediction.
        axis: Its axis, if it is known.
    """
    axis = axis or axis_of(prediction)
    found: list[Timeline] = []
    for person in prediction.people:
        if person.name == UNKNOWN:
            found += _unknown(prediction, axis, person)
        else:
            spans = spans_of(prediction, axis, person.tracks)
            runs = tuple(_runs(prediction, spans))
            found.append(
                Timeline(name=person.name, person=person, tracks=person.tracks, spans=spans, runs=runs)
            )
    return tuple(found)


def _unknown(prediction: Prediction, axis: Axis, person: PersonTracks) -> Iterator[Timeline]:
    found = ((track, spans_of(prediction, axis, [track])) for track in person.tracks)
    spans = {track: spans for track, spans in found if spans}
    lanes: list[list[str]] = []
    for track in sorted(spans, key=lambda track: spans[track][0].start):
        free = (lane for lane in lanes if spans[lane[-1]][-1].end <= spans[track][0].start)
        lane = next(free, None)
        if lane is None:
            lanes.append([track])
        else:
            lane.append(track)
    for number, lane in enumerate(lanes, 1):
        yield Timeline(
            name=UNKNOWN if number == 1 else f"{UNKNOWN} ({number})",
            person=person,
            tracks=tuple(lane),
            spans=tuple(span for track in lane for span in spans[track]),
            runs=tuple(run for track in lane for run in _runs(prediction, spans[track])),
        )


def _runs(prediction: Prediction, spans: Sequence[Span]) -> Iterator[LabelRun]:
    for together in _touching(prediction, spans):
        for answer, same in groupby(together, lambda span: prediction.windows[span.index].answer):
            yield _run(prediction, answer, list(same))


def _touching(prediction: Prediction, spans: Iterable[Span]) -> Iterator[list[Span]]:
    """Yield the spans of a shot that follow each other without a break."""
    together: list[Span] = []
    for span in spans:
        if together and (
            together[-1].end < span.start
            or prediction.windows[together[-1].index].shot != prediction.windows[span.index].shot
        ):
            yield together
            together = []
        together.append(span)
    if together:
        yield together


def _run(prediction: Prediction, answer: str | None, spans: Sequence[Span]) -> LabelRun:
    windows = [prediction.windows[span.index] for span in spans]
    start, end = spans[0].start, spans[-1].end
    probability = None
    if answer is not None:
        parts = [
            span.length * (window.probability or {}).get(answer, 0.0)
            for span, window in zip(spans, windows, strict=True)
        ]
        probability = sum(parts) / sum(span.length for span in spans)
    return LabelRun(
        start=start,
        end=end,
        answer=answer,
        probability=probability,
        reasons=tuple(dict.fromkeys(window.reason for window in windows if window.reason is not None)),
        shot=windows[0].shot,
        tracks=tuple(dict.fromkeys(window.track for window in windows)),
        indices=tuple(span.index for span in spans),
    )

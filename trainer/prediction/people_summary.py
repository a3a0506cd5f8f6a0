"""Timelines of a person -> time on screen, share of every class, and windows without an answer."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trainer.prediction.label_runs import Timeline
from trainer.prediction.results import PersonTracks, Prediction

SHARE_OF_TIME = "share of the time with an answer"
MEAN_PROBABILITY = "mean probability"
WINDOW_PROBABILITY = "probability in the window"
"""Names of the three percentages of a class, on every output: of `PersonSummary.shares`, of means over
windows weighted by their times, and of one window."""
TIMES_NOTE = (
    "An answer belongs to the whole time of a window, also where the face was missed in it. Therefore the "
    "time with an answer can be longer than the time with a detected face."
)
"""Text that explains the two times of a person."""


@dataclass(frozen=True, kw_only=True)
class PersonSummary:
    """Numbers of a person.

    Attributes:
        person: The person.
        on_screen: Time with a detected face: each window's time, multiplied by the fraction of its sampled
            frames on which the face was detected. In the unit of the axis.
        answered: Time with an answer, in the unit of the axis.
        shares: Fraction of `answered` with each class as the answer, in the order of the classes. They add
            up to 1; None without any answer.
        means: Mean probability of each class over `answered`; None without any answer.
        face_run_means: The same of the face-only run; None without one.
        num_windows: All windows of the person.
        reasons: Why windows have no answer, with the number of windows, most frequent first.
    """

    person: PersonTracks
    on_screen: float
    answered: float
    shares: Mapping[str, float] | None
    means: Mapping[str, float] | None
    face_run_means: Mapping[str, float] | None
    num_windows: int
    reasons: Mapping[str, int]

    @property
    def num_unanswered(self) -> int:
        """Windows without an answer."""
        return sum(self.reasons.values())


def summaries(prediction: Prediction, lines: Sequence[Timeline]) -> tuple[PersonSummary, ...]:
    """Return the numbers of everyone, in the order of `Prediction.people`.

    Args:
        prediction: The prediction.
        lines: Its timelines.
    """
    return tuple(
        summary_of(prediction, person, [line for line in lines if line.person is person])
        for person in prediction.people
    )


def summary_of(prediction: Prediction, person: PersonTracks, lines: Sequence[Timeline]) -> PersonSummary:
    """Return the numbers of a person, or of some of the tracks of one.

    Args:
        prediction: The prediction.
        person: The person, with the tracks that count.
        lines: Timelines of these tracks.
    """
    windows = prediction.windows
    pairs = [(span.length, windows[span.index]) for line in lines for span in line.spans]
    answered = [(length, window) for length, window in pairs if window.answer is not None]
    tracks = set(person.tracks)
    own = [window for window in windows if window.track in tracks]
    shares = [(length, {window.answer or "": 1.0}) for length, window in answered]
    means = [(length, window.probability) for length, window in answered if window.probability]
    face_run = [(length, window.face_run) for length, window in answered if window.face_run]
    reasons = Counter(window.reason or "no reason given" for window in own if window.answer is None)
    return PersonSummary(
        person=person,
        on_screen=sum(length * window.frames_found / max(1, window.num_sampled) for length, window in pairs),
        answered=sum(length for length, _ in answered),
        shares=_mean(shares, prediction.class_names),
        means=_mean(means, prediction.class_names),
        face_run_means=_mean(face_run, prediction.class_names),
        num_windows=len(own),
        reasons=dict(reasons.most_common()),
    )


def _mean(
    weighted: Sequence[tuple[float, Mapping[str, float]]], names: Sequence[str]
) -> dict[str, float] | None:
    total = sum(length for length, _ in weighted)
    if not total:
        return None
    return {
        name: sum(length * values.get(name, 0.0) for length, values in weighted) / total for name in names
    }

"""Progress of a prediction, and the fraction of a video that is done."""

from collections.abc import Callable
from dataclasses import dataclass

from trainer.prediction.source import PlannedSource


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Progress of a prediction.

    Attributes:
        seconds: Time in the source up to which frames are read; number of frames without times.
        num_people: People with windows so far.
    """

    seconds: float
    num_people: int


class Fraction:
    """The fraction of a video that is done, which only grows."""

    def __init__(self, advance: Callable[[float], None]) -> None:
        self._advance, self._done = advance, 0.0

    def reach(self, fraction: float) -> None:
        """Report that this fraction is done."""
        if fraction > self._done:
            self._advance(fraction - self._done)
            self._done = fraction


def counted_by(
    planned: PlannedSource, show: Callable[[Progress], None], fraction: Fraction
) -> Callable[[Progress], None]:
    """Return a callback that also counts the fraction of the source that is done."""
    scan = planned.scan
    total = max(scan.end_seconds if scan.has_times else float(scan.num_frames), 1e-9)

    def on_progress(progress: Progress) -> None:
        fraction.reach(min(progress.seconds / total, 1.0))
        show(progress)

    return on_progress

"""Overlapping windows of a person -> spans of time, one after another, each with the answer of one window.

Neighbouring windows overlap, but their answers should not. A time belongs to the window whose middle is
nearest, among the windows that contain the time or have their middle within half a stride of it. Between
two neighbours, a window has the time from half a stride before its middle to half a stride after it. The
first window of a shot also has the time before, and the last one the time after, because no other window is
nearer: otherwise, with windows of 2 s, the first and the last second of every shot would have no answer.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from trainer.prediction.results import Prediction, WindowAnswer

Unit = Literal["seconds", "frames"]
Extent = tuple[float, float]
"""Start and end, the end excluded."""

_ROUNDING = 1e-6
"""Gaps between two spans that are shorter are closed."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """The axis of a prediction.

    Attributes:
        unit: ``seconds``; ``frames`` if the video has no times.
        end: End of the video.
        stride: From one window to the next; None if it is not constant.
        shots: Start and end of every shot that has a window.
    """

    unit: Unit
    end: float
    stride: float | None
    shots: Mapping[int, Extent]

    @property
    def has_times(self) -> bool:
        """Whether the unit is a second."""
        return self.unit == "seconds"

    def extent(self, window: WindowAnswer) -> Extent:
        """Return the start and end of a window."""
        return _extent(window, self.unit)


@dataclass(frozen=True, kw_only=True)
class Span:
    """Time that belongs to a window.

    Attributes:
        start, end: In the unit of the axis, the end excluded.
        middle: Middle of the window.
        index: Index of the window in the prediction.
    """

    start: float
    end: float
    middle: float
    index: int

    @property
    def length(self) -> float:
        """Length in the unit of the axis."""
        return self.end - self.start


def axis_of(prediction: Prediction) -> Axis:
    """Return the axis of a prediction: seconds, if the video and all windows have times."""
    source, settings = prediction.source, prediction.settings
    has_times = source.duration_seconds is not None and all(
        window.middle_seconds is not None for window in prediction.windows
    )
    unit: Unit = "seconds" if has_times else "frames"
    extents: dict[int, list[Extent]] = defaultdict(list)
    for window in prediction.windows:
        extents[window.shot].append(_extent(window, unit))
    shots = {shot: (min(s for s, _ in found), max(e for _, e in found)) for shot, found in extents.items()}
    last = max((end for _, end in shots.values()), default=0.0)
    end = max(last, float(source.duration_seconds or 0) if has_times else float(source.num_frames))
    if has_times:
        bounds = (0.0, *prediction.cut_seconds, end)
        for shot, (first, final) in shots.items():
            if shot + 1 < len(bounds):
                shots[shot] = min(first, bounds[shot]), max(final, bounds[shot + 1])
    stride = settings.stride_seconds if has_times else settings.stride_frames
    return Axis(unit=unit, end=end, stride=stride, shots=shots)


def spans_of(prediction: Prediction, axis: Axis, tracks: Iterable[str]) -> tuple[Span, ...]:
    """Return the spans of the windows of some tracks, in order and without overlaps.

    Two tracks of one person can have windows of the same time. Of windows with the same middle, one counts:
    a window with an answer before one without, then the one with the face on more frames.

    Args:
        prediction: The prediction.
        axis: Its axis.
        tracks: Tracks of one person.
    """
    wanted = set(tracks)
    by_shot: dict[int, list[int]] = defaultdict(list)
    for index, window in enumerate(prediction.windows):
        if window.track in wanted:
            by_shot[window.shot].append(index)
    spans: list[Span] = []
    for shot in sorted(by_shot, key=lambda shot: axis.shots[shot]):
        spans += _spans_in_shot(prediction.windows, by_shot[shot], axis, axis.shots[shot])
    return tuple(spans)


def _spans_in_shot(
    windows: Sequence[WindowAnswer], indices: Sequence[int], axis: Axis, bounds: Extent
) -> Iterable[Span]:
    best: dict[float, int] = {}
    for index in sorted(indices, key=lambda index: _preference(windows[index])):
        best[_middle(axis.extent(windows[index]))] = index
    middles = sorted(best)
    reaches = [_reach(axis.extent(windows[best[middle]]), middle, axis, bounds) for middle in middles]
    starts, ends = [start for start, _ in reaches], [end for _, end in reaches]
    for left in range(len(middles) - 1):
        if ends[left] > starts[left + 1] - _ROUNDING:
            nearest = (middles[left] + middles[left + 1]) / 2
            ends[left] = starts[left + 1] = max(starts[left + 1], min(ends[left], nearest))
    for start, end, middle in zip(starts, ends, middles, strict=True):
        if start < end:
            yield Span(start=start, end=end, middle=middle, index=best[middle])


def _reach(extent: Extent, middle: float, axis: Axis, bounds: Extent) -> Extent:
    """Return the time that a window would have without neighbours."""
    half = (axis.stride or 0.0) / 2
    return max(min(extent[0], middle - half), bounds[0]), min(max(extent[1], middle + half), bounds[1])


def _preference(window: WindowAnswer) -> tuple[bool, int, float, str]:
    """Return a key by which the better of two windows is larger."""
    return window.answer is not None, window.frames_found, window.margin or 0.0, window.track


def _extent(window: WindowAnswer, unit: Unit) -> Extent:
    start, end = window.start_seconds, window.end_seconds
    if unit == "seconds" and start is not None and end is not None:
        return start, end
    return float(window.first_frame), float(window.first_frame + window.num_frames)


def _middle(extent: Extent) -> float:
    return (extent[0] + extent[1]) / 2

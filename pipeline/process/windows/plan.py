"""Windows of a long source, from the times of its frames and its cuts. Pure numpy.

Every window is in one shot, and the windows of a shot begin with it. At a constant rate, a window has a
multiple of T frames, and the next one begins a multiple of the step between sampled frames later. So
overlapping windows sample the same frames. At a variable rate, windows begin and end at times.

The last window of a shot is moved back to end with it. A shot that is shorter than a window is one window.

Letters: N frames of the source; U sampled frames of a window, each once; T frames per view.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from pipeline import frames as frame_step
from pipeline.errors import ConfigError, counted
from pipeline.frames.sampling import step_of, wanted_frames
from pipeline.process.config import ExtractConfig
from pipeline.types import FrameMeta, Ints

Seconds = npt.NDArray[np.float64]
_STEADY = 0.25
"""Largest deviation of a step between frames from the median step, as a share of it, at a constant rate."""
_CLOSE = 1e-3


@dataclass(frozen=True, kw_only=True)
class Window:
    """A window of a source.

    Attributes:
        first, num_frames: Its frames, of the source's decoded ones.
        shot: Number of its shot, from 0.
        is_short: Whether the shot is shorter than a window, or a window at a variable rate has fewer frames
            than the model takes.
        index_U: Numbers of the frames in the source that its track uses, rising; those that view 0 samples
            are among them.
    """

    first: int
    num_frames: int
    shot: int
    is_short: bool
    index_U: Ints

    @property
    def end(self) -> int:
        """Number of the first frame after it."""
        return self.first + self.num_frames


@dataclass(frozen=True, kw_only=True)
class WindowPlan:
    """All windows of a source, in the order of their last sampled frames.

    Attributes:
        windows: The windows.
        shots: First frames of the shots, rising, and the end of the last one.
        window_seconds, stride_seconds: Length of a window, and from one to the next, as they took effect.
        window_frames, stride_frames: The same in frames at a constant rate; None otherwise.
    """

    windows: tuple[Window, ...]
    shots: tuple[int, ...]
    window_seconds: float
    stride_seconds: float
    window_frames: int | None
    stride_frames: int | None

    @property
    def wanted(self) -> Ints:
        """Numbers of all frames that windows use, rising."""
        return np.unique(np.concatenate([window.index_U for window in self.windows]))

    def shot_of(self, frame: int) -> int:
        """Return the number of the shot that a frame is in, from 0."""
        return int(np.searchsorted(np.array(self.shots), frame, side="right")) - 1


def plan_windows(
    seconds_N: Seconds,
    end_seconds: float,
    cuts: Sequence[int],
    config: ExtractConfig,
    *,
    window_seconds: float,
    stride_seconds: float,
    start: float | None = None,
    end: float | None = None,
    gaps: Sequence[int] = (),
) -> WindowPlan:
    """Return the windows of a source.

    Args:
        seconds_N: Times of its frames, never decreasing.
        end_seconds: End of the last frame.
        cuts: First frames of new shots, rising.
        config: The settings of all steps.
        window_seconds: Wanted length of a window.
        stride_seconds: Wanted time from the start of a window to that of the next.
        start: Start of the part of the source that is used, in seconds; None for the source's start.
        end: End of this part; None for the source's end.
        gaps: First frames after times without frames, rising. Windows end and begin there as at cuts.

    Raises:
        ConfigError: A window would have fewer frames than the model, or the part has no frame.
    """
    first, last = _part(seconds_N, start, end)
    shots = (first, *(cut for cut in sorted({*cuts, *gaps}) if first < cut < last), last)
    rate = _constant_rate(seconds_N, end_seconds, gaps)
    num_frames = config.frames.num_frames
    if rate:
        step = _rounded(window_seconds * rate / num_frames)
        window, stride = step * num_frames, step * _rounded(stride_seconds * rate / step)
        _require_long(window_seconds * rate, window_seconds, num_frames, rate)
        spans = [span for part in pairwise(shots) for span in _even_spans(*part, window, stride)]
        window_seconds, stride_seconds = window / rate, stride / rate
        frames: tuple[int | None, int | None] = (window, stride)
    else:
        mean_rate = len(seconds_N) / max(end_seconds - seconds_N[0], 1e-9)
        _require_long(window_seconds * mean_rate, window_seconds, num_frames, mean_rate)
        times_N = np.append(seconds_N, max(end_seconds, seconds_N[-1]))
        spans = [
            span
            for part in pairwise(shots)
            for span in _timed_spans(*part, times_N, window_seconds, stride_seconds)
        ]
        frames = (None, None)
    windows = _windows_of(spans, shots, config, step_of(rate or mean_rate, config.detector.rate))
    return WindowPlan(
        windows=tuple(windows),
        shots=shots,
        window_seconds=window_seconds,
        stride_seconds=stride_seconds,
        window_frames=frames[0],
        stride_frames=frames[1],
    )


def clock_of(seconds_N: Seconds) -> Seconds:
    """Return times for linking: the source's own, or `FOLDER_RATE` frames per second without times."""
    if not np.isnan(seconds_N).any():
        return seconds_N
    return np.arange(len(seconds_N)) / frame_step.FOLDER_RATE


def meta_of(
    window: Window, seconds_N: Seconds, config: ExtractConfig, height_px: int, width_px: int
) -> FrameMeta:
    """Return a window's frames without pixels, as `extract` has them for a clip with the window's times.

    Args:
        window: The window.
        seconds_N: Times of the source's frames; NaN without times.
        config: The settings of all steps.
        height_px: Height of the frames.
        width_px: Width of the frames.
    """
    index_VT, valid_VT = frame_step.sample_indices(window.num_frames, config.frames)
    index_U = window.index_U - window.first
    return FrameMeta(
        index_U=index_U,
        seconds_U=seconds_N[window.index_U].astype(np.float32),
        position_VT=np.searchsorted(index_U, index_VT),
        valid_VT=valid_VT,
        flip_V=tuple(frame_step.is_mirrored(view) for view in range(config.frames.num_views)),
        num_decoded=window.num_frames,
        height_px=height_px,
        width_px=width_px,
        cuts=(),
    )


def _rounded(value: float) -> int:
    """Return the nearest whole number from 1, such that times in whole milliseconds do not change it."""
    return max(1, math.floor(value + 0.5 + _CLOSE))


def _part(seconds_N: Seconds, start: float | None, end: float | None) -> tuple[int, int]:
    first = 0 if start is None else int(np.searchsorted(seconds_N, start, side="left"))
    last = len(seconds_N) if end is None else int(np.searchsorted(seconds_N, end, side="left"))
    if first >= last:
        length = f"{seconds_N[-1]:.2f} s" if len(seconds_N) else "no frame"
        shown = "" if start is None else f" from {start:g} s"
        until = "" if end is None else f" before {end:g} s"
        msg = f"No frame begins{shown}{until}; the last frame begins at {length}. Change --start or --end."
        raise ConfigError(msg)
    return first, last


def _require_long(wanted_frames: float, window_seconds: float, num_frames: int, rate: float) -> None:
    """Raise ConfigError for a window with fewer frames than the model takes."""
    if round(wanted_frames) >= num_frames:
        return
    least = math.ceil(100 * num_frames / rate) / 100
    have = counted(max(1, round(wanted_frames)), "frame")
    msg = (
        f"--window {window_seconds:g} s has {have} at {rate:.4g} frames per second, and the model takes "
        f"{num_frames}, so that frames would be repeated; allowed: --window {least:g} or longer."
    )
    raise ConfigError(msg)


def _constant_rate(seconds_N: Seconds, end_seconds: float, gaps: Sequence[int]) -> float:
    """Return the frames per second of a source with a constant rate; 0 with a variable one."""
    if len(seconds_N) < 2:  # noqa: PLR2004 - one frame has no step
        return 1 / max(end_seconds - float(seconds_N[0]), 1e-3)
    steps = np.delete(np.diff(seconds_N), np.array(gaps, np.int64) - 1)
    if not len(steps):
        return 0.0
    median = float(np.median(steps))
    if not median or np.abs(steps - median).max() > _STEADY * median:
        return 0.0
    return (
        float(len(steps) / steps.sum())
        if gaps
        else (len(seconds_N) - 1) / float(seconds_N[-1] - seconds_N[0])
    )


def _even_spans(first: int, last: int, window: int, stride: int) -> Iterator[tuple[int, int, bool]]:
    """Yield first frame, end and shortness of each window of a shot, by numbers of frames."""
    if last - first <= window:
        yield first, last, last - first < window
        return
    start = first
    while start + window <= last:
        yield start, start + window, False
        start += stride
    if start - stride + window < last and stride <= window:
        yield last - window, last, False


def _timed_spans(
    first: int, last: int, times_N: Seconds, window_seconds: float, stride_seconds: float
) -> Iterator[tuple[int, int, bool]]:
    """Yield first frame, end and shortness of each window of a shot, by times; the last time is the end."""
    start, end = float(times_N[first]), float(times_N[last])
    if end - start <= window_seconds:
        yield first, last, end - start < window_seconds
        return

    def span(begin: float) -> tuple[int, int, bool]:
        a = int(np.searchsorted(times_N[:last], begin, side="left"))
        b = int(np.searchsorted(times_N[:last], begin + window_seconds, side="left"))
        return max(a, first), b, False

    number = 0
    done = -1
    while (begin := start + number * stride_seconds) + window_seconds <= end:
        a, b, _ = span(begin)
        number += 1
        if b > a:
            yield a, b, False
            done = b
        else:  # to the last window before the next frame
            ahead = (float(times_N[a]) - window_seconds - start) / stride_seconds
            number = max(number, math.floor(ahead))
    if done < last and stride_seconds <= window_seconds:
        a = int(np.searchsorted(times_N[:last], end - window_seconds, side="left"))
        yield max(first, a), last, False


def _windows_of(
    spans: Sequence[tuple[int, int, bool]], shots: Sequence[int], config: ExtractConfig, dense: int
) -> list[Window]:
    """Return a window for every span, each once, in the order of their last sampled frames.

    Args:
        spans: First frame, end, and whether the shot is shorter than a window.
        shots: First frames of the shots, and the end of the last one.
        config: The settings of all steps.
        dense: Step of the frames that are searched for faces besides the sampled ones; 0 for none.
    """
    starts = np.array(shots)
    windows = [
        Window(
            first=a,
            num_frames=b - a,
            shot=int(np.searchsorted(starts, a, side="right")) - 1,
            is_short=is_short or b - a < config.frames.num_frames,
            index_U=a + np.array(sorted(wanted_frames(b - a, config.frames, dense)), dtype=np.int64),
        )
        for a, b, is_short in dict.fromkeys(spans)
    ]
    return sorted(windows, key=lambda window: (int(window.index_U[-1]), window.first))

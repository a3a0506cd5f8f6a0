"""Times of frames in their file, as a player shows them.

A player shows 0:00 where the earliest of a file's streams starts. A video that starts half a second
after the sound has its first frame at 0.5 s.
"""

from fractions import Fraction
from typing import Any

import av

_WITHOUT_PRESENTATION_TIMES = ("avi",)
"""Formats that store frames in order of decoding and without times. FFmpeg's presentation times are wrong
there, because they follow the order of storage, late by a frame."""

_FALLBACK_RATE = 25
"""Frames/s if neither stream nor frame has a rate: FFmpeg's default for raw streams."""


class FileClock:
    """Conversion of a stream's time stamps to seconds from the start of its file.

    Attributes:
        tick: Unit of the time stamps, in seconds.
        stream_start: Start of the video, in seconds of its own time stamps.
    """

    def __init__(self, container: Any, stream: Any) -> None:
        self._decoder = stream.codec_context
        self._by_decoding = container.format.name in _WITHOUT_PRESENTATION_TIMES
        self.tick = Fraction(stream.time_base.numerator, stream.time_base.denominator)
        self.stream_start = (stream.start_time or 0) * self.tick
        self._start = _file_start(container, self.stream_start)
        self._num = self.tick.numerator * self._start.denominator
        self._shift = self._start.numerator * self.tick.denominator
        self._den = self.tick.denominator * self._start.denominator

    def of_packet(self, packet: Any) -> float | None:
        """Return the time of a packet's frame, in seconds; None if the file stores none."""
        stamp = packet.dts if self._by_decoding else packet.pts
        return None if stamp is None else self._seconds(stamp)

    def of_decoding(self, packet: Any) -> float | None:
        """Return the decoding time of a packet, in seconds, which is never later than its frame's time."""
        return None if packet.dts is None else self._seconds(packet.dts)

    def of_frame(self, frame: Any) -> float | None:
        """Return the time of a decoded frame, in seconds; None if the file stores none."""
        if not self._by_decoding:
            return None if frame.pts is None else self._seconds(frame.pts)
        # the decoder returns a frame after it has read that many packets after the frame's own
        return None if frame.dts is None else self._seconds(frame.dts - self._decoder.reorder_depth)

    def of_stream(self, time: Fraction) -> float:
        """Convert a time of the stream's own time stamps to seconds from the start of the file."""
        return float(time - self._start)

    def ticks(self, seconds: float) -> int:
        """Return the time stamp at or before a time."""
        return int((Fraction(seconds) + self._start) / self.tick)

    def _seconds(self, stamp: int) -> float:
        return float((stamp * self._num - self._shift) / self._den)  # the nearest number


def _file_start(container: Any, stream_start: Fraction) -> Fraction:
    """Return the start of the earliest stream: the video's own, unless the container's is earlier."""
    if container.start_time is None:
        return stream_start
    tick = Fraction(1, av.time_base)
    start = container.start_time * tick
    is_earlier = stream_start - start > tick  # a smaller difference is rounding in the container
    return start if is_earlier else stream_start


def frame_rate(stream: Any) -> Fraction:
    """Return the frames per second that a video stream states, 25 if it states none."""
    rate: Fraction = stream.guessed_rate or stream.average_rate or Fraction(_FALLBACK_RATE)
    return rate


class RunningClock:
    """Clock for frames in order of presentation, whose times never go back.

    A frame without a time stamp begins at the end of the previous frame. So does a frame with an earlier time
    stamp than the previous one, for example where two recordings were joined. Later times follow from there.

    Attributes:
        largest_step: Longest time from one frame to the next, in seconds.
        num_jumps: Number of times that time stamps went back.
    """

    def __init__(self, clock: FileClock, stream: Any) -> None:
        self._clock = clock
        rate = frame_rate(stream)
        self._frame_seconds = Fraction(rate.denominator, rate.numerator)
        self._shift = 0.0
        self._last: float | None = None
        self._last_stamp = -float("inf")
        self._known = clock.of_stream(clock.stream_start)
        self._num_ticks = self._num_unmeasured = 0  # since `_known`; sums of fractions per frame are slow
        self.largest_step = float(self._frame_seconds)
        self.num_jumps = 0

    @property
    def end(self) -> float:
        """End of the last frame so far, in seconds."""
        since_known = self._num_ticks * self._clock.tick + self._num_unmeasured * self._frame_seconds
        return self._known + float(since_known)

    def seconds(self, frame: Any) -> float:
        """Return the time of the next frame."""
        time = self._time(self._clock.of_frame(frame))
        if self._last is not None:
            time = max(time, self._last)
            self.largest_step = max(self.largest_step, time - self._last)
        self._last = time
        if frame.duration:
            self._num_ticks += frame.duration
        else:
            self._num_unmeasured += 1
        return time

    def _time(self, stamp: float | None) -> float:
        if stamp is None:
            return self.end
        if stamp < self._last_stamp:
            self.num_jumps += 1
            self._shift = self.end - stamp
        self._last_stamp = stamp
        self._known, self._num_ticks, self._num_unmeasured = stamp + self._shift, 0, 0
        return self._known

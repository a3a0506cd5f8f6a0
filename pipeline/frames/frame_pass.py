"""One decoding pass over a video from a time on, which begins at a key frame before it."""

import math
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, Self

import av

from pipeline.frames.clock import RunningClock
from pipeline.frames.container import Packets, Window
from pipeline.frames.decoded_frames import decoded_frames
from pipeline.frames.remarks import Remarks

_ROUNDING_SECONDS = 1e-9
"""Added to a time before it becomes a time stamp: more than the rounding of a float, less than a tick."""


class JumpedTooFarError(Exception):
    """A pass begins after the wanted time, or with too few frames before it; begin earlier."""


def earlier_begins(start: float, margin: float = 0.0) -> Iterator[float]:
    """Yield the times at which to try a pass: a margin before a time, ever earlier, at last minus infinity.

    Args:
        start: The time, in seconds.
        margin: Least time before it, in seconds.
    """
    while start - margin > 0:
        yield start - margin
        margin = 2 * margin or 1.0
    yield -math.inf


class FramePass:
    """Decoded frames of a video in order of presentation, with their times. It is a context manager.

    Args:
        path: The video.
        begin: Time at or before which the pass begins, in seconds; minus infinity for the start of the file.
        seeks: Whether to seek to this time. If not, the packets before it are read and not decoded.

    Attributes:
        packets: Packets of the pass.
        running: Clock after the last frame.
        remarks: Counter of the packets that do not decode.

    Raises:
        ClipError: (stage ``open`` or ``decode``) It is not a video, or has too many pixels.
        JumpedTooFarError: No key frame at or before the time is found.
    """

    def __init__(self, path: Path, begin: float, *, seeks: bool = True) -> None:
        self._begin = begin
        jump = seeks and begin > -math.inf
        self._num_skipped = 0 if seeks or begin == -math.inf else _packets_before(path, begin)
        try:
            self.packets = Packets(path, Window(begin + _ROUNDING_SECONDS, math.inf), jump=jump)
        except (av.error.FFmpegError, OverflowError) as error:
            raise JumpedTooFarError from error
        self.stream = self.packets.stream
        self.running = RunningClock(self.packets.clock, self.stream)
        self.remarks = Remarks()
        self._key_stamps: set[int] = set()

    def __iter__(self) -> Iterator[tuple[float, Any]]:
        """Yield time and frame. Raises JumpedTooFarError if the first frame is after the wanted begin."""
        is_first = self._begin > -math.inf
        for frame in decoded_frames(self._packets(), self.stream, self.remarks):
            seconds = self.running.seconds(frame)
            if is_first and seconds > self._begin:
                raise JumpedTooFarError
            is_first = False
            yield seconds, frame

    def is_key(self, frame: Any) -> bool:
        """Return whether a pass may begin at this frame: by the decoder, and by the file's index."""
        return bool(frame.key_frame) and frame.pts in self._key_stamps

    def _packets(self) -> Iterator[Any]:
        for packet in islice(self.packets, self._num_skipped, None):
            if packet.is_keyframe and packet.pts is not None:
                self._key_stamps.add(packet.pts)
            yield packet

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.packets.container.close()


def _packets_before(path: Path, begin: float) -> int:
    """Return the number of packets before the last key frame at or before a time, in the file's order.

    Raises JumpedTooFarError if no such key frame is found before the first packet after this time.
    """
    key = None
    whole = Window(-math.inf, math.inf)
    with (
        Packets(path, whole, jump=False) as packets,
        suppress(av.error.FFmpegError),
    ):  # damage is like the end
        for number, packet in enumerate(packets):
            time = packets.clock.of_packet(packet)
            if time is not None and time > begin:
                break
            if time is not None and packet.is_keyframe:
                key = number
    if key is None:
        raise JumpedTooFarError
    return key

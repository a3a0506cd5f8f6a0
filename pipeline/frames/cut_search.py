"""Search for the cuts of a video, or of a window and a margin on both sides, beside its decoding.

Frames of the margin only serve the search: they are decoded after everything else is known about the clip,
or from a file that is opened once more.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.frames.clock import RunningClock, frame_rate
from pipeline.frames.container import Packets, Window, can_jump
from pipeline.frames.cuts import MARGIN_SECONDS, CutFinder, ShotConfig
from pipeline.frames.decoded_frames import decoded_frames
from pipeline.frames.remarks import Remarks


class CutSearch:
    """Search for the cuts of a window in the frames of one decoding pass.

    Args:
        path: The video.
        packets: Packets of the decoding pass.
        window: The decoded part of the file.
        config: Settings of the search.
        jump: Whether the packets begin at a key frame near the window's start.
    """

    def __init__(
        self, path: Path, packets: Packets, window: Window, config: ShotConfig, *, jump: bool
    ) -> None:
        self._path, self._window = path, window
        self._start, self._end = window.start - MARGIN_SECONDS, window.end + MARGIN_SECONDS
        self._finder = CutFinder(config, float(frame_rate(packets.stream)))
        self._is_late = jump  # frames of the margin may be before the first packet
        self._num_before = 0

    def add(self, seconds: float, frame: Any) -> None:
        """Add the next frame of the decoding pass, at a time in seconds, if it is within the margin."""
        if self._is_late:
            self._is_late = False
            self._add_before(seconds)
        if not self._start <= seconds < self._end:
            return
        self._finder.add(frame)
        self._num_before += seconds < self._window.start

    def add_after(self, running: RunningClock, decoded: Iterator[Any]) -> None:
        """Add the frames of the margin after the window.

        Args:
            running: Clock of the pass; it is of no use for anything else afterwards.
            decoded: Frames of the pass after the first one that is not in the window.
        """
        for frame in decoded:
            if running.seconds(frame) >= self._end:
                return
            self._finder.add(frame)

    def cuts(self, num_decoded: int) -> tuple[int, ...]:
        """Return the first frames of the window's new shots, counted from its first frame, ascending.

        Args:
            num_decoded: Number of frames in the window.
        """
        found = (cut - self._num_before for cut in self._finder.cuts())
        return tuple(cut for cut in found if 0 < cut < num_decoded)

    def _add_before(self, end: float) -> None:
        """Add the frames of the margin before a time, from a pass of their own."""
        if end <= self._start:
            return
        margin = Window(self._start, end)
        with Packets(self._path, margin, jump=can_jump(self._path, margin)) as packets:
            running = RunningClock(packets.clock, packets.stream)
            for frame in decoded_frames(packets, packets.stream, Remarks()):
                seconds = running.seconds(frame)
                if seconds >= end:
                    return
                if seconds >= self._start:
                    self._finder.add(frame)
                    self._num_before += 1

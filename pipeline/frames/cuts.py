"""Cuts of a video, found while it is decoded: the first frame of every new shot.

The frame of a cut is

- for a hard cut, the first frame of the new picture; if a mixture of both pictures is between them, the frame
  after the mixture;
- after blank frames (black, white or plain ones), the first frame that is not blank. Hence a fade through
  black is one cut, at the end of the black frames. A cut to black and a cut from black are two cuts;
- in a fade without a blank frame, the one after the least contrast;
- in a dissolve, the first frame with at least half of the new picture.

Frames without a picture belong to the shot before. `shot_changes` has the method.
"""

from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from pipeline.frames.shot_changes import BLOCK_PX, GradualChange, Lengths, ShotChanges, merged_changes
from pipeline.frames.shot_config import ShotConfig
from pipeline.types import Bytes

__all__ = ["MARGIN_SECONDS", "CutFinder", "ShotConfig"]

MARGIN_SECONDS = 1.0
"""Length of video before and after a window that is searched with it, so that a window has the cuts of the
whole file. From 4 frames/s on, a decision depends on about 1 s on either side at most; below, on 4 frames, so
that a window may have other cuts than the whole file."""

_LONG_SIDE_PX, _SHORT_SIDE_PX = 96, 24
_CHUNK = 128
"""Frames whose cuts are decided at a time."""


class CutFinder:
    """Search for cuts in frames that are added in order of presentation.

    It keeps small pictures of at most about 240 frames (2 MB), and the frames of cuts.

    Args:
        config: Settings of the search.
        frames_per_second: Rate of the video, with which lengths of flashes, fades and dissolves become
            numbers of frames. A wrong rate only shortens or lengthens them.
    """

    def __init__(self, config: ShotConfig, frames_per_second: float) -> None:
        self._config = config
        self._lengths = Lengths.at_rate(frames_per_second)
        self._reach = self._lengths.reach
        self._pictures: list[Bytes] = []
        self._first = self._decided = 0  # number of the first kept frame, and of the first undecided one
        self._hard: list[int] = []
        self._gradual: list[GradualChange] = []
        self._reformatter = VideoReformatter()
        self._size: tuple[int, int] | None = None

    @property
    def reach(self) -> int:
        """Frames before and after a frame on which its decision depends."""
        return self._reach

    @property
    def num_added(self) -> int:
        """Number of frames that were added."""
        return self._first + len(self._pictures)

    def add(self, frame: Any) -> None:
        """Add the next frame, a decoded PyAV frame of any size and pixel format.

        None, or a frame that does not convert, counts as a repetition of the frame before.
        """
        picture = None if frame is None else self._small(frame)
        if picture is not None:
            self._pictures.append(picture)
        elif self._pictures:
            self._pictures.append(self._pictures[-1])
        else:
            self._first = self._decided = self._first + 1
        if len(self._pictures) >= _CHUNK + 2 * self._reach:
            self._decide(self.num_added - self._reach)

    def cuts(self) -> tuple[int, ...]:
        """Return the number of the first frame of every new shot, ascending, counted from the first added.

        No further frame may be added afterwards.
        """
        return merged_changes(*self.changes())

    def changes(self) -> tuple[list[int], list[GradualChange]]:
        """Return hard cuts and gradual changes before `merged_changes` makes cuts of them.

        Each depends on the frames within `reach` only, so that those of several parts of a video, joined, are
        those of the whole video. No further frame may be added afterwards.
        """
        if self._pictures:
            self._decide(self.num_added)
        return self._hard, self._gradual

    def _small(self, frame: Any) -> Bytes | None:
        """Return the small picture of a frame, uint8 [H, W], of the size for the first frame."""
        width, height = self._size = self._size or _small_size(frame.width, frame.height)
        try:
            grey = self._reformatter.reformat(
                frame, width=width, height=height, format="gray", interpolation="AREA", threads=1
            )
        except (av.error.FFmpegError, ValueError):
            return None
        plane = grey.planes[0]
        rows = np.frombuffer(memoryview(plane), dtype=np.uint8).reshape(-1, plane.line_size)
        return rows[:height, :width].copy()

    def _decide(self, end: int) -> None:
        """Decide which frames up to a number are cuts, and delete pictures that are not needed further."""
        around = ShotChanges(np.stack(self._pictures), self._first, self._config, self._lengths)
        part = (self._decided - self._first, end - self._first)
        self._hard += around.hard(*part)
        self._gradual += around.gradual(*part)
        self._decided = end
        kept = max(0, end - self._reach - self._first)
        self._first += kept
        del self._pictures[:kept]


def _small_size(width: int, height: int) -> tuple[int, int]:
    """Return the size of the small picture for frames of a size: multiples of a block's side."""
    longest = max(width, height)
    sides = [round(_LONG_SIDE_PX * side / longest / BLOCK_PX) * BLOCK_PX for side in (width, height)]
    return max(_SHORT_SIDE_PX, sides[0]), max(_SHORT_SIDE_PX, sides[1])

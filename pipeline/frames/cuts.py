"""Cuts of a video, found while it is decoded: the first frame of every new shot.

Every frame becomes a small grey picture. Four kinds of changes of shot are searched in these.

- A hard cut: the picture changes far more than between the frames around, the frames before and after it
  do not look alike (a flash), and few blocks of one picture are found again in the other (a moving camera,
  a person who walks past, a light that is switched on). The frame of the cut is the first one of the new
  picture. If a mixture of both pictures is between them, the frame of the cut is the one after it.
- The end of blank frames, which show no picture: black, white or plain frames. The frame of the cut is the
  first one that is not blank. A fade through black is one cut, at the end of the black frames.
- A fade without a blank frame: contrast falls and rises again with another picture. The frame of the cut is
  the one after the least contrast.
- A dissolve: the middle frame is the mean of the frames around it, which show different pictures. The frame
  of the cut is the middle, the first one in which the new picture has at least about half of the weight.

Letters: N small pictures; H, W small picture; B its blocks.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from pipeline.config import require_one_of, require_range
from pipeline.frames.block_match import is_found_again
from pipeline.types import Bytes, Floats, Ints
from pipeline.versions import VERSIONS

SEARCHES = ("videos", "all", "none")
MARGIN_SECONDS = 1.0
"""Length of video before and after a window that is searched with it, so that a window has the cuts of the
whole file. A decision needs at most 0.9 s on either side, and 10 frames if these are longer."""

_LONG_SIDE_PX, _SHORT_SIDE_PX, _BLOCK_PX = 96, 24, 8
_CHUNK = 128
"""Frames whose cuts are decided at a time."""
_FLASH_SECONDS, _LEAST_FLASH = 0.08, 2
_GRADUAL_SECONDS, _LONGEST_HALF, _SHORTEST_HALF = 0.6, 36, 3
"""Half of the longest fade or dissolve, in seconds, and its limits in frames."""
_HALVES = (2, 3, 4, 6, 8, 11, 15, 20, 27, 36)
_SAME_CHANGE = 0.25
"""Mean difference in grey levels below which a frame repeats the one before."""
_LEAST_NEIGHBOUR = 1.0
"""Least change in grey levels with which a change is compared, because noise is no motion."""
_ALIKE = 0.5
"""Frames around a flash differ by less than this fraction of the change."""
_FADED = 0.35
"""Contrast in the middle of a fade, as a fraction of the contrast before and after it."""
_SAME_PICTURE = 0.8
"""Correlation of blocks from which two frames before and after a gradual change show the same."""
_MIDDLE = 0.15
"""Largest distance of the new picture's weight in a dissolve's middle from one half."""
_DISSOLVE_CHANGE = 8.0
"""Least mean difference of the blocks before and after a dissolve, in grey levels."""
_CLOSE = 2
"""Hard cuts at most this many frames apart are one cut, at the last of them."""


@dataclass(frozen=True, kw_only=True)
class ShotConfig:
    """Settings of the search for cuts.

    Pictures are grey, of 96 pixels on the long side, with 256 levels.

    Attributes:
        search: Clips that are searched: ``videos``, ``all`` (directories of images too, of which then every
            image is decoded) or ``none``.
        least_change: Least change from one frame to the next at a hard cut: mean absolute difference of
            the pixels, in grey levels.
        least_ratio: Least ratio of that change to the median change of the four frames around.
        most_kept: Fraction of textured blocks that are found again in the other picture, from which both
            pictures are of one shot.
        blank_contrast: Standard deviation of the pixels, in grey levels, below which a frame is blank.
        most_residual: Largest difference of a frame in a dissolve from a mixture of its ends, as a fraction
            of the difference of the ends; 0 to find no dissolves.
    """

    VERSION: ClassVar[int] = VERSIONS["shots"]
    """Version of the search for cuts (decision 0007)."""

    search: str = "videos"
    least_change: float = 5.0
    least_ratio: float = 3.0
    most_kept: float = 0.5
    blank_contrast: float = 4.0
    most_residual: float = 0.1

    def __post_init__(self) -> None:
        require_one_of("shots.search", self.search, SEARCHES)
        require_range("shots.least_change", self.least_change, 1, 255)
        require_range("shots.least_ratio", self.least_ratio, 1, 255)
        require_range("shots.most_kept", self.most_kept, 0.01, 1)
        require_range("shots.blank_contrast", self.blank_contrast, 0, 64)
        require_range("shots.most_residual", self.most_residual, 0, 0.5)


class CutFinder:
    """Search for cuts in frames that are added in order of presentation.

    It keeps small pictures of at most about 230 frames (2 MB), and the frames of cuts.

    Args:
        config: Settings of the search.
        frames_per_second: Rate of the video, with which lengths of flashes, fades and dissolves become
            numbers of frames. A wrong rate only shortens or lengthens them.
    """

    def __init__(self, config: ShotConfig, frames_per_second: float) -> None:
        self._config = config
        self._flash = max(_LEAST_FLASH, round(_FLASH_SECONDS * frames_per_second))
        half = round(_GRADUAL_SECONDS * frames_per_second)
        self._half = min(max(half, _SHORTEST_HALF), _LONGEST_HALF)
        self._flash = min(self._flash, self._half)
        self._reach = self._half + self._half // 2 + 1
        self._pictures: list[Bytes] = []
        self._first = self._decided = 0  # number of the first kept frame, and of the first undecided one
        self._hard: list[int] = []
        self._gradual: list[_Candidate] = []
        self._reformatter = VideoReformatter()
        self._size: tuple[int, int] | None = None

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
        if self._pictures:
            self._decide(self.num_added)
        return _merged(self._hard, self._gradual)

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
        around = _Pictures(np.stack(self._pictures), self._first, self._config, self._flash, self._half)
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
    sides = [round(_LONG_SIDE_PX * side / longest / _BLOCK_PX) * _BLOCK_PX for side in (width, height)]
    return max(_SHORT_SIDE_PX, sides[0]), max(_SHORT_SIDE_PX, sides[1])


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    """A gradual change of shot before the choice among those that overlap.

    Attributes:
        frame: The frame of the cut.
        before: Last frame that surely shows the picture before.
        after: First frame that surely shows the picture after.
        change: For a dissolve, mean difference of its ends in grey levels; otherwise infinite.
    """

    frame: int
    before: int
    after: int
    change: float = math.inf


def _merged(hard: Sequence[int], gradual: Sequence[_Candidate]) -> tuple[int, ...]:
    """Return the frames of the cuts: the last of several close hard cuts, and the largest gradual changes.

    Several gradual changes over the same frames are one cut, and so are a gradual change and a hard cut.
    """
    last = [n for n in hard if not any(n < later <= n + _CLOSE for later in hard)]
    chosen: list[_Candidate] = []
    for one in sorted(gradual, key=lambda each: (-each.change, each.frame)):
        is_cut = any(one.before < frame <= one.after for frame in hard)
        if not is_cut and not any(one.before < two.after and two.before < one.after for two in chosen):
            chosen.append(one)
    return tuple(sorted({*last, *(one.frame for one in chosen)}))


class _Pictures:
    """Small pictures [N, H, W] of successive frames, of which the first has the number `first`."""

    def __init__(self, picture_NHW: Bytes, first: int, config: ShotConfig, flash: int, half: int) -> None:
        self._picture, self._first, self._config = picture_NHW, first, config
        self._flash, self._half = flash, half
        n, height, width = picture_NHW.shape
        blocks = picture_NHW.reshape(n, height // _BLOCK_PX, _BLOCK_PX, width // _BLOCK_PX, _BLOCK_PX)
        self._block_NB = blocks.mean(axis=(2, 4), dtype=np.float32).reshape(n, -1)
        self._contrast_N: Floats = picture_NHW.std(axis=(1, 2), dtype=np.float32)
        self._change_N = np.zeros(n, dtype=np.float32)
        for number in range(1, n):
            self._change_N[number] = _difference(picture_NHW[number - 1], picture_NHW[number])

    def hard(self, start: int, end: int) -> list[int]:
        """Return hard cuts at frames from `start` up to `end`, counted from the first picture."""
        return [self._first + n for n in range(max(start, 1), end) if self._is_hard(n)]

    def gradual(self, start: int, end: int) -> list[_Candidate]:
        """Return gradual changes at frames from `start` up to `end`, counted from the first picture."""
        start = max(start, 1)
        dissolves = self._dissolves(start, end) if self._config.most_residual else []
        return [*self._ends_of_blanks(start, end), *self._fades(start, end), *dissolves]

    def _at(self, frame: int, before: int, after: int, *, change: float = math.inf) -> _Candidate:
        """Return a gradual change between frames that are counted from the first picture."""
        first = self._first
        return _Candidate(frame=first + frame, before=first + before, after=first + after, change=change)

    def _is_hard(self, n: int) -> bool:
        change = float(self._change_N[n])
        if change < self._config.least_change:
            return False
        if change < self._config.least_ratio * max(self._usual_change(n), _LEAST_NEIGHBOUR):
            return False
        return not self._is_flash(n, change) and self._differ(n - 1, n)

    def _usual_change(self, n: int) -> float:
        """Return the median change of the two frames before and the two after that repeat no other frame."""
        moving = self._change_N >= _SAME_CHANGE
        before = np.flatnonzero(moving[max(1, n - self._half) : n])[-2:] + max(1, n - self._half)
        after = np.flatnonzero(moving[n + 1 : n + 1 + self._half])[:2] + n + 1
        around = self._change_N[np.concatenate([before, after])]
        return float(np.median(around)) if len(around) else 0.0

    def _is_flash(self, n: int, change: float) -> bool:
        """Return whether a frame before a change looks like one shortly after it."""
        picture, last = self._picture, len(self._picture) - 1
        pairs = [(n - 1, n + k) for k in range(1, self._flash + 1) if n + k <= last]
        pairs += [(n - 1 - k, n) for k in range(1, self._flash + 1) if n - 1 - k >= 0]
        return any(_difference(picture[a], picture[b]) < _ALIKE * change for a, b in pairs)

    def _differ(self, one: int, other: int) -> bool:
        """Return whether two frames show different pictures."""
        return not is_found_again(self._picture[one], self._picture[other], self._config.most_kept)

    def _correlation(self, one: int, other: int) -> float:
        """Return the correlation of two frames by their blocks, 0 if one of them is plain."""
        a_B, b_B = (self._block_NB[n] - self._block_NB[n].mean() for n in (one, other))
        length = math.sqrt(float(a_B @ a_B) * float(b_B @ b_B))
        return float(a_B @ b_B) / length if length else 0.0

    def _differ_slowly(self, one: int, other: int) -> bool:
        """Return whether two frames show different pictures, and not one with changing light or focus."""
        return self._correlation(one, other) < _SAME_PICTURE and self._differ(one, other)

    def _ends_of_blanks(self, start: int, end: int) -> list[_Candidate]:
        blank = self._contrast_N < self._config.blank_contrast
        found = []
        for n in (np.flatnonzero(blank[start - 1 : end - 1] & ~blank[start:end]) + start).tolist():
            begin = n - 1
            while begin > 0 and blank[begin - 1] and n - begin <= self._half:
                begin -= 1
            plainest = begin + int(np.argmin(self._contrast_N[begin:n]))
            if self._correlation(plainest, n) >= _SAME_PICTURE:
                continue  # a dark picture becomes brighter
            is_short = n - begin <= self._flash and begin > 0
            if not is_short or self._differ_slowly(*self._ends(begin, n)):
                found.append(self._at(n, begin - 1, n))
        return found

    def _ends(self, begin: int, end: int) -> tuple[int, int]:
        """Return the frames with most contrast shortly before `begin` and shortly from `end` on."""
        low = max(0, begin - self._flash)
        one = low + int(np.argmax(self._contrast_N[low:begin]))
        return one, end + int(np.argmax(self._contrast_N[end : end + self._flash]))

    def _fades(self, start: int, end: int) -> list[_Candidate]:
        contrast, found = self._contrast_N, []
        is_least = (contrast[1:-1] <= contrast[:-2]) & (contrast[1:-1] < contrast[2:])
        is_least &= contrast[1:-1] >= self._config.blank_contrast
        for n in (np.flatnonzero(is_least[start - 1 : end - 1]) + start).tolist():
            one, other = self._climb(n, -1), self._climb(n, 1)
            if contrast[n] >= _FADED * min(contrast[one], contrast[other]):
                continue
            halves = ((one, (one + n) // 2), (other, (other + n + 1) // 2))
            is_fade = all(self._correlation(*half) >= _SAME_PICTURE for half in halves)
            if is_fade and self._differ_slowly(one, other):
                found.append(self._at(n + 1, one, other))
        return found

    def _climb(self, n: int, step: int) -> int:
        """Return the frame up to which contrast rises steadily from a frame, backwards for a step of -1."""
        contrast, last = self._contrast_N, n + step * self._half
        while 0 <= n + step < len(contrast) and n != last and contrast[n + step] >= contrast[n]:
            n += step
        return n

    def _dissolves(self, start: int, end: int) -> list[_Candidate]:
        change_N, half_N = self._dissolve_changes()
        found = []
        for n in (np.flatnonzero(change_N[start:end]) + start).tolist():
            low = max(0, n - self._half // 2)
            is_most = n == low + int(np.argmax(change_N[low : n + self._half // 2 + 1]))
            one, other = n - int(half_N[n]), n + int(half_N[n])
            if is_most and self._differ_slowly(one, other):
                middle = one + self._first_mostly_new(one, other)
                found.append(self._at(middle, one, other, change=float(change_N[n])))
        return found

    def _first_mostly_new(self, one: int, other: int) -> int:
        """Return the first frame of a dissolve, from `one` on, with at least half of the new picture."""
        step = self._block_NB[other] - self._block_NB[one]
        weight = (self._block_NB[one : other + 1] - self._block_NB[one]) @ step
        return int(np.argmax(weight >= weight[-1] / 2))

    def _dissolve_changes(self) -> tuple[Floats, Ints]:
        """Return the largest change of a dissolve with its middle at each frame, 0 for none, and its half.

        Frames of a dissolve are on a straight line between its ends, and a moving picture is not.
        """
        block_NB, contrast_N, most = self._block_NB, self._contrast_N, self._config.most_residual
        change_N, half_N = np.zeros(len(block_NB), np.float32), np.zeros(len(block_NB), np.int64)
        for half in _HALVES:
            low, high = half, len(block_NB) - half
            if half > self._half or low >= high:
                break
            before, after = block_NB[: high - half], block_NB[low + half :]
            step = after - before
            change = np.abs(step - step.mean(axis=1, keepdims=True)).mean(axis=1)
            pictured = np.minimum(contrast_N[: high - half], contrast_N[low + half :])
            fits = (change >= _DISSOLVE_CHANGE) & (pictured >= 2 * self._config.blank_contrast)
            length = np.maximum(np.square(step).sum(axis=1), 1.0)
            for place in (-(half // 2), 0, half // 2):
                moved = block_NB[low + place : high + place] - before
                weight = (moved * step).sum(axis=1) / length
                fits &= np.abs(moved - weight[:, None] * step).mean(axis=1) <= most * change
                if place == 0:
                    fits &= np.abs(weight - 0.5) <= _MIDDLE
            here = np.where(fits, change, 0.0)
            larger = here > change_N[low:high]
            change_N[low:high][larger], half_N[low:high][larger] = here[larger], half
        return change_N, half_N


def _difference(one_HW: Bytes, other_HW: Bytes) -> float:
    """Return the mean absolute difference of two pictures, in grey levels."""
    return float(cv2.norm(one_HW, other_HW, cv2.NORM_L1)) / one_HW.size

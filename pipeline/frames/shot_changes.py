"""Changes of shot in small grey pictures of successive frames.

- A hard cut: the picture changes far more than between the frames around, and few blocks of one picture are
  found again in the other. A moving camera or a light that is switched on changes the picture too, but most
  blocks are found again. If the picture of before returns within two frames (or 0.08 s), the change is a
  flash. If the same picture is there 0.3 s before and after the change, somebody who passed close to the
  camera has hidden it. Therefore a shot of up to 0.3 s between two parts of another shot is not found.
- The end of blank frames, which show no picture: black, white or plain frames.
- A fade without a blank frame: contrast falls and rises again with another picture.
- A dissolve: the frames are mixtures of two different pictures.

Letters: N small pictures; H, W small picture; B its blocks.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from pipeline.frames.block_match import is_found_again
from pipeline.frames.shot_config import ShotConfig
from pipeline.types import Bytes, Floats, Ints

BLOCK_PX = 8
_FLASH_SECONDS, _LEAST_FLASH = 0.08, 2
"""Longest flash, in seconds, and at least in frames."""
_PASSAGE_SECONDS, _LEAST_PASSAGE = 0.3, 2
"""Time before and after a change in which the same picture shows that it was only hidden."""
_SAME_BLOCK, _LEAST_SAME_BLOCKS = 8.0, 0.3
"""Grey levels below which a block is unchanged, and the fraction of these from which blocks are matched."""
_GRADUAL_SECONDS, _LONGEST_HALF, _SHORTEST_HALF = 0.6, 36, 3
"""Half of the longest fade or dissolve, in seconds, and its limits in frames."""
_HALVES = (2, 3, 4, 6, 8, 11, 15, 20, 27, 36)
_SAME_CHANGE = 0.25
"""Mean difference in grey levels below which a frame repeats the one before."""
_NEAR = 3
"""Frames before and after a change among which its neighbours are."""
_LEAST_NEIGHBOUR = 1.0
"""Least change in grey levels with which a change is compared, because noise is no motion."""
_ALIKE = 0.5
"""Frames around a flash differ by less than this fraction of the change."""
_LARGEST_STEP = 0.75
"""Largest change of contrast from one frame to the next in a fade, as a fraction of its whole change."""
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
class GradualChange:
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

    def moved(self, by: int) -> "GradualChange":
        """Return the change with frames counted from another one."""
        return replace(self, frame=self.frame + by, before=self.before + by, after=self.after + by)


def merged_changes(hard: Sequence[int], gradual: Sequence[GradualChange]) -> tuple[int, ...]:
    """Return the frames of the cuts: the last of several close hard cuts, and the largest gradual changes.

    Several gradual changes over the same frames are one cut, and so are a gradual change and a hard cut.
    """
    numbers = set(hard)
    last = [n for n in hard if numbers.isdisjoint(range(n + 1, n + _CLOSE + 1))]
    chosen: list[GradualChange] = []
    for one in sorted(gradual, key=lambda each: (-each.change, each.frame)):
        is_cut = any(one.before < frame <= one.after for frame in hard)
        if not is_cut and not any(one.before < two.after and two.before < one.after for two in chosen):
            chosen.append(one)
    return tuple(sorted({*last, *(one.frame for one in chosen)}))


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """Lengths of events in frames, at the rate of a video.

    Attributes:
        flash: Longest flash.
        passage: Distance before and after a change at which the same picture shows that it was only hidden.
        half: Half of the longest fade or dissolve.
    """

    flash: int
    passage: int
    half: int

    @classmethod
    def at_rate(cls, frames_per_second: float) -> "Lengths":
        """Return the lengths at a number of frames per second; absurd rates have limits."""
        half = round(_GRADUAL_SECONDS * frames_per_second)
        half = min(max(half, _SHORTEST_HALF), _LONGEST_HALF)
        flash, passage = (round(s * frames_per_second) for s in (_FLASH_SECONDS, _PASSAGE_SECONDS))
        return cls(
            flash=min(max(flash, _LEAST_FLASH), half),
            passage=min(max(passage, _LEAST_PASSAGE), half),
            half=half,
        )

    @property
    def reach(self) -> int:
        """Frames before and after a frame on which its decision depends."""
        return self.half + self.half // 2 + 1


class ShotChanges:
    """Changes of shot in the small pictures of successive frames.

    Args:
        picture_NHW: Grey pictures, uint8 [N, H, W]; H and W are multiples of `BLOCK_PX`.
        first: Number of the first picture's frame.
        config: Settings of the search.
        lengths: Lengths of events in frames.
    """

    def __init__(self, picture_NHW: Bytes, first: int, config: ShotConfig, lengths: Lengths) -> None:
        self._picture, self._first, self._config = picture_NHW, first, config
        self._flash, self._passage, self._half = lengths.flash, lengths.passage, lengths.half
        n, height, width = picture_NHW.shape
        blocks = picture_NHW.reshape(n, height // BLOCK_PX, BLOCK_PX, width // BLOCK_PX, BLOCK_PX)
        self._block_NB = blocks.mean(axis=(2, 4), dtype=np.float32).reshape(n, -1)
        self._contrast_N: Floats = picture_NHW.std(axis=(1, 2), dtype=np.float32)
        self._change_N = np.zeros(n, dtype=np.float32)
        for number in range(1, n):
            self._change_N[number] = _difference(picture_NHW[number - 1], picture_NHW[number])

    def hard(self, start: int, end: int) -> list[int]:
        """Return hard cuts at frames from `start` up to `end`, counted from the first picture."""
        return [self._first + n for n in range(max(start, 1), end) if self._is_hard(n)]

    def gradual(self, start: int, end: int) -> list[GradualChange]:
        """Return gradual changes at frames from `start` up to `end`, counted from the first picture."""
        start = max(start, 1)
        dissolves = self._dissolves(start, end) if self._config.most_residual else []
        return [*self._ends_of_blanks(start, end), *self._fades(start, end), *dissolves]

    def _at(self, frame: int, before: int, after: int, *, change: float = math.inf) -> GradualChange:
        """Return a gradual change between frames that are counted from the first picture."""
        first = self._first
        return GradualChange(frame=first + frame, before=first + before, after=first + after, change=change)

    def _is_hard(self, n: int) -> bool:
        change = float(self._change_N[n])
        if change < self._config.least_change:
            return False
        if change < self._config.least_ratio * max(self._usual_change(n), _LEAST_NEIGHBOUR):
            return False
        return not self._is_flash(n, change) and self._differ(n - 1, n) and not self._is_passage(n)

    def _usual_change(self, n: int) -> float:
        """Return the median change of the two frames before and the two after, without repeated frames.

        Up to two repetitions are passed over; a missing frame counts as 0.
        """
        sides = (self._change_N[max(1, n - _NEAR) : n][::-1], self._change_N[n + 1 : n + 1 + _NEAR])
        around = [side[side >= _SAME_CHANGE][:2] for side in sides]
        return float(np.median(np.concatenate([*around, np.zeros(4 - sum(map(len, around)))])))

    def _is_flash(self, n: int, change: float) -> bool:
        """Return whether a frame before a change looks like one shortly after it."""
        picture, last = self._picture, len(self._picture) - 1
        pairs = [(n - 1, n + k) for k in range(1, self._flash + 1) if n + k <= last]
        pairs += [(n - 1 - k, n) for k in range(1, self._flash + 1) if n - 1 - k >= 0]
        return any(_difference(picture[a], picture[b]) < _ALIKE * change for a, b in pairs)

    def _is_passage(self, n: int) -> bool:
        """Return whether the frames well before and well after a change show one picture.

        Somebody who passes close to the camera hides the picture for a moment.
        """
        for apart in (self._passage, (self._passage + 1) // 2):
            one, other = n - 1 - apart, n + apart
            if one < 0 or other >= len(self._picture):
                continue
            same = np.abs(self._block_NB[one] - self._block_NB[other]) < _SAME_BLOCK
            if same.mean() >= _LEAST_SAME_BLOCKS and not self._differ(one, other):
                return True
        return False

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

    def _ends_of_blanks(self, start: int, end: int) -> list[GradualChange]:
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

    def _fades(self, start: int, end: int) -> list[GradualChange]:
        contrast, found = self._contrast_N, []
        is_least = (contrast[1:-1] <= contrast[:-2]) & (contrast[1:-1] < contrast[2:])
        is_least &= contrast[1:-1] >= self._config.blank_contrast
        for n in (np.flatnonzero(is_least[start - 1 : end - 1]) + start).tolist():
            one, other = self._climb(n, -1), self._climb(n, 1)
            if not (self._is_gradual(one, n) and self._is_gradual(n, other)):
                continue
            if contrast[n] >= _FADED * min(contrast[one], contrast[other]):
                continue
            halves = ((one, (one + n) // 2), (other, (other + n + 1) // 2))
            is_fade = all(self._correlation(*half) >= _SAME_PICTURE for half in halves)
            if is_fade and self._differ_slowly(one, other):
                found.append(self._at(n + 1, one, other))
        return found

    def _is_gradual(self, one: int, other: int) -> bool:
        """Return whether contrast changes in steps from one frame to another, not at once as with a flash."""
        part = self._contrast_N[one : other + 1]
        largest = np.abs(np.diff(part)).max(initial=0.0)
        return bool(largest <= _LARGEST_STEP * abs(part[-1] - part[0])) and other - one > 1

    def _climb(self, n: int, step: int) -> int:
        """Return the frame up to which contrast rises steadily from a frame, backwards for a step of -1."""
        contrast, last = self._contrast_N, n + step * self._half
        while 0 <= n + step < len(contrast) and n != last and contrast[n + step] >= contrast[n]:
            n += step
        return n

    def _dissolves(self, start: int, end: int) -> list[GradualChange]:
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

"""The sampled frames of a clip.

Letters: U sampled frames, each once; V views; T frames per view; H, W height and width of a frame.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from pipeline.types.arrays import Bools, Bytes, Floats, Ints
from pipeline.types.checks import require
from pipeline.types.notes import Note


@dataclass(frozen=True, kw_only=True)
class FrameMeta:
    """The sampled frames of a clip without their pixels, and how views are made of them."""

    index_U: Ints
    """[U] numbers of the sampled frames among the clip's decoded frames, rising."""
    seconds_U: Floats
    """[U] presentation times in seconds from the start of the file, as a player shows them.

    NaN for images of a directory, which have no frame rate.
    """
    position_VT: Ints
    """[V, T] place of every frame of every view among the sampled ones, 0 to U - 1."""
    valid_VT: Bools
    """[V, T], false where the last frame of a short clip is repeated."""
    flip_V: tuple[bool, ...]
    """Views that are mirrored left to right."""
    num_decoded: int
    """All frames of the clip."""
    height_px: int
    """Height of the upright frames."""
    width_px: int
    """Width of the upright frames."""
    notes: tuple[Note, ...] = ()
    """Remarks for the user, such as packets that did not decode."""
    cuts: tuple[int, ...] | None = None
    """Numbers of the first frames of new shots among the clip's decoded frames, rising, none of them 0.

    None if the cuts were not searched.
    """

    @property
    def sampled_U(self) -> Ints:
        """Places of the frames that a view samples; further ones serve the track alone."""
        return np.unique(self.position_VT)

    def at(self, place_U: Ints) -> "FrameMeta":
        """Return only the frames at these places, which are rising and contain those that a view samples."""
        return replace(
            self,
            index_U=self.index_U[place_U],
            seconds_U=self.seconds_U[place_U],
            position_VT=np.searchsorted(place_U, self.position_VT),
        )

    @property
    def first_view(self) -> "FrameMeta":
        """The same frames with the first view alone."""
        return replace(
            self, position_VT=self.position_VT[:1], valid_VT=self.valid_VT[:1], flip_V=self.flip_V[:1]
        )

    @property
    def shot_U(self) -> Ints:
        """[U] number of the shot that each sampled frame is in; 0 where cuts were not searched."""
        shots: Ints = np.searchsorted(np.array(self.cuts or (), dtype=np.int64), self.index_U, side="right")
        return shots

    def __post_init__(self) -> None:
        u, (first, last) = len(self.index_U), (self.index_U[:1].tolist(), self.index_U[-1:].tolist())
        one_each = u > 0 and self.index_U.shape == self.seconds_U.shape == (u,)
        shapes = f"{list(self.index_U.shape)}, times {list(self.seconds_U.shape)}"
        require(one_each, f"one index per frame and one time, not indices {shapes}")
        require((np.diff(self.index_U) > 0).all(), f"frame indices must rise: {self.index_U.tolist()}")
        in_range = first[0] >= 0 and last[0] < self.num_decoded
        require(in_range, f"index out of range: {first[0]} to {last[0]} of {self.num_decoded} frames")
        places, valid = self.position_VT.shape, self.valid_VT.shape
        require(places == valid, f"one validity per position, not {list(valid)} for {list(places)}")
        flips, views = len(self.flip_V), len(self.position_VT)
        require(flips == views, f"one flip per view, not {flips} for {views}")
        low, high = self.position_VT.min(), self.position_VT.max()
        require(low >= 0 and high < u, f"position out of range: {low} to {high} of {u} frames")
        begins = self.valid_VT[:, 0].tolist()
        require(all(begins), f"the first frame of a view is always valid, not {begins}")
        cuts = [0, *(self.cuts or ()), self.num_decoded]
        rising = all(one < other for one, other in pairwise(cuts))
        require(rising, f"cuts must rise from 1 to {self.num_decoded - 1}: {list(self.cuts or ())}")
        size = f"{self.width_px}x{self.height_px}"
        require(self.height_px > 0 and self.width_px > 0, f"frames have pixels, not {size}")


@dataclass(frozen=True, kw_only=True)
class Frames:
    """The sampled frames of a clip, upright, each once."""

    meta: FrameMeta
    """All but the pixels."""
    rgb_UHWC: Bytes
    """uint8 [U, H, W, 3], of the size that `meta` states."""

    def __post_init__(self) -> None:
        shape, dtype, meta = list(self.rgb_UHWC.shape), self.rgb_UHWC.dtype, self.meta
        require(len(shape) == 4 and shape[3] == 3, f"frames are [U, H, W, 3], not {shape}")
        require(dtype == np.uint8, f"frames are uint8, not {dtype}")
        expected = [len(meta.index_U), meta.height_px, meta.width_px]
        require(shape[:3] == expected, f"pixels of the frames are {shape[:3]}, expected: {expected}")

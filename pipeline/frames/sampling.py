"""Which frames of a clip are taken: pure arithmetic of indices.

Letters: V views; T frames per view; n decodable frames.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.config import require_range
from pipeline.types import Bools, Ints
from pipeline.versions import VERSIONS

_FIRST_MOVED_VIEW = 2


@dataclass(frozen=True, kw_only=True)
class FrameConfig:
    """How many frames are taken of a clip.

    num_frames: T per view. num_views: 1 is the centre of T equal parts; the second view mirrors
    it; further ones move within the parts.
    """

    VERSION: ClassVar[int] = VERSIONS["frames"]
    """Of decoding and sampling (decisions 0007 and 0010)."""

    num_frames: int = 16
    num_views: int = 1

    def __post_init__(self) -> None:
        require_range("frames.num_frames", self.num_frames, 1, 512)
        require_range("frames.num_views", self.num_views, 1, 16)


def view_offset(view: int) -> float:
    """Where in each of the T equal parts a view takes its frame, from 0 to 1.

    The centre for views 0 and 1; then the van der Corput sequence 1/4, 3/4, 1/8, ... so that
    more views leave the earlier ones as they are.
    """
    if view < _FIRST_MOVED_VIEW:
        return 0.5
    place, offset, scale = view, 0.0, 0.5
    while place:
        place, digit = divmod(place, 2)
        offset += digit * scale
        scale /= 2
    return offset


def is_mirrored(view: int) -> bool:
    """Whether a view shows the frames mirrored left to right."""
    return view == 1


def sample_indices(num_decoded: int, config: FrameConfig) -> tuple[Ints, Bools]:
    """Which frames each view takes: indices [V, T] into n decoded frames, and their validity.

    With n >= T, frame i of a view lies at floor((i + offset) n / T): rising, no frame twice.
    A shorter clip gives all its frames in order, then its last one again, marked invalid.
    """
    t = config.num_frames
    if num_decoded < t:
        row = np.minimum(np.arange(t), num_decoded - 1)
        index_VT = np.tile(row, (config.num_views, 1))
        return index_VT, np.tile(np.arange(t) < num_decoded, (config.num_views, 1))
    parts = np.arange(t, dtype=np.float64)
    rows = [np.floor((parts + view_offset(v)) * num_decoded / t) for v in range(config.num_views)]
    index_VT = np.stack(rows).astype(np.int64)
    return index_VT, np.ones_like(index_VT, dtype=np.bool_)


def wanted_frames(num_decoded: int, config: FrameConfig) -> frozenset[int]:
    """The numbers of the frames that some view takes; none of a clip without frames."""
    if num_decoded == 0:
        return frozenset()
    return frozenset(int(i) for i in sample_indices(num_decoded, config)[0].ravel())

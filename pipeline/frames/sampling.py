"""Choice of a clip's sampled frames: pure arithmetic of indices.

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
    """Settings of the sampling.

    Attributes:
        num_frames: Number T of frames per view.
        num_views: Number V of views. The first samples the centres of T equal parts, the second mirrors
            these frames, and further ones sample other places in the parts.
    """

    VERSION: ClassVar[int] = VERSIONS["frames"]
    """Version of decoding and sampling (decisions 0007 and 0010)."""

    num_frames: int = 16
    num_views: int = 1

    def __post_init__(self) -> None:
        require_range("frames.num_frames", self.num_frames, 1, 512)
        require_range("frames.num_views", self.num_views, 1, 16)


def view_offset(view: int) -> float:
    """Return the place of a view's frame in each of the T equal parts, from 0 to 1.

    It is the centre for views 0 and 1, and then follows the van der Corput sequence 1/4, 3/4, 1/8, ..., so
    that more views do not change the earlier ones.
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
    """Return whether a view shows the frames mirrored left to right."""
    return view == 1


def sample_indices(num_decoded: int, config: FrameConfig) -> tuple[Ints, Bools]:
    """Return the frames that each view samples.

    If n >= T, frame i of a view is floor((i + offset) n / T), so that numbers ascend and no frame is sampled
    twice. For a shorter clip, all frames are sampled in order, and then its last one again, marked invalid.

    Args:
        num_decoded: Number n of decoded frames.
        config: Settings of the sampling.

    Returns:
        Indices into the decoded frames, int64 [V, T], and their validity, bool [V, T].
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


def wanted_frames(num_decoded: int, config: FrameConfig, step: int = 0) -> frozenset[int]:
    """Return the numbers of the frames to decode into pixels; none for a clip without frames.

    Args:
        num_decoded: Number n of decoded frames.
        config: Settings of the sampling.
        step: Every so many frames, one is wanted besides those that at least one view samples; 0 for none.
    """
    if num_decoded == 0:
        return frozenset()
    sampled = sample_indices(num_decoded, config)[0].ravel().tolist()
    return frozenset([*sampled, *(range(0, num_decoded, step) if step else ())])


def step_of(frame_rate: float, wanted_rate: float) -> int:
    """Return the step between frames at a wanted rate, at least 1; 0 for a wanted rate of 0."""
    return max(1, round(frame_rate / wanted_rate)) if wanted_rate else 0

"""A long source without its pixels: the time of every frame, cuts, key frames; and one frame of it.

Letters: N decoded frames; H, W height and width of a frame.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pipeline.types.arrays import Bytes, Doubles
from pipeline.types.checks import require
from pipeline.types.notes import Note
from pipeline.types.outcomes import SourceFile


@dataclass(frozen=True, kw_only=True)
class SourceScan:
    """All decoded frames of a video or of a directory of images, or of a part of a video, without pixels."""

    seconds_N: Doubles
    """[N] start of every frame in seconds from the start of the file, as a player shows it; never decreasing.

    NaN for images of a directory without a rate.
    """
    end_seconds: float
    """End of the last frame; NaN for images of a directory without a rate."""
    cuts: tuple[int, ...] | None
    """Numbers of the first frames of new shots, rising, none of them 0; None if cuts were not searched."""
    keys: tuple[int, ...]
    """Numbers of the key frames, at which decoding may begin, rising; every image of a directory is one."""
    height_px: int
    """Height of the first frame, upright and with square pixels. All frames get its size."""
    width_px: int
    """Width of the first frame."""
    frame_rate: float
    """Frames per second that the file states; 0 for images of a directory without a rate."""
    can_jump: bool
    """Whether decoding may begin at `keys`; otherwise it begins at the start of the file."""
    has_sound: bool
    """Whether the file has an audio stream."""
    source: SourceFile
    """Size and hash of the file, or of the images of a directory."""
    images: tuple[str, ...] = ()
    """Names of the images of a directory, one per frame; empty for a video."""
    notes: tuple[Note, ...] = ()
    """Remarks for the user, such as packets that did not decode."""
    gaps: tuple[int, ...] = ()
    """Numbers of the first frames after times at which the decoder broke off, rising, none of them 0."""

    @property
    def num_frames(self) -> int:
        """Number N of decoded frames."""
        return len(self.seconds_N)

    @property
    def has_times(self) -> bool:
        """Whether frames have times."""
        return bool(np.isfinite(self.seconds_N[0]))

    def __post_init__(self) -> None:
        n, size = self.num_frames, f"{self.width_px}x{self.height_px}"
        require(self.seconds_N.ndim == 1 and n > 0, f"a time per frame, not {list(self.seconds_N.shape)}")
        require(self.height_px > 0 and self.width_px > 0, f"frames have pixels, not {size}")
        known_N = np.isfinite(self.seconds_N)
        require(
            known_N.all() or not known_N.any(), f"times of all frames or none, not of {known_N.sum()}/{n}"
        )
        require(not (np.diff(self.seconds_N) < 0).any(), "times of frames never decrease")
        cuts = [0, *(self.cuts or ()), n]
        rising = all(one < other for one, other in pairwise(cuts))
        require(rising, f"cuts must rise from 1 to {n - 1}: {list(self.cuts or ())}")
        gaps = [0, *self.gaps, n]
        require(all(one < other for one, other in pairwise(gaps)), f"gaps must rise from 1 to {n - 1}")
        keys = [-1, *self.keys, n]
        require(all(one < other for one, other in pairwise(keys)), f"key frames must rise from 0 to {n - 1}")
        require(len(self.images) in (0, n), f"one image per frame, not {len(self.images)} for {n} frames")


@dataclass(frozen=True, kw_only=True)
class StreamedFrame:
    """One frame of a scanned source."""

    number: int
    """Its number in `SourceScan.seconds_N`."""
    seconds: float
    """Its time there."""
    rgb_HWC: Bytes | None
    """uint8 [H, W, 3], upright and of the size of the source's first frame; None if it was not decoded."""
    reason: str | None = None
    """Why it was not decoded, in one printable phrase; None if it was."""

    def __post_init__(self) -> None:
        given = "pixels" if self.rgb_HWC is not None else "no pixels"
        require(
            (self.rgb_HWC is None) == bool(self.reason),
            f"a frame has pixels or a reason, not {given} and the reason {self.reason!r}",
        )

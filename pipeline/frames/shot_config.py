"""Settings of the search for cuts."""

from dataclasses import dataclass
from typing import ClassVar

from pipeline.config import require_one_of, require_range
from pipeline.versions import VERSIONS

SEARCHES = ("videos", "all", "none")


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
    most_kept: float = 0.42
    blank_contrast: float = 4.0
    most_residual: float = 0.1

    def __post_init__(self) -> None:
        require_one_of("shots.search", self.search, SEARCHES)
        require_range("shots.least_change", self.least_change, 1, 255)
        require_range("shots.least_ratio", self.least_ratio, 1, 255)
        require_range("shots.most_kept", self.most_kept, 0.01, 1)
        require_range("shots.blank_contrast", self.blank_contrast, 0, 64)
        require_range("shots.most_residual", self.most_residual, 0, 0.5)

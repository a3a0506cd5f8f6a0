"""Parts to measure, and their sizes."""

from dataclasses import dataclass, field
from pathlib import Path

from pipeline.config import require_one_of, require_range
from pipeline.errors import ConfigError
from pipeline.process import ExtractConfig

PARTS = (
    "encode", "decode", "seek", "detect", "write", "pipeline", "predict", "baseline", "load", "dask",
    "workers",
)  # fmt: skip
_NEED_CLIPS = frozenset(PARTS) - {"encode", "load", "dask"}


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """Options of the bench. The defaults are sizes for published numbers.

    Attributes:
        config: The settings of all steps.
        only: Parts to measure.
        clips: Directory of videos, searched recursively. Videos larger than 360p are scaled to it.
        seek_folder: Directory whose videos are decoded and compared with a sequential read; None for `clips`.
        device: ``auto``, ``cpu`` or ``cuda``.
        num_clips: Clips of all parts except baseline and workers. If there are fewer videos, they are
            repeated.
        baseline_clips: Clips of the comparison with the baseline.
        repeats: Number of rounds, in which the compared ways alternate. The best time of each counts, and the
            median of the ratios, which are shown with their range. Decoding and detection always have 3.
        encode_pictures: Most images for the bare encoder.
        cache_clips: Clips of the synthetic cache that is loaded.
        dask_blocks: Empty blocks for Dask.
        small_encoder: CLIP model for the comparison of one worker with two.
    """

    config: ExtractConfig = field(default_factory=ExtractConfig)
    only: tuple[str, ...] = PARTS
    clips: Path | None = None
    seek_folder: Path | None = None
    device: str = "auto"
    num_clips: int = 16
    baseline_clips: int = 2
    repeats: int = 3
    encode_pictures: int = 64
    cache_clips: int = 16_372
    dask_blocks: int = 15_625
    small_encoder: str = "ViT-S-32"

    def __post_init__(self) -> None:
        for part in self.only:
            require_one_of("--only", part, PARTS)
        for name in (
            "num_clips",
            "baseline_clips",
            "repeats",
            "encode_pictures",
            "cache_clips",
            "dask_blocks",
        ):
            require_range(f"bench.{name}", getattr(self, name), 1)
        needing = [part for part in self.only if part in _NEED_CLIPS]
        if needing and self.clips is None:
            msg = f"Parts {', '.join(needing)} need videos; give --clips FOLDER, or --only encode,load,dask."
            raise ConfigError(msg)
        for folder in (self.clips, self.seek_folder):
            if folder is not None and not folder.is_dir():
                msg = f"'{folder}' is not a directory; give one with videos."
                raise ConfigError(msg)

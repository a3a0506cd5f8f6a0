"""What is measured, and how much of it."""

from dataclasses import dataclass, field
from pathlib import Path

from pipeline.config import require_one_of, require_range
from pipeline.errors import ConfigError
from pipeline.process import ExtractConfig

PARTS = (
    "encode", "decode", "seek", "detect", "write", "pipeline", "baseline", "load", "dask", "workers",
)  # fmt: skip
_NEED_CLIPS = frozenset(PARTS) - {"encode", "load", "dask"}


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """Which parts, on what, how much. Sizes are for a number to publish; smaller ones for a try.

    clips: folder of videos, searched in depth; larger than 360p they are scaled to it. num_clips: for
    all parts but baseline and workers; the folder's are repeated where it has fewer. seek_folder:
    where decoding is compared with a sequential read, None for `clips`. repeats: the best counts;
    decoding and detection are measured 3 times always, the pipeline at most twice. encode_pictures:
    at most, of the bare encoder. cache_clips: of the synthetic cache that is loaded. dask_blocks:
    empty ones. small_encoder: for one worker against two.
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
                msg = f"'{folder}' is no folder; give one with videos."
                raise ConfigError(msg)

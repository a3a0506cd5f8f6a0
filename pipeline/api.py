"""Python interface of the pipeline: `pipeline.extract` and `pipeline.open_cache`."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import final

from pipeline.config import from_dict, override
from pipeline.datasets import read_dataset
from pipeline.display.shown import Shown
from pipeline.display.text import lines
from pipeline.process import ExtractConfig
from pipeline.runner import (
    ExecutorOptions,
    RunOptions,
    RunReport,
    Speed,
    make_executor,
    require_followed_subjects,
    require_provided_faces,
)
from pipeline.runner import extract as extract_index
from pipeline.store.location import Location, LocationLike
from pipeline.store.reader import FeatureCache
from pipeline.types import ReadOptions


@final
@dataclass(frozen=True, repr=False)
class ExtractResult(Shown):
    """Result of `extract`.

    Attributes:
        report: State of the cache after the run, with the reasons of failed clips.
    """

    report: RunReport

    def __repr__(self) -> str:
        """Return the lines of the report."""
        return "\n".join(lines(self.report))

    @property
    def cache(self) -> Location:
        """Location of the cache."""
        return self.report.cache

    def open(self) -> FeatureCache:
        """Open the cache. Raises CacheError if it has been moved or damaged since."""
        return open_cache(self.cache)


def extract(
    dataset: str,
    root: str | Path,
    cache: LocationLike = "feats.zarr",
    *,
    encoder: str = "ViT-L-14-quickgelu",
    encoder_weights: str = "openai",
    detector: str = "retinaface-resnet50",
    detector_weights: str | None = None,
    frames: int = 16,
    settings: Sequence[str] = (),
    reading: ReadOptions | None = None,
    limit: int | None = None,
    retry_failed: bool = False,
    gpus: int | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    decoders: int | None = None,
    on_progress: Callable[[Speed], None] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> ExtractResult:
    """Write a cache of frozen CLIP features of video clips. The same call resumes a stopped one.

    The arguments are those of ``cli.py extract``. Nothing is printed. With `gpus` or `workers`, a script must
    make this call under ``if __name__ == "__main__":``, because worker processes import the script.

    Args:
        dataset: Name or layout of the dataset, such as ``dfew`` or ``manifest``.
        root: Path of the dataset.
        cache: Location of the cache: a directory, or ``s3://BUCKET/PREFIX``.
        encoder: CLIP model, by its name in open_clip.
        encoder_weights: Tag of open_clip, file or directory; ``random`` for untrained weights.
        detector: Face detector: ``retinaface-resnet50``, ``retinaface-mobilenet0.25`` or ``haar``.
        detector_weights: File of the detector's weights; None for the fetched file.
        frames: Sampled frames per clip.
        settings: Any other settings, as ``"section.key=value"``.
        reading: How lists and labels are read; None for the defaults.
        limit: Most clips to process; None for no limit.
        retry_failed: Whether failed clips are processed again.
        gpus: Worker processes, one per GPU; 0 for the CPU; None to compute in this process.
        workers: Worker processes on the cores of this machine; None for none.
        scheduler: Address or scheduler file of a Dask cluster; None for none.
        decoders: Decoding processes per worker; None to choose by the cores.
        on_progress: Called with the speed at the start and after each progress, by any thread.
        on_note: Called with remarks for people.

    Raises:
        ConfigError: A setting is not allowed.
        DatasetError: The dataset cannot be read.
        WeightsError: Weights are missing or damaged.
        CacheError: The cache has other settings, or another process writes it.
        OusError: Workers died repeatedly, or the cluster does not answer.
    """
    values = {
        "frames": {"num_frames": frames},
        "detector": {"name": detector, "weights": detector_weights},
        "encoder": {"name": encoder, "weights": encoder_weights},
    }
    config = override(from_dict(ExtractConfig, values), settings)
    options = ExecutorOptions(
        gpus=gpus, workers=workers, scheduler=scheduler, decoders=decoders, dashboard=False
    )
    index = read_dataset(dataset, Path(root), reading or ReadOptions())
    if on_note is not None:
        for remark in (*index.warnings, *index.notes):
            on_note(remark)
    require_provided_faces(index, config)
    require_followed_subjects(index, config)
    with closing(make_executor(config, options)) as executor:
        report = extract_index(
            index,
            config,
            executor,
            cache,
            RunOptions(limit=limit, retry_failed=retry_failed),
            on_progress=on_progress,
            say=on_note,
        )
    return ExtractResult(report)


def open_cache(cache: LocationLike) -> FeatureCache:
    """Open a cache to read its arrays. Use it in a ``with``, or call `close`.

    Args:
        cache: A directory, ``s3://BUCKET/PREFIX``, or an HDF5 export.

    Raises:
        CacheError: It is missing, damaged, or of another format or version.
    """
    return FeatureCache.open(cache)

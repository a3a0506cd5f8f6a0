"""An index of clips becomes a complete cache, block by block; run again, it goes on where it was."""

import dataclasses
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pipeline.config import require_range, to_dict
from pipeline.errors import CacheError, ConfigError, DatasetError
from pipeline.fingerprint import differences, sha256_json
from pipeline.process import Tools, process_block
from pipeline.store.reader import FeatureCache, is_hdf5
from pipeline.store.rows import fill_row
from pipeline.store.schema import RANDOM_WEIGHTS, CacheMeta
from pipeline.store.writer import CacheWriter
from pipeline.types import ClipRef, DatasetIndex, Status

_PACKAGES = ("torch", "torchvision", "open_clip_torch", "av", "opencv-python-headless", "zarr", "numpy")
_NAMED = 5
_LISTED = 10
_TIMED_CLIPS = 2
_BLOCK_OF_GPU, _BLOCK_OF_CPU, _BLOCK_OF_ALL_TOKENS = 64, 8, 4


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a run goes about its work; nothing here changes a feature.

    limit: stop after this many clips. retry_failed: take failed clips up again.
    """

    limit: int | None = None
    retry_failed: bool = False

    def __post_init__(self) -> None:
        if self.limit is not None:
            require_range("limit", self.limit, 1)


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """What a run did, and how the cache stands: clips by status, over all clips.

    failures: id, stage and reason of every failed clip. face_found_share: of the valid frames of
    all done clips, those on which the subject's face was detected; 0 when no clip is done.
    """

    cache_path: Path
    processed: int
    counts: dict[str, int]
    failures: tuple[tuple[str, str, str], ...]
    face_found_share: float
    warnings: tuple[str, ...]

    @property
    def num_failed(self) -> int:
        """Failed clips in the cache."""
        return self.counts[Status.FAILED.name.lower()]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return {
            "cache": str(self.cache_path),
            "processed": self.processed,
            "counts": self.counts,
            "face_found_share": self.face_found_share,
            "failures": [
                dict(zip(("clip_id", "stage", "reason"), row, strict=True)) for row in self.failures
            ],
            "warnings": list(self.warnings),
        }

    def lines(self) -> list[str]:
        """For people: the counts and the first failures."""
        counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in self.counts.items())
        lines = [
            *(f"!! {warning}" for warning in self.warnings),
            f"{self.cache_path}: {counts}; face found on {self.face_found_share:.1%} of frames",
            *(f"  failed  {clip}  {stage}: {reason}" for clip, stage, reason in self.failures[:_LISTED]),
        ]
        if self.num_failed > _LISTED:
            more = self.num_failed - _LISTED
            lines.append(f"  and {more} more; `cli.py cache info {self.cache_path} --all-clips` lists all")
        return lines


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run would do: clips in all and still to do, blocks, bytes by array, and the time.

    seconds: an estimate from `num_timed` clips that were processed on this machine.
    """

    num_clips: int
    num_pending: int
    block_clips: int
    bytes_by_array: dict[str, int]
    seconds: float
    num_timed: int

    @property
    def num_blocks(self) -> int:
        """Blocks of the complete cache."""
        return -(-self.num_clips // self.block_clips)

    @property
    def num_bytes(self) -> int:
        """Bytes of the complete cache."""
        return sum(self.bytes_by_array.values())

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return {**dataclasses.asdict(self), "num_blocks": self.num_blocks, "num_bytes": self.num_bytes}

    def lines(self) -> list[str]:
        """For people."""
        return [
            f"{self.num_pending} of {self.num_clips} clips to do, in blocks of {self.block_clips} "
            f"({self.num_blocks} blocks in all)",
            *(f"  {size / 1e6:10.2f} MB  {name}" for name, size in self.bytes_by_array.items()),
            f"  {self.num_bytes / 1e6:10.2f} MB  in all",
            f"about {self.seconds:.0f} s, from {self.num_timed} clips timed here; nothing was written",
        ]


def choose_device(gpus: int | None) -> torch.device:
    """The device for `--gpus N`: None takes a GPU when there is one, 0 the CPU, 1 the GPU."""
    require_range("--gpus", 0 if gpus is None else gpus, 0)
    available = torch.cuda.device_count() if torch.cuda.is_available() else 0
    wanted = min(1, available) if gpus is None else gpus
    if wanted > available:
        msg = f"--gpus {wanted}, but this machine has {available} CUDA devices; give --gpus {available}."
        raise ConfigError(msg)
    if wanted > 1:
        msg = f"--gpus {wanted}: one process drives one GPU so far; allowed: 0, 1."
        raise ConfigError(msg)
    return torch.device("cuda", 0) if wanted else torch.device("cpu")


def extract(
    index: DatasetIndex,
    tools: Tools,
    cache_path: Path,
    options: RunOptions,
    *,
    on_start: Callable[[int, int], None] | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> RunReport:
    """Fill the cache with what is missing; create it when it is not there.

    on_start: told how many clips there are to do, and how many blocks. on_progress: told how much
    more is done, in clips. Raises CacheError when the cache at `cache_path` was made otherwise or
    from other clips, naming each difference. Whatever interrupts, finished blocks stay.
    """
    writer = open_cache(index, tools, cache_path)
    todo = _blocks_to_do(cache_path, options)
    if on_start is not None:
        on_start(sum(len(rows) for _, rows in todo), len(todo))
    for start, rows in todo:
        _run_block(index, tools, writer, start, rows, on_progress)
    return report(cache_path, processed=sum(len(rows) for _, rows in todo))


def open_cache(index: DatasetIndex, tools: Tools, cache_path: Path) -> CacheWriter:
    """The cache for this index and these tools: created, or checked to be the same and resumed."""
    meta, static = _checked(index, tools, cache_path)
    if cache_path.exists():
        return CacheWriter.resume(cache_path)
    return CacheWriter.create(cache_path, meta, static)


def _checked(
    index: DatasetIndex, tools: Tools, cache_path: Path
) -> tuple[CacheMeta, dict[str, npt.NDArray[Any]]]:
    """What the cache of this index and these tools says of itself, once nothing speaks against it."""
    _refuse_hdf5(cache_path)
    _require_boxes(index, tools)
    meta, static = describe(index, tools), static_rows(index)
    if cache_path.exists():
        with FeatureCache.open(cache_path) as cache:
            _refuse_other(cache, meta, static)
    return meta, static


def _require_boxes(index: DatasetIndex, tools: Tools) -> None:
    if tools.config.detector.name == "boxes" and not any(clip.given_boxes for clip in index.clips):
        msg = (
            f"--detector boxes, but no clip of '{index.root}' brings a box; add the columns x0, y0, x1, y1 "
            "or boxes to the manifest, or choose another detector."
        )
        raise DatasetError(msg)


def _refuse_hdf5(cache_path: Path) -> None:
    if is_hdf5(cache_path):
        msg = f"--cache '{cache_path}' names an HDF5 file; extraction writes Zarr, `cache export` makes HDF5."
        raise CacheError(msg)


def plan(index: DatasetIndex, tools: Tools, cache_path: Path, options: RunOptions) -> Plan:
    """What `extract` would do, without writing; an existing cache is checked as it would be."""
    meta, _ = _checked(index, tools, cache_path)
    rows = list(range(len(index.clips)))[: options.limit]
    if cache_path.exists():
        rows = [row for _, block in _blocks_to_do(cache_path, options) for row in block]
    timed = [index.clips[row] for row in rows[:_TIMED_CLIPS]]
    began = time.monotonic()
    process_block(index.root, timed, tools)
    seconds = (time.monotonic() - began) / max(1, len(timed))
    return Plan(
        num_clips=meta.num_clips,
        num_pending=len(rows),
        block_clips=meta.block_clips,
        bytes_by_array=meta.bytes_by_array(),
        seconds=seconds * len(rows),
        num_timed=len(timed),
    )


def report(cache_path: Path, processed: int) -> RunReport:
    """How the cache stands, with every failed clip's id, stage and reason."""
    with FeatureCache.open(cache_path) as cache:
        failed = np.flatnonzero(cache.read("status") == Status.FAILED)
        columns = [cache.read(name)[failed] for name in ("clip_id", "stage", "reason")]
        failures = tuple(zip(*(column.tolist() for column in columns), strict=True))
        done = cache.done_rows()
        valid, found = (cache.read(name)[done] for name in ("frame_valid", "face_found"))
        return RunReport(
            cache_path=cache_path,
            warnings=cache.meta.warnings,
            processed=processed,
            counts=cache.status_counts(),
            failures=failures,
            face_found_share=float((found & valid).sum() / max(1, valid.sum())),
        )


def describe(index: DatasetIndex, tools: Tools) -> CacheMeta:
    """The attributes of a cache of this index, made with these tools."""
    identity = tools.identity()
    config = to_dict(tools.config)
    weights = tools.config.encoder.weights
    warnings = []
    if weights == RANDOM_WEIGHTS:
        warnings.append(
            f"RANDOM ENCODER WEIGHTS (seed {tools.config.encoder.seed}): {tools.config.encoder.name} was "
            "never trained; results from this cache say nothing about the method."
        )
    return CacheMeta(
        dataset=index.name,
        class_names=index.class_names,
        fold_names=index.fold_names,
        num_clips=len(index.clips),
        block_clips=_block_clips(tools),
        num_views=tools.config.frames.num_views,
        num_frames=tools.config.frames.num_frames,
        embed_width=tools.clip.embed_width,
        encoder_width=tools.clip.encoder_width,
        num_tokens=tools.encoder.num_tokens,
        encoder_name=tools.config.encoder.name,
        encoder_weights=weights,
        encoder_sha256=tools.clip.visual_sha256,
        text_sha256=tools.clip.text_sha256,
        identity=identity,
        fingerprint=sha256_json(identity),
        config={**config, "dataset": {"name": index.name, "root": str(index.root.absolute())}},
        warnings=tuple(warnings),
        packages=_package_versions(),
        command_line=tuple(sys.argv),
    )


def static_rows(index: DatasetIndex) -> dict[str, npt.NDArray[Any]]:
    """The arrays that are known before any clip is opened."""
    clips = index.clips
    return {
        "clip_id": np.array([clip.clip_id for clip in clips], dtype=object),
        "path": np.array([clip.path for clip in clips], dtype=object),
        "source_bytes": np.array([_size_bytes(index.root / clip.path) for clip in clips], dtype=np.int64),
        "start_seconds": np.array([clip.start_seconds or 0.0 for clip in clips]),
        "end_seconds": np.array([-1.0 if clip.end_seconds is None else clip.end_seconds for clip in clips]),
        "given_boxes_sha256": np.array(
            [clip.given_boxes.sha256() if clip.given_boxes else "" for clip in clips], dtype=object
        ),
        "label": np.array([clip.label for clip in clips], dtype=np.int16),
        "polarity": np.array([clip.polarity for clip in clips], dtype=np.int8),
        "membership": np.array([clip.splits for clip in clips], dtype=np.uint8),
    }


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _block_clips(tools: Tools) -> int:
    if tools.config.features.tokens == "all":
        return _BLOCK_OF_ALL_TOKENS
    return _BLOCK_OF_GPU if tools.device.type == "cuda" else _BLOCK_OF_CPU


def _package_versions() -> dict[str, str]:
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed under this name"
    return versions


def _refuse_other(cache: FeatureCache, meta: CacheMeta, static: dict[str, npt.NDArray[Any]]) -> None:
    found = differences(meta.identity, cache.meta.identity)
    names = ("dataset", "class_names", "fold_names", "num_clips")
    found += differences(
        {name: getattr(meta, name) for name in names}, {name: getattr(cache.meta, name) for name in names}
    )
    if meta.num_clips == cache.meta.num_clips:
        found += _static_differences(cache, static)
    if found:
        more = f" (and {len(found) - _NAMED} more)" if len(found) > _NAMED else ""
        msg = (
            f"'{cache.path}' was made otherwise: {'; '.join(found[:_NAMED])}{more}. "
            "Give another --cache, or the settings it was made with."
        )
        raise CacheError(msg)


def _static_differences(cache: FeatureCache, static: dict[str, npt.NDArray[Any]]) -> list[str]:
    """Which clips differ, and in what; when their ids do, the rest says nothing and is left out."""
    found = []
    for name in ("clip_id", *(name for name in static if name != "clip_id")):
        here, there = static[name].tolist(), cache.read(name).tolist()
        rows = [row for row, pair in enumerate(zip(here, there, strict=True)) if pair[0] != pair[1]]
        if rows:
            row = rows[0]
            clip = static["clip_id"][row]
            found.append(f"{name} of {len(rows)} clips, first '{clip}': {here[row]} here, {there[row]} there")
            if name == "clip_id":
                break
    return found


def _blocks_to_do(cache_path: Path, options: RunOptions) -> list[tuple[int, list[int]]]:
    """Blocks with something to do: first row, and the rows to process; `limit` cuts the list."""
    with FeatureCache.open(cache_path) as cache:
        status, size = cache.read("status"), cache.meta.block_clips
    wanted = status == Status.PENDING
    if options.retry_failed:
        wanted |= status == Status.FAILED
    rows = np.flatnonzero(wanted)[: options.limit]
    blocks: dict[int, list[int]] = {}
    for row in rows.tolist():
        blocks.setdefault(row // size * size, []).append(row)
    return list(blocks.items())


def _run_block(
    index: DatasetIndex,
    tools: Tools,
    writer: CacheWriter,
    start: int,
    rows: Sequence[int],
    on_progress: Callable[[float], None] | None,
) -> None:
    """Process the missing clips of one block and write the block whole, its status last."""
    first, end = writer.block_bounds(start)
    arrays = writer.empty_rows(start) if len(rows) == end - first else writer.read_block(start)
    writer.mark_pending(start, [row - first for row in rows])
    clips: list[ClipRef] = [index.clips[row] for row in rows]
    for row, outcome in zip(rows, process_block(index.root, clips, tools, on_progress), strict=True):
        fill_row(arrays, row - first, outcome)
    writer.write_block(start, arrays)

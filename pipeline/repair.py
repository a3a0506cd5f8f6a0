"""Repair of a damaged cache: blocks that lost a chunk are recomputed from their clips."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import CacheDamagedError, CacheError
from pipeline.process import ExtractConfig, identity_differences
from pipeline.runner import BlockExecutor, ExecutorOptions, Speed, make_executor, model_info
from pipeline.runner.block_task import BlockTask
from pipeline.runner.cache_setup import Opening, compared, dataset_of
from pipeline.runner.run_loop import run_blocks
from pipeline.runner.tasks import Workload, tasks_of
from pipeline.store.find_damage import Damage, damaged_blocks
from pipeline.store.location import Location, LocationLike
from pipeline.store.lock import Lock, hold
from pipeline.store.reader import FeatureCache
from pipeline.store.schema import BY_NAME
from pipeline.store.writer import CacheWriter
from pipeline.types import ClipRef, DatasetIndex, Status
from pipeline.verify import config_of


@dataclass(frozen=True, kw_only=True)
class RepairReport:
    """Result of a repair.

    Attributes:
        cache: Location of the cache.
        num_blocks: Number of blocks of the cache.
        repaired: Blocks that were recomputed.
        left: Damaged blocks that were not recomputed, because files of their clips are missing.
        gone: Ids of the clips with missing files.
        changed: Ids of clips whose file has changed since extraction.
        lost: Clips that had, or may have had, features and cannot be processed any more, with the reason.
        notes: Notes for the user about the lock, the files of clips and the workers.
    """

    cache: Location
    num_blocks: int
    repaired: tuple[Damage, ...]
    left: tuple[Damage, ...] = ()
    gone: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether the cache has all features again."""
        return not self.left and not self.lost


@dataclass(frozen=True)
class _Clips:
    """The dataset's root, and its clips by row of the cache, None for a clip that it does not have."""

    root: Path
    by_row: tuple[ClipRef | None, ...]

    def are_there(self, row: int) -> bool:
        """Whether the clip's file can be read."""
        clip = self.by_row[row]
        return clip is not None and os.access(self.root / clip.path, os.R_OK)


def repair(
    where: LocationLike,
    *,
    root: Path | None = None,
    encoder_weights: str | None = None,
    detector_weights: str | None = None,
    on_block: Callable[[], None] | None = None,
    on_progress: Callable[[Speed], None] | None = None,
    say: Callable[[str], None] | None = None,
) -> RepairReport:
    """Find damaged blocks and recompute them, with the clips and the models that the cache names.

    A block with a clip whose file is missing is not changed.

    Args:
        where: Location of the cache.
        root: Path of the dataset; None for its path at extraction.
        encoder_weights: Path or name of the encoder's weights; None for those of the extraction.
        detector_weights: Path of the detector's weights; None for those of the extraction.
        on_block: Called after each block that was checked.
        on_progress: Called with the speed of the recomputation, by any thread.
        say: Called with remarks for people, such as a wait for the lock.

    Raises:
        CacheError: Another run holds the cache; this machine's models or clips are not those of the cache
            (nothing is changed then); or blocks are damaged again after the repair.
    """
    place = Location.of(where)
    _refuse_hdf5(place)
    with FeatureCache.open(place) as cache, hold(place, say=say) as lock:
        num_blocks = -(-cache.meta.num_clips // cache.meta.block_clips)
        damaged = damaged_blocks(cache, on_block)
        report = RepairReport(cache=place, num_blocks=num_blocks, repaired=(), notes=lock.notes)
        if damaged:
            index = dataset_of(cache, root)
            config = config_of(cache, encoder_weights, detector_weights)
            with closing(make_executor(config, ExecutorOptions())) as executor:
                opening = _refuse_other(cache, damaged, index, config, executor)
                report = replace(report, notes=(*report.notes, *opening.notes))
                clips = _Clips(index.root, opening.clips)
                report = _repaired(cache, damaged, clips, executor, lock, on_progress, report)
            left = {block.start for block in report.left}
            if still := [block for block in damaged_blocks(cache) if block.start not in left]:
                msg = f"'{place}' is still or again damaged, at {still[0]}. Check its disk, and repair again."
                raise CacheError(msg)
    return report


def _refuse_other(
    cache: FeatureCache,
    damaged: list[Damage],
    index: DatasetIndex,
    config: ExtractConfig,
    executor: BlockExecutor,
) -> Opening:
    """Return the cache's clips, with notes on their files.

    Raises:
        CacheError: Models, clips or files are not those of the cache, as far as it is readable.
    """
    info = model_info(executor)
    if other := identity_differences(info.identity, cache.meta.identity):
        msg = (
            f"'{cache.place}' can be repaired only by the models that made it: {'; '.join(other)}. Give "
            "their files by --encoder-weights and --detector-weights, on a machine with that precision."
        )
        raise CacheError(msg)
    there = {name: _readable(cache, damaged, name) for name in ("status", "source_bytes")}
    for block in damaged:
        rows = slice(block.start, block.end)
        known = there["source_bytes"][rows] > 0
        there["status"][rows] = np.where(known, Status.DONE, Status.FAILED)
    return compared(index, config, info, cache, there.__getitem__)


def _repaired(
    cache: FeatureCache,
    damaged: list[Damage],
    clips: _Clips,
    executor: BlockExecutor,
    lock: Lock,
    on_progress: Callable[[Speed], None] | None,
    report: RepairReport,
) -> RepairReport:
    """Process all clips of the blocks without missing files; return `report` with the outcomes."""
    had = _had_features(cache, damaged)
    before, ids = _readable(cache, damaged, "source_sha256"), cache.read("clip_id").tolist()
    gone = {
        block.start: [
            ids[row] for row in range(block.start, block.end) if had[row] and not clips.are_there(row)
        ]
        for block in damaged
    }
    left = tuple(block for block in damaged if gone[block.start])
    repaired = tuple(block for block in damaged if not gone[block.start])
    warnings = _recompute(cache, repaired, clips, executor, lock, on_progress) if repaired else ()
    return replace(
        report,
        notes=(*report.notes, *warnings),
        repaired=repaired,
        left=left,
        gone=tuple(clip for block in left for clip in gone[block.start]),
        changed=tuple(clip for block in repaired for clip in _changed(cache, block, before, ids)),
        lost=tuple(clip for block in repaired for clip in _lost(cache, block, had, ids)),
    )


def _recompute(
    cache: FeatureCache,
    blocks: tuple[Damage, ...],
    clips: _Clips,
    executor: BlockExecutor,
    lock: Lock,
    on_progress: Callable[[Speed], None] | None,
) -> tuple[str, ...]:
    """Mark each block as pending just before it is processed, and process all its clips.

    Returns:
        Warnings of the workers.
    """
    writer = CacheWriter(cache.place, cache.meta)
    rows = [
        (block.start, [row for row in range(block.start, block.end) if clips.by_row[row] is not None])
        for block in blocks
    ]
    workload = Workload.of(clips.root, clips.by_row, rows)

    def tasks() -> Iterator[BlockTask]:
        for task in tasks_of(clips.root, clips.by_row, lock.claim, cache.meta, workload):
            lock.check()
            writer.reset_block(task.start)
            yield task

    return run_blocks(executor, tasks(), workload.num_there, model_info(executor), lock, on_progress).warnings


def _readable(cache: FeatureCache, damaged: list[Damage], name: str) -> npt.NDArray[Any]:
    """Return a per-block array, with fill values for blocks whose chunk cannot be read."""
    spec, size = BY_NAME[name], cache.meta.block_clips
    starts = {block.start for block in damaged}
    parts = []
    for start in range(0, cache.meta.num_clips, size):
        end = min(start + size, cache.meta.num_clips)
        try:
            parts.append(cache.read(name, start, end))
        except CacheDamagedError:
            if start not in starts:
                raise
            parts.append(np.full((end - start, *cache.meta.shape(spec)[1:]), spec.fill))
    return np.concatenate(parts)


def _had_features(cache: FeatureCache, damaged: list[Damage]) -> npt.NDArray[np.bool_]:
    """Return which clips of the damaged blocks had features, by the readable arrays; True if unknown."""
    had = np.zeros(cache.meta.num_clips, dtype=bool)
    for block in damaged:
        lost = {trouble.partition(" ")[0] for trouble in block.troubles}
        rows = slice(block.start, block.end)
        if "status" not in lost:
            had[rows] = np.isin(
                cache.read("status", block.start, block.end), (Status.DONE, Status.DONE_WITHOUT_FACE)
            )
        elif "source_bytes" not in lost:
            had[rows] = cache.read("source_bytes", block.start, block.end) > 0
        else:
            had[rows] = True
    return had


def _changed(
    cache: FeatureCache, block: Damage, before: npt.NDArray[Any], ids: Sequence[str]
) -> Iterator[str]:
    """Yield the ids of clips whose file has another hash than before, if both are known."""
    there, was = cache.read("source_sha256", block.start, block.end), before[block.start : block.end]
    for row in np.flatnonzero((was != there) & (was != "") & (there != "")).tolist():
        yield ids[block.start + row]


def _lost(
    cache: FeatureCache, block: Damage, had: npt.NDArray[np.bool_], ids: Sequence[str]
) -> Iterator[str]:
    """Yield a text for each clip that had features and failed when it was recomputed, with the reason."""
    rows = slice(block.start, block.end)
    names = ("status", "stage", "reason")
    status, stage, reason = (cache.read(name, block.start, block.end) for name in names)
    for row in np.flatnonzero(had[rows] & (status == Status.FAILED)).tolist():
        yield f"clip '{ids[block.start + row]}' failed at {stage[row]}: {reason[row]}"


def _refuse_hdf5(place: Location) -> None:
    if place.is_hdf5:
        msg = f"'{place}' is an HDF5 export; repair the cache from which it was made, and export it again."
        raise CacheError(msg)

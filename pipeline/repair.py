"""A damaged cache made whole: the blocks that lost a chunk are computed again from their clips."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.datasets import read_dataset
from pipeline.errors import CacheDamagedError, CacheError
from pipeline.fingerprint import differences
from pipeline.process import ExtractConfig
from pipeline.runner import Crew, CrewOptions, Speed, gather
from pipeline.runner.opening import checked
from pipeline.runner.progress import Progress
from pipeline.runner.tasks import tasks_of
from pipeline.store.damage import Damage, damaged_blocks
from pipeline.store.lock import Lock, hold
from pipeline.store.place import Place, Where
from pipeline.store.reader import FeatureCache
from pipeline.store.writer import CacheWriter
from pipeline.types import DatasetIndex
from pipeline.verify import config_of


@dataclass(frozen=True, kw_only=True)
class RepairReport:
    """What was damaged and is whole again. changed: clips whose file is another than at extraction.

    num_blocks: of the cache. notes: what a user should know of its lock and of the clips' files.
    """

    cache: Place
    num_blocks: int
    repaired: tuple[Damage, ...]
    changed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return {
            "cache": str(self.cache),
            "num_blocks": self.num_blocks,
            "repaired": [
                {"start": block.start, "end": block.end, "troubles": list(block.troubles)}
                for block in self.repaired
            ],
            "changed": list(self.changed),
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """For people: each block that was computed again, and why."""
        again = f"{len(self.repaired)} of {self.num_blocks} blocks computed again, nothing damaged any more"
        return [
            *(f"note: {note}" for note in self.notes),
            *(f"repaired  {block}" for block in self.repaired),
            *(f"!! the file of clip '{clip}' has changed since extraction" for clip in self.changed),
            f"{self.cache}: {again if self.repaired else f'nothing damaged in {self.num_blocks} blocks'}",
        ]


def repair(
    where: Where,
    *,
    root: Path | None = None,
    encoder_weights: str | None = None,
    detector_weights: str | None = None,
    on_block: Callable[[], None] | None = None,
    on_progress: Callable[[Speed], None] | None = None,
) -> RepairReport:
    """Find damaged blocks and compute them again, with the clips and the models that the cache names.

    root, encoder_weights, detector_weights: where those lie now. on_block: told after each block that
    was looked at. Raises CacheError when another run holds the cache, when this machine's models or
    clips are not those of the cache (nothing is touched then), or when its disk damages it again.
    """
    place = Place.of(where)
    _refuse_hdf5(place)
    with FeatureCache.open(place) as cache, hold(place) as lock:
        num_blocks = -(-cache.meta.num_clips // cache.meta.block_clips)
        damaged = damaged_blocks(cache, on_block)
        notes = lock.notes
        before = {block.start: _hashes(cache, block) for block in damaged}
        if damaged:
            index = read_dataset(cache.meta.dataset, root or Path(cache.setting("config.dataset.root", str)))
            config = config_of(cache, encoder_weights, detector_weights)
            with contextlib.closing(gather(config, CrewOptions())) as crew:
                notes += _compute_again(cache, damaged, index, config, crew, lock, on_progress)
            if still := damaged_blocks(cache):
                msg = f"'{place}' is damaged still or again, at {still[0]}. Check its disk, and repair again."
                raise CacheError(msg)
        changed = [clip for block in damaged for clip in _changed(cache, block, before[block.start])]
    return RepairReport(
        cache=place,
        num_blocks=num_blocks,
        repaired=tuple(damaged),
        changed=tuple(changed),
        notes=notes,
    )


def _compute_again(
    cache: FeatureCache,
    damaged: list[Damage],
    index: DatasetIndex,
    config: ExtractConfig,
    crew: Crew,
    lock: Lock,
    on_progress: Callable[[Speed], None] | None,
) -> tuple[str, ...]:
    """Put the blocks back to pending, once nothing speaks against it, and process all their clips.

    Returns what the user should know of the clips' files.
    """
    brief = crew.brief()
    if other := differences(brief.identity, cache.meta.identity):
        msg = (
            f"'{cache.place}' can be repaired only by the models that made it: {'; '.join(other)}. Name "
            "their files with --encoder-weights and --detector-weights, on a machine with that precision."
        )
        raise CacheError(msg)
    with contextlib.suppress(CacheDamagedError):
        checked(index, config, brief, cache.place)
    writer = CacheWriter(cache.place, cache.meta)
    for block in damaged:
        writer.reset_block(block.start)
    found = checked(index, config, brief, cache.place)
    blocks = [(block.start, list(range(block.start, block.end))) for block in damaged]
    progress = Progress(sum(len(rows) for _, rows in blocks), brief, crew.num_workers)

    def show(clips: float) -> None:
        progress.advance(clips)
        if on_progress is not None:
            on_progress(progress.speed())

    show(0.0)
    for done in crew.run(tasks_of(index, cache.place, found.meta, blocks), show):
        progress.finish(done)
        show(0.0)
        lock.check()
    return found.notes


def _hashes(cache: FeatureCache, block: Damage) -> list[str]:
    """The hashes of the block's files at extraction; "" where they cannot be read any more."""
    try:
        return [str(digest) for digest in cache.read("source_sha256", block.start, block.end)]
    except CacheError:
        return [""] * (block.end - block.start)


def _changed(cache: FeatureCache, block: Damage, before: list[str]) -> Iterator[str]:
    """The ids of the clips whose file has another hash than before."""
    there = np.array(_hashes(cache, block))
    was = np.array(before)
    for row in np.flatnonzero((was != there) & (was != "")):
        yield str(cache.read("clip_id")[block.start + row])


def _refuse_hdf5(place: Place) -> None:
    if place.is_hdf5:
        msg = f"'{place}' is an HDF5 export; repair the cache it was made from, and export it again."
        raise CacheError(msg)

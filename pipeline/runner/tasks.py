"""Pending blocks of a cache that a run processes, as tasks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from pipeline.config import require_range
from pipeline.file_status import FileStatus
from pipeline.runner.block_task import BlockTask
from pipeline.runner.cache_setup import Opening
from pipeline.runner.reuse import EarlierCache
from pipeline.store.claim import Claim
from pipeline.store.location import Location
from pipeline.store.lock import Shard
from pipeline.store.meta import CacheMeta
from pipeline.store.sources import is_missing
from pipeline.types import ClipRef, Status


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options of a run. None of them changes a feature.

    Attributes:
        limit: Most clips to process; None for no limit.
        retry_failed: Whether failed clips are processed again.
        shard: Shard of the blocks, for several runs that fill one cache; None for all blocks.
        take_over: Whether the lock is taken from another run.
        reuse: Location of an earlier cache; its features are used for clips whose images are the same.
    """

    limit: int | None = None
    retry_failed: bool = False
    shard: Shard | None = None
    take_over: bool = False
    reuse: Location | None = None

    def __post_init__(self) -> None:
        if self.limit is not None:
            require_range("limit", self.limit, 1)


Blocks = list[tuple[int, list[int]]]
"""First row of each block, and its rows that are to be processed."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Blocks that a run processes.

    Attributes:
        blocks: The blocks.
        missing: Rows whose clip has no file. They are recorded as failed, and count neither as progress nor
            in rates.
    """

    blocks: Blocks
    missing: frozenset[int]

    @classmethod
    def of(cls, root: Path, clips: Sequence[ClipRef | None], blocks: Blocks) -> Self:
        """Return the workload of some blocks, and check whether each of their clips has a file.

        Args:
            root: Directory that the paths of clips start from.
            clips: Clips by row of the cache; None for a row that is not in the dataset.
            blocks: The blocks.
        """
        files = FileStatus(root)
        rows = [row for _, block in blocks for row in block]
        return cls(
            blocks=blocks,
            missing=frozenset(
                row for row in rows if (clip := clips[row]) is not None and is_missing(files, clip)
            ),
        )

    @property
    def blocks_there(self) -> list[list[int]]:
        """Rows of each block in which at least one clip has a file."""
        return [rows for _, rows in self.blocks if not self.missing.issuperset(rows)]

    @property
    def blocks_missing(self) -> list[list[int]]:
        """Rows of each block in which no clip has a file."""
        return [rows for _, rows in self.blocks if self.missing.issuperset(rows)]

    def missing_ids(self, clips: Sequence[ClipRef | None]) -> list[str]:
        """Return the ids of the clips without a file, given clips by row of the cache."""
        return [clip.clip_id for row in sorted(self.missing) if (clip := clips[row]) is not None]

    @property
    def num_clips(self) -> int:
        """Clips to process, with and without a file."""
        return sum(len(rows) for _, rows in self.blocks)

    @property
    def num_there(self) -> int:
        """Clips to process that have a file."""
        return self.num_clips - len(self.missing)


def blocks_to_do(opening: Opening, options: RunOptions) -> Blocks:
    """Return the blocks with pending clips, without rows of clips that are not in the dataset.

    Args:
        opening: State of the cache, with its new clips.
        options: Options of the run; its limit cuts the list.
    """
    status = np.full(opening.meta.num_clips, Status.PENDING, dtype=np.uint8)
    status[: len(opening.status)] = opening.status
    wanted = status == Status.PENDING
    if options.retry_failed:
        wanted |= status == Status.FAILED
    wanted &= np.fromiter((clip is not None for clip in opening.clips), dtype=bool, count=len(wanted))
    return _grouped(np.flatnonzero(wanted).tolist(), opening.meta.block_clips, options)


def _grouped(rows: Sequence[int], size: int, options: RunOptions) -> Blocks:
    shard = options.shard
    mine = [row for row in rows if shard is None or shard.has(row // size)]
    blocks: dict[int, list[int]] = {}
    for row in mine[: options.limit]:
        blocks.setdefault(row // size * size, []).append(row)
    return list(blocks.items())


def tasks_of(
    root: Path,
    clips: Sequence[ClipRef | None],
    claim: Claim,
    meta: CacheMeta,
    workload: Workload,
    earlier: EarlierCache | None = None,
) -> Iterator[BlockTask]:
    """Yield the blocks as tasks.

    Args:
        root: Directory that the paths of clips start from.
        clips: Clips by row of the cache; None for a row that is not in the dataset.
        claim: The run's claim to the cache.
        meta: Attributes of the cache.
        workload: The blocks.
        earlier: Earlier cache whose features are used again; None for none.
    """
    for start, rows in workload.blocks:
        there = tuple(clip for row in rows if (clip := clips[row]) is not None)
        yield BlockTask(
            cache=claim.place,
            root=root.absolute(),
            start=start,
            rows=tuple(rows),
            clips=there,
            num_clips=meta.num_clips,
            fingerprint=meta.fingerprint,
            missing=workload.missing.intersection(rows),
            claim=claim,
            earlier=earlier.rows_of(there) if earlier else None,
        )

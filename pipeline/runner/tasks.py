"""Which blocks of a cache a run takes up, as tasks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.config import require_range
from pipeline.runner.work import BlockTask
from pipeline.store.lock import Share
from pipeline.store.meta import CacheMeta
from pipeline.store.place import Place
from pipeline.store.reader import FeatureCache
from pipeline.types import DatasetIndex, Status


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a run goes about its work; nothing here changes a feature.

    limit: stop after this many clips. retry_failed: take failed clips up again. share: of the
    blocks, for several runs that fill one cache; None for all. take_over: even if another run seems
    to hold the cache.
    """

    limit: int | None = None
    retry_failed: bool = False
    share: Share | None = None
    take_over: bool = False

    def __post_init__(self) -> None:
        if self.limit is not None:
            require_range("limit", self.limit, 1)


Blocks = list[tuple[int, list[int]]]
"""First row of each block, and the rows of it that are to be processed."""


def blocks_to_do(place: Place, options: RunOptions) -> Blocks:
    """The blocks of a cache with something to do; `limit` cuts the list."""
    with FeatureCache.open(place) as cache:
        status, size = cache.read("status"), cache.meta.block_clips
    wanted = status == Status.PENDING
    if options.retry_failed:
        wanted |= status == Status.FAILED
    return _grouped(np.flatnonzero(wanted).tolist(), size, options)


def new_blocks(meta: CacheMeta, options: RunOptions) -> Blocks:
    """The blocks of a cache that is not there yet."""
    return _grouped(range(meta.num_clips), meta.block_clips, options)


def _grouped(rows: Sequence[int], size: int, options: RunOptions) -> Blocks:
    share = options.share
    mine = [row for row in rows if share is None or share.has(row // size)]
    blocks: dict[int, list[int]] = {}
    for row in mine[: options.limit]:
        blocks.setdefault(row // size * size, []).append(row)
    return list(blocks.items())


def tasks_of(index: DatasetIndex, place: Place, meta: CacheMeta, blocks: Blocks) -> Iterator[BlockTask]:
    """The blocks as tasks, one at a time."""
    for start, rows in blocks:
        yield BlockTask(
            cache=place.resolved(),
            root=index.root.absolute(),
            start=start,
            rows=tuple(rows),
            clips=tuple(index.clips[row] for row in rows),
            fingerprint=meta.fingerprint,
        )

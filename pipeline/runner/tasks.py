"""Which blocks of a cache a run takes up, as tasks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.config import require_range
from pipeline.runner.opening import Opening
from pipeline.runner.work import BlockTask
from pipeline.store.lock import Share
from pipeline.store.meta import CacheMeta
from pipeline.store.place import Place
from pipeline.store.reader import FeatureCache
from pipeline.types import ClipRef, Status


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


def blocks_to_do(opening: Opening, place: Place, options: RunOptions) -> Blocks:
    """The blocks with something to do, of a cache that may not be there or not have grown yet.

    `limit` cuts the list. Rows of clips that the data set does not have now are left alone.
    """
    status = np.full(opening.meta.num_clips, Status.PENDING, dtype=np.uint8)
    if place.exists():
        with FeatureCache.open(place) as cache:
            status[: cache.meta.num_clips] = cache.read("status")
    wanted = status == Status.PENDING
    if options.retry_failed:
        wanted |= status == Status.FAILED
    wanted &= np.array([clip is not None for clip in opening.clips])
    return _grouped(np.flatnonzero(wanted).tolist(), opening.meta.block_clips, options)


def _grouped(rows: Sequence[int], size: int, options: RunOptions) -> Blocks:
    share = options.share
    mine = [row for row in rows if share is None or share.has(row // size)]
    blocks: dict[int, list[int]] = {}
    for row in mine[: options.limit]:
        blocks.setdefault(row // size * size, []).append(row)
    return list(blocks.items())


def tasks_of(
    root: Path, clips: Sequence[ClipRef | None], place: Place, meta: CacheMeta, blocks: Blocks
) -> Iterator[BlockTask]:
    """The blocks as tasks, one at a time. clips: by row of the cache."""
    for start, rows in blocks:
        yield BlockTask(
            cache=place.resolved(),
            root=root.absolute(),
            start=start,
            rows=tuple(rows),
            clips=tuple(clip for row in rows if (clip := clips[row]) is not None),
            num_clips=meta.num_clips,
            fingerprint=meta.fingerprint,
        )

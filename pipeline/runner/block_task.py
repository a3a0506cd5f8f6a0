"""A block of clips as a task, and the report of a finished one. Both are small, to be sent to workers."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from pipeline.process import StageSeconds
from pipeline.runner.reuse import EarlierRows
from pipeline.store.claim import Claim
from pipeline.store.meta import CacheMeta
from pipeline.types import ClipRef


@dataclass(frozen=True, kw_only=True)
class BlockTask:
    """Clips of one block that are to be processed.

    Attributes:
        cache: Location of the cache.
        root: Directory that the paths of clips start from.
        start: First row of the block.
        rows: Rows to process.
        clips: Clips of these rows.
        num_clips: Number of clips of the cache. A worker that wrote to it before reopens it if it has grown.
        fingerprint: Fingerprint of the cache, which the worker's models must match.
        missing: Rows whose clip has no file. They are recorded as failed, and count neither as progress nor
            in rates.
        trial: Attributes of the cache, for a block that is timed and not written; None for any other block.
        claim: The run's claim to the cache, which is checked before a write; None for a trial.
        earlier: Rows of an earlier cache with these clips, whose features are used where they are the same.
    """

    cache: str
    root: Path
    start: int
    rows: tuple[int, ...]
    clips: tuple[ClipRef, ...]
    num_clips: int
    fingerprint: str
    missing: frozenset[int] = frozenset()
    trial: CacheMeta | None = None
    claim: Claim | None = None
    earlier: EarlierRows | None = None

    def require_held(self) -> None:
        """Raise CacheError if another run has taken over the cache from this task's run."""
        if self.claim is not None:
            self.claim.require()

    def without(self, rows: Collection[int]) -> Self:
        """Return the task without some rows."""
        kept = [place for place, row in enumerate(self.rows) if row not in rows]
        earlier = self.earlier
        if len(kept) == len(self.rows):
            return self
        return replace(
            self,
            rows=tuple(self.rows[place] for place in kept),
            clips=tuple(self.clips[place] for place in kept),
            missing=self.missing.difference(rows),
            earlier=None if earlier is None else earlier.only(kept),
        )

    @property
    def num_there(self) -> int:
        """Clips to process that have a file."""
        return len(self.rows) - len(self.missing)


@dataclass(frozen=True, kw_only=True)
class BlockReport:
    """Outcome of a block, without clips that have no file.

    Attributes:
        start: First row of the block.
        num_clips: Processed clips.
        num_failed: Clips that failed.
        num_pictures: Encoded images.
        seconds: Time by stage.
        num_damaged: Finished clips of which some data did not decode.
        num_beyond_end: Finished clips whose window ends after the end of the file.
        warnings: Warnings of the worker, such as a batch size that was halved.
        num_reused: Clips whose features come from the earlier cache.
    """

    start: int
    num_clips: int
    num_failed: int
    num_pictures: int
    seconds: StageSeconds
    num_damaged: int = 0
    num_beyond_end: int = 0
    warnings: tuple[str, ...] = ()
    num_reused: int = 0

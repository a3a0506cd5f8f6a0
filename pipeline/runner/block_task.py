"""A block of clips as a task, and the report of one that is done; both are small, so that they travel."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.process import StageSeconds
from pipeline.store.claim import Claim
from pipeline.store.meta import CacheMeta
from pipeline.types import ClipRef


@dataclass(frozen=True, kw_only=True)
class BlockTask:
    """Clips of one block that are to be processed; small, so that it travels.

    start: first row of the block. rows: those to process. num_clips: of the cache, by which a worker
    that has written to it before knows that it has grown. fingerprint: of the cache, which the worker's
    models must match. missing: those of the rows whose clip has no file; they become failures, and
    count neither as progress nor in rates. trial: for a block that is timed and not written, the
    attributes of its cache; None for a block that counts. claim: of the run to the cache, which is checked
    before anything is written; None for a trial.
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

    def require_held(self) -> None:
        """Raise CacheError when another run has taken the cache over from the one that this is a task of."""
        if self.claim is not None:
            self.claim.require()

    @property
    def num_there(self) -> int:
        """Clips to process that have a file."""
        return len(self.rows) - len(self.missing)


@dataclass(frozen=True, kw_only=True)
class BlockReport:
    """What became of a block's clips; those without a file are left out.

    num_damaged: clips that are done though part of their data did not decode. num_beyond_end: clips that
    are done though their window ends after the file. warnings: of the worker, such as a batch that had to
    shrink.
    """

    start: int
    num_clips: int
    num_failed: int
    num_pictures: int
    seconds: StageSeconds
    num_damaged: int = 0
    num_beyond_end: int = 0
    warnings: tuple[str, ...] = ()

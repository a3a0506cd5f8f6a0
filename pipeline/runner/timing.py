"""Timing of some blocks by the run's own workers; nothing is written."""

import math
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.runner.block_task import BlockTask
from pipeline.runner.cache_setup import Opening
from pipeline.runner.model_metadata import ModelInfo
from pipeline.runner.run_loop import BlockExecutor
from pipeline.runner.worker import SLOTS
from pipeline.types import ClipRef


@dataclass(frozen=True, kw_only=True)
class Timed:
    """Result of a timing.

    Attributes:
        seconds: Time from the first task to the last report.
        num_clips: Processed clips that have a file.
        num_failed: Those of them that failed.
    """

    seconds: float
    num_clips: int
    num_failed: int


class Timing:
    """Timing of blocks on an executor, which processes them as trials.

    Args:
        executor: The workers, with their models loaded.
        info: The models.
        opening: State of the run's cache.
        root: Directory that the paths of clips start from.
        cache: Location of that cache, for messages.
        missing: Rows whose clip has no file.
    """

    def __init__(
        self,
        executor: BlockExecutor,
        info: ModelInfo,
        opening: Opening,
        root: Path,
        cache: str,
        missing: frozenset[int],
    ) -> None:
        self.num_threads = SLOTS * max(1, executor.num_workers)
        self._executor = executor
        self._clips: Sequence[ClipRef | None] = opening.clips
        self._missing = missing
        self._meta = replace(
            opening.meta,
            num_clips=opening.meta.block_clips,
            identity=info.identity,
            fingerprint=info.fingerprint,
        )
        self._root, self._cache = root.absolute(), cache
        self._clips_per_thread = math.ceil(info.num_decoders / SLOTS)

    def warm_up(self, blocks: Sequence[Sequence[int]]) -> None:
        """Start every thread and every decoder, with clips of the blocks that have a file."""
        there = [[row for row in rows if row not in self._missing] for rows in blocks]
        heads = [rows[: self._clips_per_thread] for rows in there if rows]
        if heads:
            self.time(heads[number % len(heads)] for number in range(self.num_threads))

    def time(self, blocks: Iterable[Sequence[int]]) -> Timed:
        """Process the rows of each block, several blocks at a time, and measure the time."""
        began = time.monotonic()
        with closing(self._executor.run(map(self._task, blocks))) as reports:
            done = [report for _, report in reports if report is not None]
        return Timed(
            seconds=time.monotonic() - began,
            num_clips=sum(report.num_clips for report in done),
            num_failed=sum(report.num_failed for report in done),
        )

    def _task(self, rows: Sequence[int]) -> BlockTask:
        return BlockTask(
            cache=self._cache,
            root=self._root,
            start=0,
            rows=tuple(range(len(rows))),
            clips=tuple(clip for row in rows if (clip := self._clips[row]) is not None),
            num_clips=self._meta.num_clips,
            fingerprint=self._meta.fingerprint,
            missing=frozenset(place for place, row in enumerate(rows) if row in self._missing),
            trial=self._meta,
        )

"""Loop over the blocks of a run: an executor processes them, and the loop ends if the lock is lost."""

from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass

from pipeline.errors import OusError, counted
from pipeline.executor import Executor, Observer
from pipeline.runner.block_task import BlockReport, BlockTask
from pipeline.runner.model_metadata import ModelInfo
from pipeline.runner.progress import Progress, Speed
from pipeline.store.lock import Lock

BlockExecutor = Executor[BlockTask, BlockReport]
_CHECK_SECONDS = 1.0
"""Time between two reads of the lock. In a bucket, a read is a request for which all results wait."""


@dataclass(frozen=True, kw_only=True)
class LoopResult:
    """Result of the loop.

    Attributes:
        speed: Progress at the end.
        num_damaged: Finished clips of which some data did not decode.
        num_beyond_end: Finished clips whose window ends after the end of the file.
        warnings: Warnings of the workers, each once.
        num_reused: Clips whose features come from an earlier cache.
    """

    speed: Speed
    num_damaged: int
    num_beyond_end: int
    warnings: tuple[str, ...]
    num_reused: int = 0


def run_blocks(
    executor: BlockExecutor,
    tasks: Iterable[BlockTask],
    total: int,
    info: ModelInfo,
    lock: Lock,
    on_progress: Callable[[Speed], None] | None = None,
) -> LoopResult:
    """Let the executor process the blocks while the lock is held.

    Args:
        executor: The workers.
        tasks: The blocks.
        total: Clips of the tasks that have a file.
        info: The models of the workers.
        lock: The cache's lock.
        on_progress: Called with the speed at the start and after each progress, by any thread.

    Raises:
        CacheError: Another run has taken the lock.
        OusError: Workers died twice at a block, and all others are finished; or an error of the executor.
    """
    known = executor.warnings
    warnings: list[str] = []
    given_up: list[BlockTask] = []
    num_damaged = num_beyond_end = num_reused = 0
    watch = _Watch(executor, Progress(total, info, executor.num_workers), lock, on_progress)
    watch.show()
    with closing(executor.run(tasks, watch)) as results:
        for task, report in results:
            if report is None:
                given_up.append(task)
                continue
            watch.progress.finish(report)
            num_damaged += report.num_damaged
            num_beyond_end += report.num_beyond_end
            num_reused += report.num_reused
            warnings += [warning for warning in report.warnings if warning not in warnings]
            watch.show()
            lock.check(every_seconds=_CHECK_SECONDS)
    lock.check()
    if given_up:
        msg = (
            f"Workers died repeatedly at {counted(len(given_up), 'block')}, first the one at clip "
            f"{given_up[0].start}, perhaps because memory ran out. Unfinished clips are still pending; run "
            "again with fewer workers."
        )
        raise OusError(msg)
    return LoopResult(
        speed=watch.progress.speed(),
        num_damaged=num_damaged,
        num_beyond_end=num_beyond_end,
        num_reused=num_reused,
        warnings=(*warnings, *(warning for warning in executor.warnings if warning not in known)),
    )


class _Watch(Observer):
    """Observer that shows the progress of a run, and ends it if its lock is lost."""

    def __init__(
        self,
        executor: BlockExecutor,
        progress: Progress,
        lock: Lock,
        on_progress: Callable[[Speed], None] | None,
    ) -> None:
        self.progress = progress
        self._executor = executor
        self._lock = lock
        self._on_progress = on_progress

    def show(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self.progress.speed(is_waiting=self._executor.is_waiting))

    def on_progress(self, amount: float) -> None:
        self.progress.advance(amount)
        self.show()

    def on_tick(self) -> None:
        self._lock.require_held()
        if self._executor.is_waiting:
            self.show()  # repeated, because a display may skip some calls

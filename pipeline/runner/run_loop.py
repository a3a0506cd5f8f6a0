"""The blocks of a run, done by an executor to the end: counted, shown, and stopped when the lock is lost."""

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


@dataclass(frozen=True, kw_only=True)
class LoopResult:
    """How the work went.

    num_damaged: clips done in spite of damage. num_beyond_end: clips done whose window ends after the file.
    warnings: of the workers, each once.
    """

    speed: Speed
    num_damaged: int
    num_beyond_end: int
    warnings: tuple[str, ...]


def run_blocks(
    executor: BlockExecutor,
    tasks: Iterable[BlockTask],
    total: int,
    info: ModelInfo,
    lock: Lock,
    on_progress: Callable[[Speed], None] | None = None,
) -> LoopResult:
    """Have the executor do the blocks while the lock is held.

    Args:
        executor: The workers.
        tasks: The blocks.
        total: Clips of the tasks that have a file.
        info: What the models of the workers are.
        lock: Of the cache.
        on_progress: Called at the start and whenever more is done, by any thread.

    Raises:
        CacheError: Another run has taken the lock.
        OusError: Workers died twice at a block; all others are done. And whatever the executor raises.
    """
    known = executor.warnings
    warnings: list[str] = []
    given_up: list[BlockTask] = []
    num_damaged = num_beyond_end = 0
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
            warnings += [warning for warning in report.warnings if warning not in warnings]
            watch.show()
            lock.check()
    if given_up:
        msg = (
            f"Workers died again and again at {counted(len(given_up), 'block')}, first the one at clip "
            f"{given_up[0].start}: out of memory, perhaps. What is not done is pending still; run again with "
            "fewer workers."
        )
        raise OusError(msg)
    return LoopResult(
        speed=watch.progress.speed(),
        num_damaged=num_damaged,
        num_beyond_end=num_beyond_end,
        warnings=(*warnings, *(warning for warning in executor.warnings if warning not in known)),
    )


class _Watch(Observer):
    """Shows the progress of a run, and ends it when its lock is lost."""

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
            self.show()  # again and again: whoever shows it may show only some of the calls

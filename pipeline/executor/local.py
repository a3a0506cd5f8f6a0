"""Executor in this process: threads that share one worker, or the calling thread."""

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, Generic

from pipeline.cancel import TaskCancelledError
from pipeline.executor.task import AnyT, Observer, ResultT, TaskContext, TaskT, Worker, WorkerSetup

_GOODBYE_SECONDS = 2.0
SECONDS_BETWEEN_TICKS = 1.0
_left_inside: list[threading.Thread] = []


def is_at_work() -> bool:
    """Return whether a thread of this process was still in its task some time after the cancellation.

    It stays true, because a thread that has ended since may still be freeing memory of its libraries.
    """
    return bool(_left_inside)


class LocalExecutor(Generic[TaskT, ResultT]):
    """Executor with one worker in this process, which is started when it is first needed. See `Executor`.

    With one slot, the calling thread runs the tasks, so that Ctrl-C ends the task itself. With more slots,
    threads run them.
    """

    where = "in this process"
    warnings: tuple[str, ...] = ()
    dashboard = ""
    num_workers = 1
    is_waiting = False

    def __init__(self, setup: WorkerSetup[TaskT, ResultT]) -> None:
        self._setup = setup
        self._worker: Worker[TaskT, ResultT] | None = None

    @property
    def worker(self) -> Any:
        """The worker, started at the first call."""
        if self._worker is None:
            self._worker = self._setup.start()
        return self._worker

    def ask_setup(self, question: Callable[[Any], AnyT], observer: Observer | None = None) -> AnyT:
        """See `Executor`."""
        return question(self._setup)

    def ask_worker(self, question: Callable[[Any], AnyT], observer: Observer | None = None) -> AnyT:
        """See `Executor`."""
        return question(self.worker)

    def run(
        self, tasks: Iterable[TaskT], observer: Observer | None = None
    ) -> Generator[tuple[TaskT, ResultT | None], None, None]:
        """See `Executor`. The worker is in this process and cannot die alone, so every task has a result."""
        observer = observer or Observer()
        if self._setup.slots == 1:
            yield from self._in_calling_thread(tasks, observer)
        else:
            yield from self._in_threads(tasks, observer)

    def close(self) -> None:
        """See `Executor`."""
        if self._worker is not None:
            self._worker.close()

    def _in_calling_thread(
        self, tasks: Iterable[TaskT], observer: Observer
    ) -> Iterator[tuple[TaskT, ResultT | None]]:
        context = TaskContext(advance=observer.on_progress)
        for task in tasks:
            observer.on_tick()
            yield task, self.worker.run(task, context)

    def _in_threads(
        self, tasks: Iterable[TaskT], observer: Observer
    ) -> Iterator[tuple[TaskT, ResultT | None]]:
        context = TaskContext(advance=observer.on_progress)
        ended: queue.SimpleQueue[tuple[TaskT, ResultT] | BaseException | None] = queue.SimpleQueue()
        work = (self.worker, _SharedTasks(tasks), ended, context)
        threads = [
            threading.Thread(target=_do_tasks, args=work, name=f"task-{number}", daemon=True)
            for number in range(self._setup.slots)
        ]
        for thread in threads:
            thread.start()
        try:
            yield from _results(ended, len(threads), observer)
        finally:
            context.cancel.cancel()
            for thread in threads:
                thread.join(_GOODBYE_SECONDS / len(threads))
            _left_inside.extend(thread for thread in threads if thread.is_alive())


class _SharedTasks(Generic[TaskT]):
    """Tasks that several threads take from."""

    def __init__(self, tasks: Iterable[TaskT]) -> None:
        self._tasks = iter(tasks)
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[TaskT]:
        return self

    def __next__(self) -> TaskT:
        with self._lock:
            return next(self._tasks)


def _do_tasks(
    worker: Worker[TaskT, ResultT],
    tasks: _SharedTasks[TaskT],
    ended: "queue.SimpleQueue[tuple[TaskT, ResultT] | BaseException | None]",
    context: TaskContext,
) -> None:
    """Run tasks one after the other; the queue also gets the end and every exception."""
    try:
        for task in tasks:
            ended.put((task, worker.run(task, context)))
            context.cancel.raise_if_cancelled()
    except BaseException as error:  # noqa: BLE001 - the waiting thread raises it
        if not (isinstance(error, TaskCancelledError) and context.cancel.is_cancelled):
            ended.put(error)
    ended.put(None)


def _results(
    ended: "queue.SimpleQueue[tuple[TaskT, ResultT] | BaseException | None]",
    num_threads: int,
    observer: Observer,
) -> Iterator[tuple[TaskT, ResultT]]:
    while num_threads:
        observer.on_tick()
        try:
            answer = ended.get(timeout=SECONDS_BETWEEN_TICKS)
        except queue.Empty:
            continue
        if answer is None:
            num_threads -= 1
        elif isinstance(answer, BaseException):
            raise answer
        else:
            yield answer

"""Executor on the workers of a Dask cluster. If a worker dies, its tasks are run again."""

import contextlib
import itertools
import queue
import secrets
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Generic, Self

from distributed import Future

from pipeline.executor.cluster import connect, worker_plugin
from pipeline.executor.cluster.dispatch import Assigned, Dispatch
from pipeline.executor.cluster.translate import (
    ResultTimeoutError,
    WorkerDiedError,
    result_of,
    translate_errors,
)
from pipeline.executor.task import AnyT, Observer, ResultT, TaskT, WorkerSetup

_SECONDS_BETWEEN_LOOKS = 1.0


class ClusterExecutor(Generic[TaskT, ResultT]):
    """Executor on a Dask cluster, made by `on_gpus`, `on_cores` or `join`. See `Executor`.

    This process chooses the worker of every task, so that it knows the tasks of a worker that dies.

    Args:
        connection: The cluster. It is closed with the executor, or if this constructor raises.
        setup: Setup of a worker.
    """

    def __init__(self, connection: connect.Connection, setup: WorkerSetup[TaskT, ResultT]) -> None:
        self._connection = connection
        self._client = connection.client
        self._setup = setup
        self._plugin = f"ous-{secrets.token_hex(4)}"
        self._observer = Observer()
        self.is_waiting = False
        self._workers: dict[str, int] = {}
        self._looked = -_SECONDS_BETWEEN_LOOKS
        is_own = connection.own is not None
        connection.register(self._plugin, worker_plugin.TaskPlugin(setup, connection.cores, is_own=is_own))
        try:
            with translate_errors():
                self._client.subscribe_topic(self._plugin, self._on_event)
        except BaseException:
            self.close()
            raise

    @classmethod
    def on_cores(
        cls, num_workers: int, setup: WorkerSetup[TaskT, ResultT], *, dashboard: bool = False
    ) -> Self:
        """Start worker processes on this machine, each restricted to its part of the cores.

        Args:
            num_workers: Number of processes.
            setup: Setup of a worker.
            dashboard: Whether Dask's dashboard is served, over plain HTTP, to this machine.
        """
        return cls(connect.on_cores(num_workers, setup.slots, dashboard=dashboard), setup)

    @classmethod
    def on_gpus(
        cls,
        num_gpus: int,
        setup: WorkerSetup[TaskT, ResultT],
        *,
        per_gpu: int = 1,
        dashboard: bool = False,
    ) -> Self:
        """Start worker processes on the GPUs of this machine.

        Args:
            num_gpus: Number of GPUs.
            setup: Setup of a worker.
            per_gpu: Processes on each GPU.
            dashboard: Whether Dask's dashboard is served, over plain HTTP, to this machine.
        """
        return cls(connect.on_gpus(num_gpus, setup.slots, per_gpu=per_gpu, dashboard=dashboard), setup)

    @classmethod
    def join(cls, scheduler: str, setup: WorkerSetup[TaskT, ResultT]) -> Self:
        """Use the workers of a running cluster, by its scheduler's address or file.

        Raises:
            OusError: No scheduler answers.
        """
        return cls(connect.joined(scheduler), setup)

    @property
    def where(self) -> str:
        """See `Executor`."""
        return self._connection.where

    @property
    def warnings(self) -> tuple[str, ...]:
        """See `Executor`. Workers with too few threads are known after tasks were assigned to them."""
        slots = self._setup.slots
        few = sorted(address for address, threads in self._workers.items() if threads < slots)
        return self._connection.warnings + tuple(
            f"the worker at {address} has --nthreads {self._workers[address]} and runs fewer tasks at a time "
            f"than it could; start it with --nthreads {slots}"
            for address in few
        )

    @property
    def num_workers(self) -> int:
        """See `Executor`."""
        return max(1, len(self._client.nthreads()))

    @property
    def dashboard(self) -> str:
        """See `Executor`."""
        has_pages = "dashboard" in self._client.scheduler_info().get("services", {})
        return str(self._client.dashboard_link) if has_pages else ""

    def ask_setup(self, question: Callable[[Any], AnyT], observer: Observer | None = None) -> AnyT:
        """See `Executor`. Raises OusError if no worker connects, or those of an own cluster are gone."""
        return self._ask(worker_plugin.ask_setup, question, observer)

    def ask_worker(self, question: Callable[[Any], AnyT], observer: Observer | None = None) -> AnyT:
        """See `Executor`. Raises OusError if no worker connects, or those of an own cluster are gone."""
        return self._ask(worker_plugin.ask_worker, question, observer)

    def run(
        self, tasks: Iterable[TaskT], observer: Observer | None = None
    ) -> Generator[tuple[TaskT, ResultT | None], None, None]:
        """See `Executor`. Raises OusError if no worker connects, or the scheduler does not answer."""
        self._observer = observer or Observer()
        with translate_errors():
            self._connection.require_a_worker()
        dispatch = Dispatch(iter(tasks), self._setup.slots, self._setup.queued)
        out: dict[str, tuple[Future[ResultT], Assigned[TaskT]]] = {}
        ended: queue.SimpleQueue[str] = queue.SimpleQueue()
        try:
            while not dispatch.is_done:
                self._observer.on_tick()
                self._look(now=not out)
                out.update(self._submitted(dispatch.assign(self._workers), ended))
                for key in _drained(ended, timeout=_SECONDS_BETWEEN_LOOKS):
                    if key in out:  # otherwise it was removed from a dead worker
                        yield from self._finish(dispatch, *out.pop(key))
                for key in [key for key, (_, at) in out.items() if at.address not in self._workers]:
                    future, assigned = out.pop(key)
                    future.release()
                    if dispatch.died(assigned):
                        yield assigned.task, None
        finally:
            for future, _ in out.values():
                future.release()  # returns at once, also if the scheduler does not answer

    def close(self) -> None:
        """See `Executor`. On a shared cluster, running tasks end when they check their token."""
        self._connection.close(self._plugin)

    def _ask(
        self, function: Callable[..., Any], question: Callable[[Any], AnyT], observer: Observer | None
    ) -> AnyT:
        """Let any worker answer. If it dies, Dask waits for another one."""
        self._observer = observer or Observer()
        with translate_errors():
            self._connection.require_a_worker()
            future = self._client.submit(function, self._plugin, question, pure=False)
        ended = threading.Event()
        future.add_done_callback(lambda _: ended.set())
        while not ended.wait(_SECONDS_BETWEEN_LOOKS):
            self._observer.on_tick()
            self._look(now=True)
        self._look(now=True)
        answer: AnyT = result_of(future)
        return answer

    def _submitted(
        self, new: Sequence[Assigned[TaskT]], ended: "queue.SimpleQueue[str]"
    ) -> Iterator[tuple[str, tuple["Future[ResultT]", Assigned[TaskT]]]]:
        """Send tasks to their workers, those of one worker together; `ended` gets the keys of ended tasks."""
        for address, group in itertools.groupby(new, key=lambda assigned: assigned.address):
            batch = list(group)
            with translate_errors():
                futures = self._client.map(
                    partial(worker_plugin.run, self._plugin),
                    [assigned.task for assigned in batch],
                    key=[f"task-{secrets.token_hex(8)}" for _ in batch],
                    pure=False,
                    workers=[address],
                    allow_other_workers=False,
                )
            for future, assigned in zip(futures, batch, strict=True):
                yield str(future.key), (future, assigned)
                future.add_done_callback(lambda future: ended.put(str(future.key)))

    def _finish(
        self, dispatch: Dispatch[TaskT], future: "Future[ResultT]", assigned: Assigned[TaskT]
    ) -> Iterator[tuple[TaskT, ResultT | None]]:
        """Yield an ended task with its result, or nothing if it will be run once more."""
        try:
            result = self._result(future, assigned.address)
        except WorkerDiedError:
            future.release()
            if dispatch.died(assigned):
                yield assigned.task, None
            return
        future.release()
        dispatch.finished(assigned)
        yield assigned.task, result

    def _result(self, future: "Future[ResultT]", address: str) -> ResultT:
        """Fetch a result from its worker. If the worker dies meanwhile, Dask itself would wait forever."""
        while True:
            try:
                result: ResultT = result_of(future, timeout=_SECONDS_BETWEEN_LOOKS)
            except ResultTimeoutError:
                self._look(now=True)
                if address not in self._workers:
                    raise WorkerDiedError from None
            else:
                return result

    def _look(self, *, now: bool = False) -> None:
        """Update the current workers, at once or if the last update is more than a second ago."""
        if not now and time.monotonic() - self._looked < _SECONDS_BETWEEN_LOOKS:
            return
        self._workers = self._connection.workers()
        self._looked = time.monotonic()
        was_waiting, self.is_waiting = self.is_waiting, not self._workers
        if self.is_waiting and not was_waiting:
            self._observer.on_waiting()

    def _on_event(self, event: tuple[float, float]) -> None:
        """Report the progress that a worker has sent."""
        self._observer.on_progress(float(event[1]))


def _drained(ended: "queue.SimpleQueue[str]", timeout: float) -> list[str]:
    """Return all available keys; wait for the first one, at most `timeout` seconds."""
    keys: list[str] = []
    with contextlib.suppress(queue.Empty):
        keys.append(ended.get(timeout=timeout))
        while True:
            keys.append(ended.get_nowait())
    return keys

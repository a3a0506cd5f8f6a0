"""Plugin that runs tasks on a cluster's workers. It owns the `Worker`, which is never in Dask's graph."""

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from distributed import WorkerPlugin, get_worker

from pipeline.cancel import CancelToken, TaskCancelledError
from pipeline.executor.cluster.own_cluster import close_pages
from pipeline.executor.cluster.settings import Cores
from pipeline.executor.machine import keep_memory
from pipeline.executor.task import AnyT, TaskContext, Worker, WorkerSetup
from pipeline.safe_streams import guard_standard_streams

_SECONDS_BETWEEN_EVENTS = 1.0
_alone_in_process = threading.BoundedSemaphore(1)
"""Semaphore for workers of one slot, whose tasks may change state of the process, such as torch's random
numbers, because two clients may use the same workers of a shared cluster."""


class TaskPlugin(WorkerPlugin):
    """Plugin that runs tasks on a Dask worker. The `Worker` for them is started at the first task.

    It is on every worker of the cluster, also on those that join later.

    Args:
        setup: Setup of the `Worker`.
        cores: Cores of each Dask worker, by its name; a worker without an entry keeps its cores.
        is_own: Whether this run started the Dask workers, which then ignore Ctrl-C and serve no pages.
    """

    def __init__(self, setup: WorkerSetup[Any, Any], cores: Cores, *, is_own: bool) -> None:
        self._setup = setup
        self._cores_by_name = cores
        self._is_own = is_own

    def setup(self, worker: Any) -> None:
        """Prepare the Dask worker. Dask calls this when the worker or the plugin is new."""
        self._cores = self._prepare_process(worker)
        self._starting = threading.Lock()
        self._slots = _alone_in_process if self._setup.slots == 1 else self._own_slots()
        self._worker: Worker[Any, Any] | None = None
        self._cancel = CancelToken()

    def teardown(self, worker: Any) -> None:
        """Cancel tasks and close the `Worker`. Dask calls this when the plugin is removed at a run's end."""
        self._cancel.cancel()
        if self._worker is not None:
            self._worker.close()

    def worker(self) -> Worker[Any, Any]:
        """Return the worker, started at the first call. Raises TaskCancelledError after the run's end."""
        with self._starting:
            if self._worker is None and not self._cancel.is_cancelled:
                self._worker = self._setup.start(self._cores)
            if self._worker is None or self._cancel.is_cancelled:
                self.teardown(None)
                raise TaskCancelledError
            return self._worker

    def ask_setup(self, question: Callable[[Any], AnyT]) -> AnyT:
        """Return `question(setup)`."""
        return question(self._setup)

    def run(self, task: Any, send: Callable[[float], None]) -> Any:
        """Run a task as soon as a slot is free.

        Args:
            task: Task of the worker that the setup starts.
            send: Called about every second, and at the end, with the progress since the last call.
        """
        unsent, sent = 0.0, time.monotonic()
        counting = threading.Lock()

        def advance(amount: float) -> None:
            nonlocal unsent, sent
            with counting:
                unsent += amount
                if time.monotonic() - sent > _SECONDS_BETWEEN_EVENTS:
                    send(unsent)
                    unsent, sent = 0.0, time.monotonic()

        with self._slots:
            self._cancel.raise_if_cancelled()
            result = self.worker().run(task, TaskContext(cancel=self._cancel, advance=advance))
        if unsent:
            send(unsent)
        return result

    def _own_slots(self) -> threading.BoundedSemaphore:
        return threading.BoundedSemaphore(self._setup.slots)

    def _prepare_process(self, worker: Any) -> tuple[int, ...] | None:
        """Prepare this process, and return the cores to which it is restricted, None for no restriction."""
        keep_memory()
        if self._is_own:
            guard_standard_streams()
            close_pages(worker)
        cores = self._cores_by_name.get(worker.name)
        if cores:
            os.sched_setaffinity(0, cores)  # threads that the worker starts from now on inherit it
        if self._is_own and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        return cores


def ask_setup(plugin: str, question: Callable[[Any], AnyT]) -> AnyT:
    """Return `question(setup)` of the `TaskPlugin` of that name; called on a Dask worker."""
    return _plugin(plugin).ask_setup(question)


def ask_worker(plugin: str, question: Callable[[Any], AnyT]) -> AnyT:
    """Return `question(worker)` of the `TaskPlugin` of that name; called on a Dask worker."""
    return question(_plugin(plugin).worker())


def run(plugin: str, task: Any) -> Any:
    """Run a task, and send its progress as events of the plugin's topic; called on a Dask worker."""
    worker = get_worker()
    return _plugin(plugin).run(task, lambda amount: worker.log_event(plugin, amount))


def _plugin(name: str) -> TaskPlugin:
    plugin = get_worker().plugins[name]
    assert isinstance(plugin, TaskPlugin), name
    return plugin

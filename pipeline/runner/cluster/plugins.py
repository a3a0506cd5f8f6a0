"""What runs on a cluster's workers.

Each worker holds its models in a plugin, never in the graph, and starts them at its first block.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from distributed import WorkerPlugin, get_worker

from pipeline.runner.cluster.own import close_pages
from pipeline.runner.cluster.settings import Cores
from pipeline.runner.crew import StoppedError
from pipeline.runner.machine import keep_memory
from pipeline.runner.work import THREADS_PER_WORKER, BlockReport, BlockTask, Brief, Worker, WorkerSetup
from pipeline.safe_streams import guard_standard_streams

_SECONDS_BETWEEN_EVENTS = 1.0


def settle(worker: Any, cores_by_name: Cores, *, is_own: bool) -> tuple[int, ...] | None:
    """Prepare this process, a worker; return the cores it is kept to, None where it keeps those it has.

    is_own: whether the run has started the worker: then Ctrl-C is the client's affair, and the worker
    serves no pages.
    """
    keep_memory()
    if is_own:
        guard_standard_streams()
        close_pages(worker)
    cores = cores_by_name.get(worker.name)
    if cores:
        os.sched_setaffinity(0, cores)  # threads that the worker starts from now on inherit it
    if is_own and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return cores


class Holder(WorkerPlugin):
    """A worker's models: on every worker of the cluster, also on those that join later.

    cores: those that a worker is kept to, by its name; a worker without any keeps those it has.
    is_own: whether the workers were started by the run, whose user alone then stops them.
    """

    def __init__(self, setup: WorkerSetup, cores: Cores, *, is_own: bool) -> None:
        self._setup = setup
        self._cores_by_name = cores
        self._is_own = is_own

    def setup(self, worker: Any) -> None:
        """Called on the worker when it or this plugin is new."""
        self._cores = settle(worker, self._cores_by_name, is_own=self._is_own)
        self._threads = int(worker.state.nthreads)
        self._address = worker.address
        self._starting = threading.Lock()
        self._places = threading.BoundedSemaphore(THREADS_PER_WORKER)
        self._worker: Worker | None = None
        self._stopped = False

    def teardown(self, worker: Any) -> None:
        """Called when the plugin is taken away: the run is over."""
        self._stopped = True
        if self._worker is not None:
            self._worker.close()

    def worker(self) -> Worker:
        """The models, loaded at the first call. Raises StoppedError when the run is over by then."""
        with self._starting:
            if self._worker is None and not self._stopped:
                self._worker = replace(self._setup, cores=self._cores).start()
            if self._worker is None or self._stopped:
                self.teardown(None)
                raise StoppedError
            return self._worker

    def unloaded_brief(self) -> Brief:
        """What the models will be, as far as it is known before any weights are read."""
        return self._setup.brief()

    def run(self, task: BlockTask, send: Callable[[float], None]) -> BlockReport:
        """Do a block; of more threads than a worker can use, the others wait."""
        untold, told = 0.0, time.monotonic()

        def tell(clips: float) -> None:
            nonlocal untold, told
            if self._stopped:
                raise StoppedError
            untold += clips
            if time.monotonic() - told > _SECONDS_BETWEEN_EVENTS:
                send(untold)
                untold, told = 0.0, time.monotonic()

        with self._places:
            report = self.worker().run(task, tell)
        send(untold)
        if self._threads == THREADS_PER_WORKER:
            return report
        few = self._threads < THREADS_PER_WORKER
        why = "decoding waits for encoding" if few else "it keeps blocks that others could do"
        note = f"the worker at {self._address} has --nthreads {self._threads}: {why}; start it with "
        note += f"--nthreads {THREADS_PER_WORKER}"
        return replace(report, warnings=(*report.warnings, note))


def unloaded_brief(plugin: str) -> Brief:
    """On a worker: what its models will be; nothing is loaded. `plugin` is the name of its `Holder`."""
    return _holder(plugin).unloaded_brief()


def brief(plugin: str) -> Brief:
    """On a worker: what its models are; `plugin` is the name of its `Holder`."""
    return _holder(plugin).worker().brief()


def run(plugin: str, task: BlockTask) -> BlockReport:
    """On a worker: do a block, and tell its progress as events of the plugin's topic."""
    worker = get_worker()
    return _holder(plugin).run(task, lambda clips: worker.log_event(plugin, clips))


def _holder(plugin: str) -> Holder:
    holder = get_worker().plugins[plugin]
    assert isinstance(holder, Holder), plugin
    return holder

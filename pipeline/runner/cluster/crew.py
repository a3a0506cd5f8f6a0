"""A run's blocks on the workers of a Dask cluster: its own on this machine, or one that stands.

Dask hands out blocks and notices deaths; everything large stays inside a worker. Each worker holds
its models in a plugin, never in the graph, and starts them at its first block.
"""

import contextlib
import importlib.util
import itertools
import logging
import math
import os
import secrets
import signal
import threading
import time
from asyncio import CancelledError
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import dask
from distributed import (
    Client,
    Nanny,
    Scheduler,
    SchedulerPlugin,
    SpecCluster,
    WorkerPlugin,
    as_completed,
    get_worker,
)
from distributed.scheduler import KilledWorker

from pipeline.errors import OusError, first_line
from pipeline.runner.crew import StoppedError
from pipeline.runner.machine import available_cores, shares_of_cores, visible_gpus
from pipeline.runner.work import THREADS_PER_WORKER, BlockReport, BlockTask, Brief, Timed, Worker, WorkerSetup
from pipeline.types import ClipRef

_HERE = "127.0.0.1"
_IN_FLIGHT = 4
"""Blocks per worker thread that are handed out: enough that none waits, few enough to forget."""
_JOIN_SECONDS, _START_SECONDS, _GOODBYE_SECONDS = 15, 50, 3
_SECONDS_BETWEEN_EVENTS = 1.0
_SECONDS_BETWEEN_LOOKS = 5.0
_POLL_SECONDS = 0.02
_LOST = "The connection to the Dask scheduler is lost. Finished blocks are safe; run again."

_SETTINGS = {
    # The store is the truth: nothing to spill, and our own bounds on memory.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    "distributed.admin.log-length": 1000,
    "distributed.worker.profile.enabled": False,
    "distributed.scheduler.allowed-failures": 1,
    "distributed.comm.timeouts.connect": f"{_JOIN_SECONDS}s",
}
_PACKAGE_ROOT = Path(__file__).parents[2]
_LOGGED = logging.CRITICAL
"""What Dask says of deaths and restarts is told by the run itself."""


class ClusterCrew:
    """Workers of a Dask cluster. Made by `on_gpus`, `on_cores` or `join`."""

    def __init__(self, client: Client, cluster: Any | None, setup: WorkerSetup, where: str) -> None:
        self.where = where
        self._client = client
        self._cluster = cluster
        self._plugin = f"ous-{secrets.token_hex(4)}"
        self._looked, self._threads = -math.inf, {"": 1}
        self._tell: Callable[[float], None] | None = None
        with _told():
            client.subscribe_topic(self._plugin, self._heard)
            holder = _Holder(setup, _cores_by_name(cluster), is_own=cluster is not None)
            client.register_plugin(holder, name=self._plugin)
            if cluster is None:
                client.register_plugin(_Caretaker(self._plugin, client.id))

    @classmethod
    def on_cores(cls, num_workers: int, setup: WorkerSetup) -> Self:
        """So many worker processes on this machine, each kept to its share of the cores."""
        shares = shares_of_cores(available_cores(), num_workers)
        workers = {n: _nanny({"OMP_NUM_THREADS": str(len(cores))}) for n, cores in enumerate(shares)}
        client, cluster = _start(workers)
        return cls(client, cluster, setup, f"on {num_workers} workers of this machine")

    @classmethod
    def on_gpus(cls, num_gpus: int, setup: WorkerSetup) -> Self:
        """One worker process per GPU, by dask-cuda when it is installed, else by a nanny per device."""
        gpus = visible_gpus()[:num_gpus]
        if importlib.util.find_spec("dask_cuda") is not None:
            client, cluster = _start_dask_cuda(gpus)
        else:
            client, cluster = _start({n: _nanny({"CUDA_VISIBLE_DEVICES": gpu}) for n, gpu in enumerate(gpus)})
        return cls(client, cluster, setup, f"on {num_gpus} GPUs of this machine")

    @classmethod
    def join(cls, scheduler: str, setup: WorkerSetup) -> Self:
        """The workers of a cluster that stands, by its scheduler's address or file.

        Raises OusError when no scheduler answers.
        """
        _configure()
        how = {"address": scheduler} if "://" in scheduler else {"scheduler_file": scheduler}
        try:
            client = Client(**how, timeout=_JOIN_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            msg = f"No Dask scheduler answers at '{scheduler}' ({first_line(error)}). Is it running?"
            raise OusError(msg) from error
        return cls(client, None, setup, f"on the cluster of {scheduler}")

    @property
    def num_workers(self) -> int:
        """Workers at this moment."""
        return max(1, len(self._client.nthreads()))

    @property
    def is_waiting(self) -> bool:
        """See `Crew`."""
        return not self._threads

    @property
    def dashboard(self) -> str:
        """The address of Dask's pages about the cluster."""
        has_pages = "dashboard" in self._client.scheduler_info().get("services", {})
        return str(self._client.dashboard_link) if has_pages else ""

    def brief(self) -> Brief:
        """See `Crew`. Raises OusError when no worker comes."""
        try:
            self._client.wait_for_workers(1, timeout=_START_SECONDS)
        except TimeoutError as error:
            msg = f"No worker has joined the scheduler within {_START_SECONDS} s; start some and run again."
            raise OusError(msg) from error
        brief: Brief = _result(self._client.submit(_brief, self._plugin, pure=False))
        return brief

    def time_clips(self, root: Path, clips: Sequence[ClipRef]) -> Timed:
        """See `Crew`."""
        timed: Timed = _result(self._client.submit(_time_clips, self._plugin, root, clips, pure=False))
        return timed

    def run(
        self, tasks: Iterable[BlockTask], on_progress: Callable[[float], None] | None = None
    ) -> Generator[BlockReport, None, None]:
        """See `Crew`. A block that keeps killing its workers is left undone, and told at the end."""
        self._tell = on_progress
        suspects: list[BlockTask] = []
        yield from self._do(iter(tasks), self._window, suspects)
        lost: list[BlockTask] = []
        yield from self._do(iter(suspects), lambda: 1, lost)  # Dask blames whoever was on a dead worker
        if lost:
            msg = (
                f"{len(lost)} blocks killed their workers again and again, first the one at clip "
                f"{lost[0].start}: out of memory, perhaps. They are pending still; run again with fewer "
                "workers."
            )
            raise OusError(msg)

    def _do(
        self, tasks: Iterator[BlockTask], window: Callable[[], int], lost: list[BlockTask]
    ) -> Iterator[BlockReport]:
        """The reports of the tasks, so many handed out at a time; those whose workers died become `lost`."""
        done = as_completed((), with_results=True, raise_errors=False, loop=self._client.loop)
        run, out = secrets.token_hex(4), dict[str, BlockTask]()

        def hand_out() -> None:
            size = window()
            if len(out) > size // 2:
                return  # many at a time: a graph of one block costs the scheduler most of a block's time
            batch = list(itertools.islice(tasks, size - len(out)))
            keys = [f"block-{run}-{task.start:08d}" for task in batch]
            out.update(zip(keys, batch, strict=True))
            if batch:
                done.update(self._client.map(partial(_run, self._plugin), batch, key=keys, pure=False))

        hand_out()
        for future, result in self._ready(done):
            task = out.pop(future.key)
            if future.status == "finished":
                yield result
            elif future.status == "cancelled":
                raise OusError(_LOST)
            elif isinstance(error := result[1], KilledWorker):
                lost.append(task)
            else:
                raise error
            future.release()
            hand_out()

    def close(self) -> None:
        """See `Crew`. Blocks under way end unwritten at their next batch."""
        if self._cluster is not None:
            _kill_workers(self._cluster)
        else:
            goodbye = threading.Thread(target=self._take_plugin_away, daemon=True)
            goodbye.start()
            goodbye.join(_GOODBYE_SECONDS)  # a worker that is loading its models answers later
        with _if_it_answers():
            self._client.close(timeout=_GOODBYE_SECONDS)
        if self._cluster is not None:
            with _if_it_answers():
                self._cluster.close(timeout=_GOODBYE_SECONDS)

    def _take_plugin_away(self) -> None:
        with _if_it_answers():
            self._client.unregister_worker_plugin(self._plugin)

    def _ready(self, done: Any) -> Iterator[tuple[Any, Any]]:
        """What an `as_completed` gives, with a look at the workers now and then while nothing comes."""
        while not done.is_empty():
            if not done.has_ready():
                time.sleep(_POLL_SECONDS)
                self._look()
            yield from done.next_batch(block=False)

    def _look(self) -> None:
        """See which workers are there, if the last look is long ago; a run that waits for some says so."""
        if time.monotonic() - self._looked < _SECONDS_BETWEEN_LOOKS:
            return
        with _told():
            self._threads = self._client.nthreads()
        self._looked = time.monotonic()
        if self.is_waiting and self._tell is not None:
            self._tell(0.0)

    def _window(self) -> int:
        """How many blocks to have handed out; workers may come and go."""
        self._look()
        threads = sum(min(threads, THREADS_PER_WORKER) for threads in self._threads.values())
        return _IN_FLIGHT * max(1, threads)

    def _heard(self, event: tuple[float, float]) -> None:
        """A worker's word about its progress."""
        if self._tell is not None:
            self._tell(float(event[1]))


def _result(future: Any) -> Any:
    """What a worker gives back, or raises."""
    with _told():
        error = future.exception()  # waits; distributed's wait() looks for a default client
    if isinstance(error, OSError):
        raise error  # of the worker, such as a file that it may not read: the way to it is well
    with _told():
        return future.result()


def _if_it_answers() -> contextlib.suppress:
    """For a goodbye to a cluster that may be gone, or too busy to notice."""
    return contextlib.suppress(OSError, TimeoutError, ValueError, RuntimeError, CancelledError)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Turn what goes wrong between this process and the workers into an OusError; what they raise passes."""
    try:
        yield
    except KilledWorker as error:
        msg = "Workers die while they load the models: out of memory, perhaps. Use fewer, or larger ones."
        raise OusError(msg) from error
    except (CancelledError, OSError, TimeoutError) as error:
        raise OusError(_LOST) from error
    except Exception as error:
        reason = next((e for e in (error.__cause__, error) if "ModuleNotFoundError" in repr(e)), None)
        if reason is None:
            raise
        msg = (
            f"The cluster lacks code ({first_line(reason)}); start the scheduler and the workers in this "
            f"program's own environment, with PYTHONPATH={_PACKAGE_ROOT}."
        )
        raise OusError(msg) from error


def _nanny(environment: dict[str, str]) -> dict[str, Any]:
    options = {
        "nthreads": THREADS_PER_WORKER, "memory_limit": 0, "env": environment, "silence_logs": _LOGGED,
        "host": _HERE, "dashboard_address": f"{_HERE}:0",
    }  # fmt: skip
    return {"cls": Nanny, "options": options}


def _start(workers: dict[int, dict[str, Any]]) -> tuple[Client, Any]:
    """A cluster of these workers on this machine, which no other machine can reach."""
    _configure()
    scheduler = {
        "cls": Scheduler,
        "options": {"host": _HERE, "dashboard_address": f"{_HERE}:0"},
    }
    try:
        cluster = SpecCluster(workers=workers, scheduler=scheduler, silence_logs=_LOGGED)
    except RuntimeError as error:
        msg = f"The {len(workers)} worker processes could not be started ({first_line(error)}); see above."
        raise OusError(msg) from error
    return Client(cluster, set_as_default=False), cluster


def _configure() -> None:
    dask.config.set(_SETTINGS)
    for name in ("distributed", "distributed.client"):  # Dask's own settings tell the two apart
        logging.getLogger(name).setLevel(_LOGGED)


def _start_dask_cuda(gpus: list[str]) -> tuple[Client, Any]:
    """dask-cuda's cluster, which also keeps each worker to the cores near its GPU."""
    from dask_cuda import LocalCUDACluster

    _configure()
    cluster = LocalCUDACluster(
        CUDA_VISIBLE_DEVICES=gpus,
        threads_per_worker=THREADS_PER_WORKER,
        memory_limit=0,
        device_memory_limit=0,
        host=_HERE,
        dashboard_address=f"{_HERE}:0",
    )
    return Client(cluster, set_as_default=False), cluster


def _cores_by_name(cluster: Any | None) -> dict[Any, tuple[int, ...]]:
    """Which cores each worker of this machine may use; a cluster that stands has its own rules."""
    if not isinstance(cluster, SpecCluster) or type(cluster) is not SpecCluster:
        return {}
    names = list(cluster.worker_spec)
    return dict(zip(names, shares_of_cores(available_cores(), len(names)), strict=True))


def _kill_workers(cluster: Any) -> None:
    """End the worker processes at once: a block under way would hold them for as long as it takes."""
    for nanny in cluster.workers.values():
        nanny.auto_restart = False
        process = getattr(nanny, "process", None)
        pid = None if process is None else process.pid
        if pid is not None:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


class _Holder(WorkerPlugin):
    """A worker's models: on every worker of the cluster, also on those that join later."""

    def __init__(
        self, setup: WorkerSetup, cores_by_name: dict[Any, tuple[int, ...]], *, is_own: bool
    ) -> None:
        self._setup = setup
        self._cores_by_name = cores_by_name
        self._is_own = is_own

    def setup(self, worker: Any) -> None:
        """Called on the worker when it or this plugin is new."""
        self._cores = self._cores_by_name.get(worker.name)
        if self._cores:
            os.sched_setaffinity(0, self._cores)  # threads that the worker starts from now on inherit it
        if self._is_own and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the client's affair
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


class _Caretaker(SchedulerPlugin):
    """Takes a run's models off the workers of a cluster that stands, when its client just vanishes."""

    def __init__(self, plugin: str, client: str) -> None:
        self.name = f"{plugin}-caretaker"
        self._plugin = plugin
        self._client = client

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """Called on the scheduler when a client says goodbye, and when its connection breaks."""
        if client != self._client:
            return
        scheduler.loop.add_callback(scheduler.remove_plugin, name=self.name)
        if self._plugin in scheduler.worker_plugins:
            scheduler.loop.add_callback(scheduler.unregister_worker_plugin, comm=None, name=self._plugin)


def _holder(plugin: str) -> _Holder:
    holder = get_worker().plugins[plugin]
    assert isinstance(holder, _Holder), plugin
    return holder


def _brief(plugin: str) -> Brief:
    return _holder(plugin).worker().brief()


def _time_clips(plugin: str, root: Path, clips: Sequence[ClipRef]) -> Timed:
    return _holder(plugin).worker().time_clips(root, clips)


def _run(plugin: str, task: BlockTask) -> BlockReport:
    worker = get_worker()
    return _holder(plugin).run(task, lambda clips: worker.log_event(plugin, clips))

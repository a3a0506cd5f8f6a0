"""A cluster, and the way to it: started on this machine, where no other can reach it, or joined."""

import contextlib
import importlib.util
import logging
import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import dask
from distributed import Client, Nanny, Scheduler, SpecCluster

from pipeline.errors import OusError, counted, first_line
from pipeline.runner.cluster.answers import if_it_answers
from pipeline.runner.machine import available_cores, shares_of_cores, visible_gpus
from pipeline.runner.work import THREADS_PER_WORKER

_HERE = "127.0.0.1"
_JOIN_SECONDS, _START_SECONDS, _GOODBYE_SECONDS = 15, 50, 3
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
_LOGGED = logging.CRITICAL
"""What Dask says of deaths and restarts is told by the run itself."""

Cores = dict[Any, tuple[int, ...]]
"""By a worker's name: the cores that it is kept to."""


@dataclass(frozen=True, kw_only=True)
class Connection:
    """The way to a cluster.

    where: who its workers are, for people. own: the cluster, when this process has started it; one
    that stands goes on without it. cores: of the workers started here; those of a cluster that
    stands, and dask-cuda's, follow their own rules.
    """

    client: Client
    where: str
    own: SpecCluster | None = None
    cores: Cores = field(default_factory=dict)

    def require_a_worker(self) -> None:
        """Wait for the first worker. Raises OusError when none comes."""
        try:
            self.client.wait_for_workers(1, timeout=_START_SECONDS)
        except TimeoutError as error:
            address = self.client.scheduler_info()["address"]
            msg = (
                f"No worker has joined the scheduler at {address} within {_START_SECONDS} s; start some "
                "and run again."
            )
            raise OusError(msg) from error

    def close(self, plugin: str) -> None:
        """End what this process has started; leave a cluster that stands as it was, without `plugin`."""
        if self.own is not None:
            _kill_workers(self.own)
        else:
            goodbye = threading.Thread(target=self._take_away, args=(plugin,), daemon=True)
            goodbye.start()
            goodbye.join(_GOODBYE_SECONDS)  # a worker that is loading its models answers later
        with if_it_answers():
            self.client.close(timeout=_GOODBYE_SECONDS)
        if self.own is not None:
            with if_it_answers():
                self.own.close(timeout=_GOODBYE_SECONDS)

    def _take_away(self, plugin: str) -> None:
        with if_it_answers():
            self.client.unregister_worker_plugin(plugin)


def on_cores(num_workers: int) -> Connection:
    """So many worker processes on this machine, each kept to its share of the cores."""
    cores = _shared_cores(num_workers)
    environments = [{"OMP_NUM_THREADS": str(len(share))} for share in cores.values()]
    return _started(environments, cores, f"on {counted(num_workers, 'worker')} of this machine")


def on_gpus(num_gpus: int, per_gpu: int = 1) -> Connection:
    """So many worker processes per GPU: one by dask-cuda when it is installed, else by nannies."""
    gpus = [gpu for gpu in visible_gpus()[:num_gpus] for _ in range(per_gpu)]
    each = f", {per_gpu} workers each" if per_gpu > 1 else ""
    where = f"on {counted(num_gpus, 'GPU')} of this machine{each}"
    if per_gpu == 1 and importlib.util.find_spec("dask_cuda") is not None:
        return _started_by_dask_cuda(gpus, where)
    return _started([{"CUDA_VISIBLE_DEVICES": gpu} for gpu in gpus], _shared_cores(len(gpus)), where)


def joined(scheduler: str) -> Connection:
    """The way to a cluster that stands, by its scheduler's address or file.

    Raises OusError when no scheduler answers.
    """
    _configure()
    how = {"address": scheduler} if "://" in scheduler else {"scheduler_file": scheduler}
    try:
        client = Client(**how, timeout=_JOIN_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        msg = f"No Dask scheduler answers at '{scheduler}' ({first_line(error)}). Is it running?"
        raise OusError(msg) from error
    return Connection(client=client, where=f"on the cluster of {scheduler}")


def _shared_cores(num_workers: int) -> Cores:
    return dict(enumerate(shares_of_cores(available_cores(), num_workers)))


def _started(environments: Sequence[dict[str, str]], cores: Cores, where: str) -> Connection:
    """A cluster of a worker for each environment; they are named by their numbers, as in `cores`."""
    _configure()
    scheduler = {
        "cls": Scheduler,
        "options": {"host": _HERE, "dashboard_address": f"{_HERE}:0"},
    }
    workers = {number: _nanny(environment) for number, environment in enumerate(environments)}
    try:
        cluster = SpecCluster(workers=workers, scheduler=scheduler, silence_logs=_LOGGED)
    except RuntimeError as error:
        processes = counted(len(workers), "worker process", "worker processes")
        msg = f"The cluster of {processes} could not be started ({first_line(error)}); see above."
        raise OusError(msg) from error
    return Connection(client=Client(cluster, set_as_default=False), where=where, own=cluster, cores=cores)


def _nanny(environment: dict[str, str]) -> dict[str, Any]:
    options = {
        "nthreads": THREADS_PER_WORKER, "memory_limit": 0, "env": environment, "silence_logs": _LOGGED,
        "host": _HERE, "dashboard_address": f"{_HERE}:0",
    }  # fmt: skip
    return {"cls": Nanny, "options": options}


def _started_by_dask_cuda(gpus: list[str], where: str) -> Connection:
    """dask-cuda's cluster, which keeps each worker to the cores near its GPU."""
    from dask_cuda import LocalCUDACluster

    _configure()
    try:
        cluster = LocalCUDACluster(
            CUDA_VISIBLE_DEVICES=gpus,
            threads_per_worker=THREADS_PER_WORKER,
            memory_limit=0,
            device_memory_limit=0,
            host=_HERE,
            dashboard_address=f"{_HERE}:0",
        )
    except Exception as error:
        msg = (
            f"dask-cuda could not start its workers on {', '.join(gpus)} ({first_line(error)}). Name GPUs in "
            "CUDA_VISIBLE_DEVICES by number or full UUID, or do without: `pip uninstall dask-cuda`."
        )
        raise OusError(msg) from error
    return Connection(client=Client(cluster, set_as_default=False), where=where, own=cluster)


def _kill_workers(cluster: SpecCluster) -> None:
    """End the worker processes at once: a block under way would hold them for as long as it takes."""
    for nanny in cluster.workers.values():
        nanny.auto_restart = False
        process = getattr(nanny, "process", None)
        pid = None if process is None else process.pid
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _configure() -> None:
    dask.config.set(_SETTINGS)
    for name in ("distributed", "distributed.client"):  # Dask's own settings tell the two apart
        logging.getLogger(name).setLevel(_LOGGED)

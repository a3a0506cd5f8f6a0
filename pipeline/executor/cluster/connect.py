"""A cluster, and the way to it: started on this machine, where no other can reach it, or joined."""

import importlib.util
import threading
import time
from dataclasses import dataclass
from typing import Any

from distributed import Client

from pipeline.errors import OusError, counted
from pipeline.executor.cluster.cleanup_plugin import CleanupPlugin
from pipeline.executor.cluster.join import join, plain_warning
from pipeline.executor.cluster.own_cluster import OwnCluster
from pipeline.executor.cluster.settings import GOODBYE_SECONDS, START_SECONDS, Cores
from pipeline.executor.cluster.translate import if_it_answers, translate_errors
from pipeline.executor.machine import available_cores, shares_of_cores, visible_gpus

_ATTEMPTS, _SECONDS_BETWEEN_ATTEMPTS = 5, 0.5
_RETURN_SECONDS = 120


@dataclass(kw_only=True)
class Connection:
    """The way to a cluster.

    where: who its workers are, for people. own: the cluster, when this process has started it; one
    that stands goes on without it. warnings: for people, such as that a cluster is without TLS.
    gone_since: when its last worker went, by the monotonic clock; None while there is one.
    """

    client: Client
    where: str
    own: OwnCluster | None = None
    warnings: tuple[str, ...] = ()
    gone_since: float | None = None

    @property
    def cores(self) -> Cores:
        """By a worker's name the cores it is kept to; a cluster that stands has its own rules."""
        return {} if self.own is None else self.own.cores

    def register(self, name: str, plugin: Any) -> None:
        """Put a plugin on every worker, also on those that come later; start the workers of one's own.

        Those take the plugin as they start, so that one which dies meanwhile is only started again. A
        cluster that stands drops the plugin when this client vanishes. Whatever is raised, the connection
        is closed. Raises OusError when no worker of one's own comes up, and when the scheduler is gone.
        """
        try:
            with translate_errors():
                self._put(name, plugin)
                if self.own is None:
                    self.client.register_plugin(CleanupPlugin(name, self.client.id))
            if self.own is not None and (warning := self.own.start_workers()):
                self.warnings = (*self.warnings, warning)
        except BaseException:
            self.close(name)
            raise

    def _put(self, name: str, plugin: Any) -> None:
        """Put a plugin on the workers that are there; again where one of them died over it."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self.client.register_plugin(plugin, name=name)
            except OSError:  # of a worker that died, or of the scheduler
                if attempt == _ATTEMPTS:
                    raise
                time.sleep(_SECONDS_BETWEEN_ATTEMPTS)
            else:
                return

    def require_a_worker(self) -> None:
        """Wait for the first worker. Raises OusError when none comes."""
        try:
            self.client.wait_for_workers(1, timeout=START_SECONDS)
        except TimeoutError as error:
            address = self.client.scheduler_info()["address"]
            msg = (
                f"No worker has joined the scheduler at {address} within {START_SECONDS} s; start some "
                "and run again."
            )
            raise OusError(msg) from error

    def workers(self) -> dict[str, int]:
        """The workers that are there at this moment: the threads of each, by its address.

        Raises OusError where none of one's own has been there for long; one waits for those of others.
        """
        with translate_errors():
            threads: dict[str, int] = self.client.nthreads()
        now = time.monotonic()
        self.gone_since = None if threads else self.gone_since or now
        if self.own is not None and self.gone_since and now - self.gone_since > _RETURN_SECONDS:
            msg = (
                f"All workers of this run ended, and none could be started again for {_RETURN_SECONDS} s: "
                "killed, or out of memory. What is finished is safe; run again with fewer workers."
            )
            raise OusError(msg)
        return threads

    def close(self, plugin: str) -> None:
        """End what this process has started; leave a cluster that stands as it was, without `plugin`."""
        if self.own is not None:
            self.own.close(self.client)
            return
        goodbye = threading.Thread(target=self._take_away, args=(plugin,), daemon=True)
        goodbye.start()
        goodbye.join(GOODBYE_SECONDS)  # a worker that is loading its models answers later
        with if_it_answers():
            self.client.close(timeout=GOODBYE_SECONDS)

    def _take_away(self, plugin: str) -> None:
        with if_it_answers():
            self.client.unregister_worker_plugin(plugin)


def on_cores(num_workers: int, threads: int, *, dashboard: bool = False) -> Connection:
    """Start worker processes on this machine, each kept to its share of the cores.

    Args:
        num_workers: Processes.
        threads: Tasks that each process does at the same time.
        dashboard: Serve Dask's pages, over plain HTTP, to this machine.
    """
    cores = _shared_cores(num_workers)
    environments = [{"OMP_NUM_THREADS": str(len(share))} for share in cores.values()]
    own = OwnCluster.with_scheduler(environments, cores, threads, dashboard=dashboard)
    return _to(own, f"on {counted(num_workers, 'worker')} of this machine")


def on_gpus(num_gpus: int, threads: int, *, per_gpu: int = 1, dashboard: bool = False) -> Connection:
    """Start worker processes on the GPUs of this machine: by dask-cuda when it is installed, else by nannies.

    Args:
        num_gpus: GPUs to use.
        threads: Tasks that each process does at the same time.
        per_gpu: Processes on each GPU; dask-cuda starts one alone.
        dashboard: Serve Dask's pages, over plain HTTP, to this machine.
    """
    gpus = [gpu for gpu in visible_gpus()[:num_gpus] for _ in range(per_gpu)]
    each = f", {per_gpu} workers each" if per_gpu > 1 else ""
    where = f"on {counted(num_gpus, 'GPU')} of this machine{each}"
    if per_gpu == 1 and importlib.util.find_spec("dask_cuda") is not None:
        return _to(OwnCluster.of_dask_cuda(gpus, threads, dashboard=dashboard), where)
    environments = [{"CUDA_VISIBLE_DEVICES": gpu} for gpu in gpus]
    own = OwnCluster.with_scheduler(environments, _shared_cores(len(gpus)), threads, dashboard=dashboard)
    return _to(own, where)


def joined(scheduler: str) -> Connection:
    """The way to a cluster that stands, by its scheduler's address or file.

    Raises OusError when no scheduler answers, or its TLS and Dask's configuration here do not fit.
    """
    client = join(scheduler)
    warning = plain_warning(client.scheduler_info()["address"])
    return Connection(
        client=client, where=f"on the cluster of {scheduler}", warnings=(warning,) if warning else ()
    )


def _to(own: OwnCluster, where: str) -> Connection:
    return Connection(client=own.client(), where=where, own=own)


def _shared_cores(num_workers: int) -> Cores:
    return dict(enumerate(shares_of_cores(available_cores(), num_workers)))

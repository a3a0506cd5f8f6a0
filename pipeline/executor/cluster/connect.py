"""Connection to a cluster, which is started on this machine for this process only, or joined."""

import contextlib
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
    """Connection to a cluster.

    Attributes:
        client: Dask's client.
        where: Place of the workers, in words.
        own: The cluster, if this process has started it; None for a cluster that ran already.
        warnings: Warnings for the user, such as a cluster without TLS.
        gone_since: Time at which the last worker ended, by the monotonic clock; None while there is one.
    """

    client: Client
    where: str
    own: OwnCluster | None = None
    warnings: tuple[str, ...] = ()
    gone_since: float | None = None

    @property
    def cores(self) -> Cores:
        """Cores of each worker, by its name; empty for a cluster that ran already."""
        return {} if self.own is None else self.own.cores

    def register(self, name: str, plugin: Any) -> None:
        """Register a plugin on every worker, also on later ones, and start the workers of an own cluster.

        Own workers load the plugin at their start, so that a worker that dies meanwhile is just started
        again. A shared cluster drops the plugin when this client disconnects. After an exception the
        connection is closed.

        Args:
            name: Name of the plugin.
            plugin: The plugin.

        Raises:
            OusError: No own worker could be started, or the connection to the scheduler is lost.
        """
        try:
            with translate_errors():
                self._put(name, plugin)
                if self.own is None:
                    self.client.register_plugin(CleanupPlugin(name, self.client.id))
            if self.own is not None and (warning := self.own.start_workers()):
                self.warnings = (*self.warnings, warning)
        except BaseException:
            with contextlib.suppress(Exception):  # workers that are being started; the first error counts
                self.close(name)
            raise

    def _put(self, name: str, plugin: Any) -> None:
        """Register a plugin on the current workers, and repeat it if one of them died meanwhile."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self.client.register_plugin(plugin, name=name)
            except OSError:  # a worker died, or the scheduler is lost
                if attempt == _ATTEMPTS:
                    raise
                time.sleep(_SECONDS_BETWEEN_ATTEMPTS)
            else:
                return

    def require_a_worker(self) -> None:
        """Wait for the first worker. Raises OusError if none connects."""
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
        """Return the number of threads of each current worker, by its address.

        Raises OusError if an own cluster has had no worker for two minutes. For a shared cluster there is
        no limit.
        """
        with translate_errors():
            threads: dict[str, int] = self.client.nthreads()
        now = time.monotonic()
        self.gone_since = None if threads else self.gone_since or now
        if self.own is not None and self.gone_since and now - self.gone_since > _RETURN_SECONDS:
            msg = (
                f"All workers of this run ended, and none could be started again for {_RETURN_SECONDS} s: "
                "killed, or out of memory. Finished work is safe; run again with fewer workers."
            )
            raise OusError(msg)
        return threads

    def close(self, plugin: str) -> None:
        """End an own cluster, or remove the plugin from a shared one and disconnect."""
        if self.own is not None:
            self.own.close(self.client)
            return
        removal = threading.Thread(target=self._unregister, args=(plugin,), daemon=True)
        removal.start()
        removal.join(GOODBYE_SECONDS)  # a worker that is loading its models answers later
        with if_it_answers():
            self.client.close(timeout=GOODBYE_SECONDS)

    def _unregister(self, plugin: str) -> None:
        with if_it_answers():
            self.client.unregister_worker_plugin(plugin)


def on_cores(num_workers: int, threads: int, *, dashboard: bool = False) -> Connection:
    """Start worker processes on this machine, each restricted to its part of the cores.

    Args:
        num_workers: Number of processes.
        threads: Tasks that each process runs at the same time.
        dashboard: Whether Dask's dashboard is served, over plain HTTP, to this machine.
    """
    cores = _shared_cores(num_workers)
    environments = [{"OMP_NUM_THREADS": str(len(part))} for part in cores.values()]
    own = OwnCluster.with_scheduler(environments, cores, threads, dashboard=dashboard)
    return _to(own, f"on {counted(num_workers, 'worker')} of this machine")


def on_gpus(num_gpus: int, threads: int, *, per_gpu: int = 1, dashboard: bool = False) -> Connection:
    """Start worker processes on the GPUs of this machine, by dask-cuda if it is installed, else by nannies.

    Args:
        num_gpus: Number of GPUs.
        threads: Tasks that each process runs at the same time.
        per_gpu: Processes on each GPU. For more than one, dask-cuda is not used.
        dashboard: Whether Dask's dashboard is served, over plain HTTP, to this machine.
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
    """Connect to a running cluster, by its scheduler's address or file.

    Raises OusError if no scheduler answers, or its TLS does not fit Dask's configuration here.
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

"""Cluster that this process starts on this machine for itself.

Scheduler and workers listen on the loopback address, and every connection uses TLS with a certificate that
only these processes have, so that other users of the machine can neither run code on the workers nor read
messages. Dask puts its scratch directories on `sys.path`, therefore they are in a private directory.
"""

import contextlib
import os
import signal
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import dask
from distributed import Client, Nanny, Scheduler, SpecCluster, Worker
from distributed.core import Status
from distributed.security import Security

from pipeline.errors import OusError, counted, first_line, reason_of
from pipeline.executor.cluster.settings import GOODBYE_SECONDS, LOGGED, Cores, configure
from pipeline.executor.cluster.translate import if_it_answers
from pipeline.scratch import ScratchDirectory

_HERE = "127.0.0.1"
_ANY_PORT_HERE = f"{_HERE}:0"
_ATTEMPTS = 3
_DEATH = "failed to start worker process"
"""Part of Dask's message for a worker process that ended while it started."""


@dataclass(frozen=True, kw_only=True)
class OwnCluster:
    """Scheduler in this process with its worker processes, and TLS between all of them.

    Attributes:
        cluster: Dask's cluster.
        scratch: Directory for Dask's scratch directories.
        cores: Cores of each worker, by its name.
        specs: Workers that `start_workers` starts, by their names; those of dask-cuda run already.
    """

    cluster: SpecCluster
    scratch: ScratchDirectory
    cores: Cores = field(default_factory=dict)
    specs: Mapping[Any, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def with_scheduler(
        cls, environments: Sequence[dict[str, str]], cores: Cores, threads: int, *, dashboard: bool
    ) -> Self:
        """Start the scheduler. `start_workers` then starts the workers, which are named 0, 1 and so on.

        Args:
            environments: Environment variables of each worker.
            cores: Cores of each worker, by its number.
            threads: Threads of each worker.
            dashboard: Whether Dask's dashboard is served.

        Raises:
            OusError: The scheduler cannot be started.
        """
        configure()
        scratch, security = _scratch(), Security.temporary()
        common = {
            "host": _HERE, "security": security, "dashboard_address": _ANY_PORT_HERE,
            "local_directory": str(scratch.path),
        }  # fmt: skip
        more = {"nthreads": threads, "memory_limit": 0, "silence_logs": LOGGED}
        specs = {
            number: {"cls": Nanny, "options": {**common, **more, "env": environment}}
            for number, environment in enumerate(environments)
        }
        scheduler = {"cls": Scheduler, "options": {**common, "dashboard": dashboard, "protocol": "tls://"}}
        try:
            cluster = SpecCluster(scheduler=scheduler, security=security, silence_logs=LOGGED)
        except RuntimeError as error:
            scratch.close()
            msg = f"No Dask scheduler can be started on {_HERE} ({_cause(error)})."
            raise OusError(msg) from error
        if not dashboard:
            cluster.sync(_without_pages, cluster.scheduler)
        return cls(cluster=cluster, scratch=scratch, cores=cores, specs=specs)

    @classmethod
    def of_dask_cuda(cls, gpus: list[str], threads: int, *, dashboard: bool) -> Self:
        """Start scheduler and workers by dask-cuda, which restricts each worker to the cores near its GPU.

        Args:
            gpus: GPUs, as names for CUDA_VISIBLE_DEVICES, with a worker each.
            threads: Threads of each worker.
            dashboard: Whether Dask's dashboard is served.

        Raises:
            OusError: They cannot be started.
        """
        from dask_cuda import LocalCUDACluster

        configure()
        scratch = _scratch()
        try:
            cluster = LocalCUDACluster(
                CUDA_VISIBLE_DEVICES=gpus,
                threads_per_worker=threads,
                memory_limit=0,
                device_memory_limit=0,
                host=_HERE,
                protocol="tls",
                security=Security.temporary(),
                local_directory=str(scratch.path),
                dashboard_address=_ANY_PORT_HERE,
            )
        except Exception as error:
            scratch.close()
            msg = (
                f"dask-cuda could not start its workers on {', '.join(gpus)} ({first_line(error)}). Name "
                "GPUs in CUDA_VISIBLE_DEVICES by number or full UUID, or run `pip uninstall dask-cuda`."
            )
            raise OusError(msg) from error
        if not dashboard:
            cluster.sync(_without_pages, cluster.scheduler)
        return cls(cluster=cluster, scratch=scratch)

    def client(self) -> Client:
        """Connect to the scheduler."""
        return Client(self.cluster, set_as_default=False)

    def start_workers(self) -> str:
        """Start the worker processes; a process that dies at its start is started up to three times.

        Returns:
            A warning if some could not be started, else "".

        Raises:
            OusError: None could be started.
        """
        reason = ""
        for _ in range(_ATTEMPTS):
            if missing := self._missing():
                reason = self._start(missing)
        missing, number = self._missing(), len(self.specs)
        if not missing:
            return ""
        processes = counted(number, "worker process", "worker processes")
        if len(missing) < number:
            return f"{len(missing)} of {processes} could not be started ({reason}); the others do its work"
        msg = f"The {processes} could not be started ({reason}); use fewer, or free memory, and run again."
        raise OusError(msg)

    def close(self, client: Client) -> None:
        """End workers, client and scheduler, and remove the scratch directory."""
        self._kill_workers()
        for part in (client, self.cluster):
            with if_it_answers():
                part.close(timeout=GOODBYE_SECONDS)
        self.scratch.close()

    def _missing(self) -> list[Any]:
        workers = self.cluster.workers
        return [name for name in self.specs if name not in workers or workers[name].status != Status.running]

    def _start(self, names: list[Any]) -> str:
        """Start these workers, and return the reason of the first one that could not be started, else ""."""
        for name in names:
            self.cluster.workers.pop(name, None)
        self.cluster.worker_spec.update({name: self.specs[name] for name in names})
        try:
            self.cluster.sync(_as_specified, self.cluster)
        except (RuntimeError, TimeoutError) as error:
            return _cause(error)
        return ""

    def _kill_workers(self) -> None:
        """End the worker processes at once, because a running task would delay their end."""
        for nanny in self.cluster.workers.values():
            with contextlib.suppress(Exception):  # a nanny that has not begun asserts
                nanny.close_gracefully()  # keeps the nanny from starting another process
            process = getattr(nanny, "process", None)
            pid = None if process is None else process.pid
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def close_pages(server: Scheduler | Worker) -> None:
    """Close the HTTP port that each of Dask's servers opens, also without a dashboard."""
    server.http_server.stop()
    server.services.pop("dashboard", None)


async def _without_pages(scheduler: Scheduler) -> None:
    close_pages(scheduler)


async def _as_specified(cluster: SpecCluster) -> None:
    await cluster


def _scratch() -> ScratchDirectory:
    """Make a directory in the place of Dask's configuration, else in the system's temporary directory."""
    parent = dask.config.get("temporary-directory") or tempfile.gettempdir()
    try:
        return ScratchDirectory("dask", Path(parent))
    except OSError as error:
        msg = (
            f"No temporary directory can be made in '{parent}' ({reason_of(error)}); set TMPDIR to a "
            "directory with space to which you can write."
        )
        raise OusError(msg) from error


def _cause(error: BaseException) -> str:
    """Return the first reason of a chain of errors, in words."""
    while error.__cause__ is not None:
        error = error.__cause__
    if _DEATH in str(error):
        return f"ended while starting, {_ATTEMPTS} times: killed, or out of memory"
    return first_line(error)

"""Choice of an executor by the user's options: GPUs, workers and scheduler."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config import require_range
from pipeline.errors import ConfigError
from pipeline.executor.local import LocalExecutor
from pipeline.executor.machine import require_gpus
from pipeline.executor.task import Executor, WorkerSetup

SYNC = "sync"


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """Options of an executor.

    Attributes:
        gpus: Number of GPUs, with one worker process each; 0 for the CPU; None for one GPU, if there is one,
            in this process.
        workers: Number of worker processes on this machine's cores, without a GPU; None for no such workers.
        scheduler: ``sync`` for this process, or the address or scheduler file of a running Dask cluster.
        dashboard: Whether workers that this process starts serve Dask's dashboard to this machine.
    """

    gpus: int | None = None
    workers: int | None = None
    scheduler: str | None = None
    dashboard: bool = True

    def __post_init__(self) -> None:
        if self.gpus is not None:
            require_range("--gpus", self.gpus, 0)
        if self.workers is not None:
            require_range("--workers", self.workers, 1)
        if self.workers is not None and self.gpus:
            msg = (
                f"--workers {self.workers} with --gpus {self.gpus}: there is one worker per GPU; "
                "give --gpus alone, or --gpus 0 --workers K for the CPU."
            )
            raise ConfigError(msg)
        if self.scheduler is not None and self.workers is not None:
            msg = f"--workers {self.workers} with --scheduler {self.scheduler}: leave out one of them."
            raise ConfigError(msg)
        if self.scheduler == SYNC and (self.gpus or 0) > 1:
            msg = f"--gpus {self.gpus} with --scheduler sync: one process drives one GPU; leave out one."
            raise ConfigError(msg)
        if self.scheduler not in (None, SYNC):
            self._check_cluster(str(self.scheduler))

    @property
    def device(self) -> str:
        """Device of a worker: auto, cpu or cuda."""
        if self.workers is not None:
            return "cpu"
        return {None: "auto", 0: "cpu"}.get(self.gpus, "cuda")

    @property
    def is_local(self) -> bool:
        """Whether the work is done in this process."""
        return self.scheduler == SYNC or (self.scheduler is None and not (self.workers or self.gpus))

    def _check_cluster(self, scheduler: str) -> None:
        if "://" not in scheduler and not Path(scheduler).is_file():
            msg = (
                f"--scheduler is '{scheduler}', which is not a file; allowed: sync, an address such as "
                "tls://HOST:8786, or the file that `dask scheduler --scheduler-file` has written."
            )
            raise ConfigError(msg)
        if self.gpus:
            msg = (
                f"--gpus {self.gpus} with --scheduler {scheduler}: a cluster's workers use the GPU that "
                "each can see; leave out --gpus, or give --gpus 0 for their CPUs."
            )
            raise ConfigError(msg)


def executor_for(
    setup: WorkerSetup[Any, Any], options: WorkerOptions, *, per_gpu: int = 1
) -> Executor[Any, Any]:
    """Make an executor, which the caller closes. A worker is started when it is needed.

    Args:
        setup: Setup of a worker.
        options: The user's choice.
        per_gpu: Number of workers on each GPU.

    Raises:
        ConfigError: This machine has fewer GPUs.
        OusError: The cluster does not answer.
    """
    require_gpus(options.gpus or 0)
    if options.is_local:
        return LocalExecutor(setup)
    from pipeline.executor.cluster import ClusterExecutor

    if options.scheduler is not None:
        return ClusterExecutor.join(options.scheduler, setup)
    if options.workers is not None:
        return ClusterExecutor.on_cores(options.workers, setup, dashboard=options.dashboard)
    return ClusterExecutor.on_gpus(options.gpus or 0, setup, per_gpu=per_gpu, dashboard=options.dashboard)

"""Choice of the executor by GPUs, workers and scheduler."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.config import require_range
from pipeline.errors import ConfigError
from pipeline.executor import LocalExecutor
from pipeline.executor.machine import require_gpus
from pipeline.process import CLIP_SECONDS, ExtractConfig
from pipeline.runner.run_loop import BlockExecutor
from pipeline.runner.worker import BlockWorkerSetup

SYNC = "sync"


@dataclass(frozen=True, kw_only=True)
class ExecutorOptions:
    """Options of the executor.

    Attributes:
        gpus: Number of GPUs, with one worker process each; 0 for the CPU; None for one GPU, if there is one,
            in this process.
        workers: Number of worker processes on this machine's cores, without a GPU; None for no such workers.
        scheduler: ``sync`` for this process, or the address or scheduler file of a running Dask cluster.
        decoders: Number of decoding processes per worker; None to choose by the cores.
        clip_seconds: Limit for the decoding of a clip; None for 300 s.
        dashboard: Whether workers that this process starts serve Dask's dashboard to this machine.
    """

    gpus: int | None = None
    workers: int | None = None
    scheduler: str | None = None
    decoders: int | None = None
    clip_seconds: float | None = None
    dashboard: bool = True

    def __post_init__(self) -> None:
        if self.gpus is not None:
            require_range("--gpus", self.gpus, 0)
        if self.workers is not None:
            require_range("--workers", self.workers, 1)
        if self.decoders is not None:
            require_range("--decoders", self.decoders, 1)
        if self.clip_seconds is not None:
            require_range("--clip-seconds", self.clip_seconds, 1)
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


def make_executor(
    config: ExtractConfig, options: ExecutorOptions, *, for_timing: bool = False
) -> BlockExecutor:
    """Make the executor, which the caller closes. Its models are loaded when they are needed.

    Args:
        config: The settings of all steps.
        options: The user's choice.
        for_timing: See `BlockWorkerSetup`.

    Raises:
        ConfigError: This machine has fewer GPUs.
        OusError: The cluster does not answer.
    """
    require_gpus(options.gpus or 0)
    device = {None: "auto", 0: "cpu"}.get(options.gpus, "cuda")
    if options.workers is not None:
        device = "cpu"
    setup = BlockWorkerSetup(
        config=config,
        device=device,
        decoders=options.decoders,
        clip_seconds=options.clip_seconds or CLIP_SECONDS,
        for_timing=for_timing,
    )
    if options.scheduler == SYNC or (options.scheduler is None and not (options.workers or options.gpus)):
        return LocalExecutor(setup)
    from pipeline.executor.cluster import ClusterExecutor

    if options.scheduler is not None:
        return ClusterExecutor.join(options.scheduler, setup)
    if options.workers is not None:
        return ClusterExecutor.on_cores(options.workers, setup, dashboard=options.dashboard)
    return ClusterExecutor.on_gpus(options.gpus or 0, setup, dashboard=options.dashboard)

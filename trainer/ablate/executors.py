"""Choose the executor of a sweep: this process, workers of this machine, or workers of a cluster."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.config import require_range
from pipeline.errors import ConfigError
from pipeline.executor import Executor, LocalExecutor
from pipeline.executor.machine import available_cores, require_gpus, visible_gpus
from pipeline.runner import SYNC, ExecutorOptions
from trainer.ablate.outcome import Outcome, RunTask
from trainer.ablate.run_one import RunWorkerSetup

_BYTES_BESIDE_FEATURES = 3e9
_MOST_PER_GPU = 64


@dataclass(frozen=True, kw_only=True)
class SweepExecutorOptions:
    """The user's choice, as in `ExecutorOptions`. per_gpu is the number of workers on each GPU."""

    gpus: int | None = None
    per_gpu: int = 1
    workers: int | None = None
    scheduler: str | None = None

    def __post_init__(self) -> None:
        ExecutorOptions(gpus=self.gpus, workers=self.workers, scheduler=self.scheduler)
        require_range("--per-gpu", self.per_gpu, 1, _MOST_PER_GPU)
        if self.per_gpu > 1 and not self.gpus:
            msg = f"--per-gpu {self.per_gpu} without --gpus: give the number of GPUs, such as --gpus 1."
            raise ConfigError(msg)

    @property
    def device(self) -> str:
        """Device of the runs: auto, cpu or cuda."""
        if self.workers is not None:
            return "cpu"
        return {None: "auto", 0: "cpu"}.get(self.gpus, "cuda")


def make_run_executor(
    options: SweepExecutorOptions, num_runs: int, feature_bytes: int
) -> Executor[RunTask, Outcome]:
    """Make the executor of a sweep, by default on a GPU if there is one. The caller closes it.

    Args:
        options: The user's choice.
        num_runs: Number of runs to do.
        feature_bytes: Size of the features of a run in memory.

    Raises:
        ConfigError: The machine has fewer GPUs than requested.
        OusError: A cluster does not answer.
    """
    require_gpus(options.gpus or 0)
    setup = RunWorkerSetup()
    if options.scheduler == SYNC:
        return LocalExecutor(setup)
    from pipeline.executor.cluster import ClusterExecutor

    if options.scheduler is not None:
        return ClusterExecutor.join(options.scheduler, setup)
    gpus = options.gpus
    if gpus is None and options.workers is None and visible_gpus():
        gpus = 1
    if gpus:
        return ClusterExecutor.on_gpus(gpus, setup, per_gpu=options.per_gpu)
    return ClusterExecutor.on_cores(options.workers or workers_that_pay(num_runs, feature_bytes), setup)


def workers_that_pay(num_runs: int, feature_bytes: int) -> int:
    """Return the number of parallel runs: one per core, limited by memory.

    The matrix products of a step are small, so that several threads of a run are slower than several runs
    (benchmarks/ablate.py measures both).
    """
    fit = _available_bytes() / (feature_bytes + _BYTES_BESIDE_FEATURES)
    return max(1, min(num_runs, len(available_cores()), int(fit)))


def _available_bytes() -> int:
    """Return the available memory in bytes, as Linux reports it."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    kilobytes = next(line.split()[1] for line in lines if line.startswith("MemAvailable:"))
    return int(kilobytes) * 1024

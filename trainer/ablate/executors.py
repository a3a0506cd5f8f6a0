"""Choose the executor of a sweep: this process, workers of this machine, or workers of a cluster."""

from dataclasses import dataclass, replace

from pipeline.config import require_range
from pipeline.errors import ConfigError
from pipeline.executor import Executor
from pipeline.executor.choice import WorkerOptions, executor_for
from pipeline.executor.machine import available_bytes, available_cores, visible_gpus
from trainer.ablate.outcome import Outcome, RunTask
from trainer.ablate.run_one import RunWorkerSetup

_BYTES_BESIDE_FEATURES = 3e9
_MOST_PER_GPU = 64


@dataclass(frozen=True, kw_only=True)
class SweepExecutorOptions(WorkerOptions):
    """Options of the executor of runs. per_gpu is the number of workers on each GPU."""

    per_gpu: int = 1
    dashboard: bool = False

    def __post_init__(self) -> None:
        WorkerOptions.__post_init__(self)
        require_range("--per-gpu", self.per_gpu, 1, _MOST_PER_GPU)
        if self.per_gpu > 1 and not self.gpus:
            msg = f"--per-gpu {self.per_gpu} without --gpus: give the number of GPUs, such as --gpus 1."
            raise ConfigError(msg)


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
    if options.scheduler is None and options.workers is None and not options.gpus:
        if options.gpus is None and visible_gpus():
            options = replace(options, gpus=1)
        else:
            options = replace(options, workers=workers_that_pay(num_runs, feature_bytes))
    return executor_for(RunWorkerSetup(), options, per_gpu=options.per_gpu)


def workers_that_pay(num_runs: int, feature_bytes: int) -> int:
    """Return the number of parallel runs: one per core, limited by memory.

    The matrix products of a step are small, so that several threads of a run are slower than several runs
    (benchmarks/ablate.py measures both).
    """
    fit = available_bytes() / (feature_bytes + _BYTES_BESIDE_FEATURES)
    return max(1, min(num_runs, len(available_cores()), int(fit)))

"""Who does the runs: this process, workers of this machine, or those of a cluster."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipeline.config import require_range
from pipeline.errors import ConfigError
from pipeline.runner import CrewOptions
from pipeline.runner.cluster import connect
from pipeline.runner.cluster.tasks import TaskCrew
from pipeline.runner.gather import SYNC
from pipeline.runner.machine import available_cores, require_gpus, visible_gpus
from trainer.ablate.ledger import partial_of, settle
from trainer.ablate.outcome import Outcome, RunTask
from trainer.ablate.work import do_run

_BYTES_BESIDE_FEATURES = 3e9
_MOST_PER_GPU = 64


@dataclass(frozen=True, kw_only=True)
class HandsOptions:
    """The user's choice. gpus, workers, scheduler: as of `CrewOptions`. per_gpu: worker processes on each."""

    gpus: int | None = None
    per_gpu: int = 1
    workers: int | None = None
    scheduler: str | None = None

    def __post_init__(self) -> None:
        CrewOptions(gpus=self.gpus, workers=self.workers, scheduler=self.scheduler)
        require_range("--per-gpu", self.per_gpu, 1, _MOST_PER_GPU)
        if self.per_gpu > 1 and not self.gpus:
            msg = f"--per-gpu {self.per_gpu} without --gpus: say how many GPUs, such as --gpus 1."
            raise ConfigError(msg)

    @property
    def device(self) -> str:
        """What the runs are to use: auto, cpu or cuda."""
        if self.workers is not None:
            return "cpu"
        return {None: "auto", 0: "cpu"}.get(self.gpus, "cuda")


class Hands(Protocol):
    """Who does runs. where, warnings: for people."""

    where: str
    warnings: tuple[str, ...]

    def run(self, tasks: Sequence[RunTask], say: Callable[[str], None]) -> Iterator[tuple[RunTask, Outcome]]:
        """Each run with its outcome, as they come. say: told when no worker is there."""


@contextmanager
def gathered(options: HandsOptions, num_runs: int, feature_bytes: int) -> Iterator[Hands]:
    """The hands that the options mean; without any choice, one GPU where there is one, else the cores.

    Raises ConfigError for more GPUs than there are, OusError when a cluster does not answer.
    """
    require_gpus(options.gpus or 0)
    if options.scheduler == SYNC:
        yield _Alone()
        return
    gpus = options.gpus
    if gpus is None and options.workers is None and visible_gpus():
        gpus = 1
    if options.scheduler is not None:
        connection = connect.joined(options.scheduler)
    elif gpus:
        connection = connect.on_gpus(gpus, options.per_gpu)
    else:
        connection = connect.on_cores(options.workers or workers_that_pay(num_runs, feature_bytes))
    with TaskCrew(connection, do_run) as crew:
        yield _Crew(crew)


def workers_that_pay(num_runs: int, feature_bytes: int) -> int:
    """How many runs side by side: one per core, as long as their memory suffices.

    A step's products are small, so that threads of one run wait for each other more than they help;
    benchmarks/ablate.py measures both ways.
    """
    fit = _available_bytes() / (feature_bytes + _BYTES_BESIDE_FEATURES)
    return max(1, min(num_runs, len(available_cores()), int(fit)))


def _available_bytes() -> int:
    """Memory that may be taken without others losing theirs, by Linux's word."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    kilobytes = next(line.split()[1] for line in lines if line.startswith("MemAvailable:"))
    return int(kilobytes) * 1024


class _Alone:
    """This process, one run after the other."""

    where = "in this process"
    warnings: tuple[str, ...] = ()

    def run(self, tasks: Sequence[RunTask], say: Callable[[str], None]) -> Iterator[tuple[RunTask, Outcome]]:
        return ((task, do_run(task, lambda: None)) for task in tasks)


class _Crew:
    """Workers of a Dask cluster."""

    def __init__(self, crew: TaskCrew[RunTask, Outcome]) -> None:
        self._crew = crew
        self.where, self.warnings = crew.where, crew.warnings

    def run(self, tasks: Sequence[RunTask], say: Callable[[str], None]) -> Iterator[tuple[RunTask, Outcome]]:
        for task, outcome in self._crew.run(tasks, lambda: say("waiting for workers")):
            yield task, (_died(task) if outcome is None else outcome)


def _died(task: RunTask) -> Outcome:
    reason = "two workers died at it: out of memory, perhaps; use fewer --workers, or a lower --per-gpu."
    outcome = Outcome.of(task, state="failed", reason=reason)
    return settle(partial_of(task.run_dir), task.run_dir, outcome)

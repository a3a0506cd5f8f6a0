"""A table on a cache -> a directory with its runs, table.md and results.json. A second call resumes."""

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipeline.choices import MeasuredSplit
from pipeline.display.json_values import to_json_values
from pipeline.errors import OusError, counted
from pipeline.executor import Observer
from pipeline.store.location import LocationLike
from pipeline.strict_json import to_json
from trainer.ablate.aggregate import SweepResult
from trainer.ablate.executors import SweepExecutorOptions, make_run_executor
from trainer.ablate.outcome import Outcome, RunTask
from trainer.ablate.result_tables import as_markdown
from trainer.ablate.run_one import died
from trainer.ablate.spec import Spec
from trainer.ablate.stored_predictions import read_predictions_of
from trainer.ablate.sweep_directory import forget, hold, outcome_of, planned_after, remove_leftovers
from trainer.ablate.sweep_plan import plan_sweep

TABLE_FILE, RESULTS_FILE = "table.md", "results.json"


@dataclass(frozen=True, kw_only=True)
class AblateReport:
    """The result of a sweep in directory `out`. num_before is the number of runs done before."""

    result: SweepResult
    out: Path
    num_before: int

    def require_no_failure(self) -> None:
        """Raise OusError if a run failed (and did not only diverge)."""
        failed = [outcome for outcome in self.result.outcomes if outcome.state == "failed"]
        if failed:
            msg = f"{counted(len(failed), 'run')} failed, first {failed[0]} The same command repeats them."
            raise OusError(msg)


class SweepObserver(Protocol):
    """Callbacks of a sweep."""

    def on_start(self, num_to_do: int, num_before: int) -> None:
        """Receive the number of runs to do, and of runs done before. Called once, at the start."""

    def on_outcome(self, outcome: Outcome) -> None:
        """Receive the outcome of a run."""

    def on_remark(self, text: str) -> None:
        """Receive a line for people, such as the place of the workers."""


class _Waiting(Observer):
    """Observer that shows a remark while there is no worker."""

    def __init__(self, observer: SweepObserver) -> None:
        self._observer = observer

    def on_waiting(self) -> None:
        self._observer.on_remark("waiting for workers")


def ablate(
    cache: LocationLike,
    spec: Spec,
    out: Path,
    observer: SweepObserver,
    *,
    folds: str = "1",
    num_seeds: int = 3,
    preset: str | None = None,
    settings: Sequence[str] = (),
    encoder_weights: str | None = None,
    options: SweepExecutorOptions | None = None,
    allow_leak: bool = False,
    split: MeasuredSplit = "test",
    until: float | None = None,
) -> AblateReport:
    """Do the runs of a sweep that have no outcome yet, and write the table of all runs.

    A run that diverged has an outcome. A run that failed is repeated.

    Args:
        cache: Location of the cache.
        spec: The table.
        out: Directory of the sweep.
        observer: Receives progress.
        folds: ``1-5``, ``1,3``, names, or ``all``.
        num_seeds: Seeds 0 to `num_seeds` - 1 per row and fold.
        preset: Preset of all rows. None: the table's.
        settings: The user's ``section.key=value``, for all rows.
        encoder_weights: See `train`.
        options: Machine that does the runs. None: one GPU if there is one, else all cores.
        allow_leak: See `measure`.
        split: Split that runs are measured on.
        until: Time of `time.monotonic` after which no run begins, and those in progress are stopped; None for
            no limit.

    Raises:
        ConfigError: As for `plan_sweep`, or `out` is the directory of another sweep.
        CheckpointError: As for `plan_sweep`.
        OusError: `out` is in use, a cluster does not answer, or an outcome is damaged. An error within a run
            is an outcome.
    """
    options = options or SweepExecutorOptions()
    sweep = plan_sweep(cache, spec, folds, num_seeds, preset, settings, allow_leak=allow_leak, split=split)
    with hold(out, sweep.identity, sweep.request.to_dict(), sweep.request.plan) as folder:
        tasks = sweep.tasks(out.resolve(), options.device, encoder_weights, allow_leak=allow_leak)
        outcomes = {task: outcome for task in tasks if (outcome := _settled(task)) is not None}
        num_before = len(outcomes)
        to_do = [task for task in tasks if task not in outcomes]
        observer.on_start(len(to_do), num_before)
        if to_do and not _is_over(until):
            with closing(make_run_executor(options, len(to_do), sweep.feature_bytes)) as executor:
                for remark in (executor.where, *(f"!! {warning}" for warning in executor.warnings)):
                    observer.on_remark(remark)
                with closing(executor.run(to_do, _Waiting(observer))) as results:
                    for task, answer in results:
                        outcome = died(task) if answer is None else answer
                        _require_visible(task, outcome)
                        outcomes[task] = outcome
                        observer.on_outcome(outcome)
                        if _is_over(until):
                            break
        remove_leftovers(folder)
        result = SweepResult.of(
            sweep.request,
            sweep.fingerprint,
            list(outcomes.values()),
            read_predictions_of(folder, sweep.request),
            planned_after(folder, sweep.request.plan),
        )
        folder.write_together(
            {RESULTS_FILE: to_json(to_json_values(result)) + "\n", TABLE_FILE: as_markdown(result)}
        )
    return AblateReport(result=result, out=out, num_before=num_before)


def _is_over(until: float | None) -> bool:
    return until is not None and time.monotonic() >= until


def _settled(task: RunTask) -> Outcome | None:
    """Return the outcome of a finished or diverged run. Remove the directory of a failed one."""
    outcome = outcome_of(task.run_dir, task.row, task.fold, task.seed)
    if outcome is not None and outcome.state == "failed":
        forget(task.run_dir)
        return None
    return outcome


def _require_visible(task: RunTask, outcome: Outcome) -> None:
    """Raise OusError if a worker has written a run that this process does not see."""
    if outcome.state == "finished" and not task.run_dir.exists():
        msg = (
            f"A worker has finished '{task}', but '{task.run_dir}' is not here; give an --out that all "
            "workers share."
        )
        raise OusError(msg)

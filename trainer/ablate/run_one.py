"""A run of a sweep -> its run directory, trained and measured, with its outcome. An error is an outcome."""

import time
from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from pipeline.cancel import CancelToken, TaskCancelledError
from pipeline.device import choose_device, device_fault, device_name, is_device_fault
from pipeline.errors import FileError, OusError, first_line
from pipeline.executor import TaskContext
from pipeline.executor.machine import use_cores
from pipeline.own_dir import OwnDir
from trainer.ablate.outcome import Outcome, RunTask
from trainer.ablate.sweep_directory import outcome_of, partial_of, settle
from trainer.baselines.run import BaselineResult, run_baseline
from trainer.baselines.settings import Baseline
from trainer.epochs import TrainingError
from trainer.evaluation import PREDICTIONS, EvalResult, evaluate
from trainer.run_info import RunInfo
from trainer.training import train


@dataclass(frozen=True, kw_only=True)
class RunWorkerSetup:
    """Setup of workers. A worker does one run at a time, because torch has one random state per process."""

    slots: ClassVar[int] = 1
    queued: ClassVar[int] = 0

    def start(self, cores: tuple[int, ...] | None = None) -> "RunWorker":
        """Start a worker on these cores; None for all cores of the process."""
        return RunWorker(cores)


@dataclass(frozen=True)
class RunWorker:
    """Worker that does runs, one after the other."""

    cores: tuple[int, ...] | None = None

    def run(self, task: RunTask, context: TaskContext) -> Outcome:
        """See `do_run`."""
        if self.cores:
            use_cores(self.cores)
        return do_run(task, context.cancel)

    def close(self) -> None:
        """Free nothing: a run frees its own."""


def do_run(task: RunTask, cancel: CancelToken) -> Outcome:
    """Train on the fold and measure its test split, as `train` and `evaluate` do; or measure a baseline.

    If a failure cannot be stored, for example on a full disk, it is still returned as an outcome. A run that
    has an outcome already, from a worker that died before it sent it, is not repeated.

    Args:
        task: The run.
        cancel: Checked after every epoch.

    Raises:
        TaskCancelledError: `cancel` was set; the run has no outcome.
        OusError: The GPU reports an error, which would occur in every later run of this process.
    """
    began = time.perf_counter()
    try:
        there = outcome_of(task.run_dir, task.row, task.fold, task.seed)
        if there is not None:
            return there
        partial = partial_of(task.run_dir)
        outcome = _attempt(task, partial, cancel)
        _give_memory_back()
        seconds = time.perf_counter() - began
        return settle(partial, task.run_dir, replace(outcome, seconds=seconds))
    except (OSError, FileError) as error:
        return failure(task, error)


def died(task: RunTask) -> Outcome:
    """Store and return the outcome of a run during which two workers died."""
    reason = "two workers died in this run, perhaps out of memory; use fewer --workers, or a lower --per-gpu."
    outcome = Outcome.of(task, state="failed", reason=reason)
    return settle(partial_of(task.run_dir), task.run_dir, outcome)


def failure(task: RunTask, error: Exception) -> Outcome:
    """Return the outcome of a run that ended with an error."""
    known = isinstance(error, OusError)
    reason = str(error) if known else f"{type(error).__name__}: {first_line(error)}"
    return Outcome.of(task, state="failed", reason=" ".join(reason.split()))


def _attempt(task: RunTask, partial: OwnDir, cancel: CancelToken) -> Outcome:
    try:
        if task.baseline is not None:
            return _measured_baseline(task, task.baseline, partial, cancel)
        return _measured(task, partial, cancel)
    except TaskCancelledError:
        _give_memory_back()
        raise
    except TrainingError as error:
        return Outcome.of(task, state="diverged", reason=str(error))
    except Exception as error:
        if is_device_fault(error):  # every later run of this process would fail
            raise device_fault(error, "finished runs are safe") from error
        return failure(task, error)


def _give_memory_back() -> None:
    """Free cached GPU memory for other workers. After a fault of the GPU, this would raise it again."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _measured(task: RunTask, partial: OwnDir, cancel: CancelToken) -> Outcome:
    trained = train(
        task.cache, partial, task.config, fold=task.fold, seed=task.seed, device=task.device,
        encoder_weights=task.encoder_weights, usable_sha256=task.usable_sha256, is_resumable=False,
        has_figures=False, cancel=cancel,
    )  # fmt: skip
    measured = evaluate(
        partial, task.split, task.cache, task.device,
        allow_leak=task.allow_leak or task.split == "validation", has_figure=False,
    )  # fmt: skip
    outcome = _finished(task, measured, trained.info, device_name(choose_device(task.device)))
    return replace(
        outcome,
        best_epoch=trained.info.best_epoch,
        num_epochs=trained.num_epochs,
        selected_by=trained.info.selected_by,
        validation_loss=trained.best.validation.loss,
    )


def _measured_baseline(task: RunTask, baseline: Baseline, partial: OwnDir, cancel: CancelToken) -> Outcome:
    """Measure a baseline. Its run directory has the outcome and the predictions."""
    found = run_baseline(
        task.cache, baseline, task.config, fold=task.fold, seed=task.seed,
        encoder_weights=task.encoder_weights, usable_sha256=task.usable_sha256, allow_leak=task.allow_leak,
        cancel=cancel,
    )  # fmt: skip
    partial.make()
    partial.write_together({f"{PREDICTIONS}.csv": "".join(found.predictions.lines(found.banners))})
    return replace(_finished(task, found, found.info, "cpu"), facts=found.facts)


def _finished(task: RunTask, measured: EvalResult | BaselineResult, info: RunInfo, device: str) -> Outcome:
    """Return the outcome of a measured run. `info` is its origin, `device` the name of its device."""
    metrics, left_out = measured.metrics, measured.left_out
    return Outcome.of(
        task,
        state="finished",
        split=task.split,
        class_names=metrics.class_names,
        confusion=tuple(tuple(row) for row in metrics.confusion.tolist()),
        groups=() if metrics.groups is None else metrics.groups.to_rows(),
        selection=info.selection,
        banners=measured.banners,
        left_out=tuple(f"{count} {why}" for why, count in left_out.items() if count),
        num_without_face=0 if measured.without_face is None else measured.without_face.num_without_face,
        num_leaked=len(measured.leak.clip_ids),
        num_pending=left_out.get("pending", 0),
        usable_sha256=info.usable_sha256,
        num_train=info.num_train,
        precision=info.precision,
        device=device,
        threads=torch.get_num_threads(),
    )

"""A run of a grid -> its run directory, trained and measured, with its outcome. What goes wrong is one."""

import time
from collections.abc import Callable
from dataclasses import replace

import torch

from pipeline.device import device_fault, is_device_fault
from pipeline.errors import FileError, OusError, first_line
from pipeline.own_dir import OwnDir
from pipeline.runner.crew import StoppedError
from trainer.ablate.ledger import outcome_of, partial_of, settle
from trainer.ablate.outcome import Outcome, RunTask
from trainer.evaluate import evaluate
from trainer.model import device_name, pick_device
from trainer.train import TrainingError, train


def do_run(task: RunTask, check: Callable[[], None]) -> Outcome:
    """Train on the fold and measure its test split, as `train` and `evaluate` do.

    check: called after every epoch; the StoppedError that it may raise ends the run without an outcome.
    A failure that cannot be written down, on a full disk for one, is an outcome all the same. A run that
    another worker has settled, and died before it could tell, is not repeated.
    """
    began = time.perf_counter()
    try:
        there = outcome_of(task.run_dir, task.row, task.fold, task.seed)
        if there is not None:
            return there
        partial = partial_of(task.run_dir)
        outcome = _attempt(task, partial, check)
        _give_memory_back()
        seconds = time.perf_counter() - began
        return settle(partial, task.run_dir, replace(outcome, seconds=seconds))
    except (OSError, FileError) as error:
        return failure(task, error)


def failure(task: RunTask, error: Exception) -> Outcome:
    """The outcome of a run that has ended with an error."""
    known = isinstance(error, OusError)
    reason = str(error) if known else f"{type(error).__name__}: {first_line(error)}"
    return Outcome.of(task, state="failed", reason=" ".join(reason.split()))


def _attempt(task: RunTask, partial: OwnDir, check: Callable[[], None]) -> Outcome:
    try:
        return _measured(task, partial, check)
    except StoppedError:
        _give_memory_back()
        raise
    except TrainingError as error:
        return Outcome.of(task, state="diverged", reason=str(error))
    except Exception as error:
        if is_device_fault(error):  # every later run of this process would fail
            raise device_fault(error, "finished runs are safe") from error
        return failure(task, error)


def _give_memory_back() -> None:
    """Other workers share the GPU. Not after a fault of the GPU, which this would raise again."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _measured(task: RunTask, partial: OwnDir, check: Callable[[], None]) -> Outcome:
    trained = train(
        task.cache, partial, task.config, fold=task.fold, seed=task.seed, device=task.device,
        encoder_weights=task.encoder_weights, usable_sha256=task.usable_sha256, on_epoch=lambda _: check(),
    )  # fmt: skip
    measured = evaluate(partial, cache=task.cache, device=task.device, allow_leak=task.allow_leak)
    return Outcome.of(
        task,
        state="finished",
        class_names=measured.metrics.class_names,
        confusion=tuple(tuple(row) for row in measured.metrics.confusion.tolist()),
        groups=() if (groups := measured.metrics.groups) is None else groups.to_rows(),
        best_epoch=trained.info.best_epoch,
        num_epochs=trained.num_epochs,
        selection=trained.info.selection,
        banners=measured.banners,
        left_out=tuple(f"{count} {why}" for why, count in measured.left_out.items() if count),
        num_leaked=len(measured.leak.clip_ids),
        num_pending=measured.left_out.get("pending", 0),
        usable_sha256=trained.info.usable_sha256,
        num_train=trained.info.num_train,
        precision=trained.info.precision,
        device=device_name(pick_device(task.device)),
        threads=torch.get_num_threads(),
    )

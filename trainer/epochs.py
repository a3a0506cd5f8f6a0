"""The epochs of a training run: train, validate and save the best, until a stopping rule holds.

Selection, plateau and early stopping use a number of the validation clips, `schedule.select`. The validation
loss is the ungated class-contrastive one of logits and labels, whatever the training loss.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from pipeline.cancel import CancelToken
from pipeline.config import to_dict
from pipeline.errors import OusError
from pipeline.own_dir import OwnDir
from pipeline.strict_json import to_json
from trainer.batches import Clips
from trainer.board import EVENTS, Board, BoardSettings
from trainer.calibration import fit_temperature
from trainer.checkpoint import save_weights
from trainer.config import TrainConfig
from trainer.measurement import Scores, score
from trainer.mixup import mixed
from trainer.optim import Progress, annealed, warmed_up
from trainer.profile import Stopwatch
from trainer.run_directory import save_info
from trainer.run_info import RunInfo
from trainer.scalars import Scalars, ScalarTable
from trainer.steps import Steps, TrainState
from trainer.training_config import OptimConfig
from trainer.training_result import EpochReport, TrainEpoch, ValidationEpoch, epoch_record
from trainer.training_state import EpochState, StateKeeper

METRICS_FILE = "metrics.jsonl"


class TrainingError(OusError):
    """A training run that diverged: its loss is NaN or infinite."""


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """The parts of a run.

    Attributes:
        data: Training and validation clips, then training clips of further caches.
        train_places, validation_places: Their positions in `data`.
        state: The trained parts.
        take_step: Takes a step of training.
        generator: Source of the order of clips and of their views.
        watch: Stopwatch of the profile; may be off.
        share_N: Probability of each training clip in one draw; None: each clip once in an epoch.
        notes: Remarks on the data.
    """

    config: TrainConfig
    data: Clips
    train_places: torch.Tensor
    validation_places: torch.Tensor
    state: TrainState
    take_step: Steps
    generator: torch.Generator
    watch: Stopwatch
    share_N: torch.Tensor | None = None
    notes: tuple[str, ...] = ()

    @property
    def num_steps(self) -> int:
        """Largest number of steps of the run."""
        schedule, of_epoch = self.config.schedule, -(-len(self.train_places) // self.config.optim.batch_size)
        most = schedule.max_epochs * of_epoch
        return min(most, schedule.max_steps) if schedule.max_steps else most

    def rate(self, base_lr: float, steps_done: int) -> float:
        """Return the learning rate of the next step; `base_lr` is the rate without warm-up and cosine."""
        optim, schedule = self.config.optim, self.config.schedule
        if schedule.decay == "cosine":
            return annealed(base_lr, schedule.min_lr, steps_done, optim.warmup_steps, self.num_steps)
        return warmed_up(base_lr, steps_done, optim.warmup_steps)


@dataclass(frozen=True, kw_only=True)
class TrainedEpochs:
    """Result of all epochs.

    Attributes:
        reports: Reports of all epochs.
        info: Origin with the best epoch, the reason why training ended, and the temperature of the best
            epoch, or the reason why it has none.
        best_logits_NC, label_N: Logits of the best epoch for the validation clips, and their classes.
        board: TensorBoard's event file.
    """

    reports: list[EpochReport]
    info: RunInfo
    best_logits_NC: torch.Tensor
    label_N: torch.Tensor
    board: Board


def run_epochs(
    run: TrainingRun,
    run_dir: OwnDir,
    info: RunInfo,
    on_epoch: Callable[[EpochReport], None] | None,
    cancel: CancelToken | None,
    *,
    keeper: StateKeeper | None = None,
    start: EpochState | None = None,
) -> TrainedEpochs:
    """Train until a stopping rule holds.

    Args:
        run: Parts of the run, which are trained in place.
        run_dir: Directory of the run. The best epoch so far, records and TensorBoard events are saved there.
        info: Origin of the run.
        on_epoch: Called after every epoch.
        cancel: Checked after every epoch.
        keeper: Keeps the state after the epochs; None to keep none.
        start: State in which `run` is, of the epochs so far; None for a new run.

    Raises:
        TrainingError: A loss is NaN or infinite.
        FileError: A file cannot be written.
        TaskCancelledError: `cancel` was set.
    """
    schedule = run.config.schedule
    progress = Progress(lr=run.config.optim.lr)
    reports: list[EpochReport] = []
    best_logits_NC = torch.empty(0)
    steps, reason = 0, ""
    if start is not None:
        progress, reports, best_logits_NC = replace(start.progress), [*start.reports], start.best_logits_NC
        steps = reports[-1].steps
        reason = progress.stop_reason(len(reports), steps, schedule)
        info = replace(info, stop_reason=reason)
    board = _records(run_dir, reports, _board_settings(run.config, info))
    while not reason:
        began = time.perf_counter()
        epoch = len(reports) + 1
        trained, steps, lr, num_joined = _train_epoch(run, progress.lr, epoch, steps)
        run.watch.begin()
        validated, text_CF, scores = _validate(run, info.class_names)
        run.watch.once("validation")
        _require_number(validated.loss, f"validation loss after epoch {epoch}", lr, run.config.optim)
        chosen = {"loss": validated.loss, "war": validated.war, "uar": validated.uar}[schedule.select]
        is_best = progress.after_epoch(epoch, validated.loss, trained.accuracy, schedule, chosen=chosen)
        reason = progress.stop_reason(epoch, steps, schedule)
        info = replace(
            info,
            best_epoch=progress.best_epoch,
            best_loss=progress.best_loss,
            overfit_epoch=progress.overfit_epoch,
            stop_reason=reason,
        )
        if is_best:
            best_logits_NC = torch.from_numpy(scores.logits_NC)
            if keeper is not None:
                keeper.before_best()
            save_weights(run_dir, run.state.model, run.state.prompts.context, text_CF, info, epoch)
        else:
            save_info(run_dir, info)
        run.watch.once("saving the run")
        report = EpochReport(
            epoch=epoch, steps=steps, lr=lr, train=trained, validation=validated,
            is_best=is_best, seconds=time.perf_counter() - began, joined_batches=num_joined,
        )  # fmt: skip
        reports.append(report)
        _log(report, run_dir, board)
        if keeper is not None:
            keeper.after_epoch(EpochState(reports=reports, progress=progress, best_logits_NC=best_logits_NC))
        if on_epoch is not None:
            on_epoch(report)
        if cancel is not None:
            cancel.raise_if_cancelled()
    label_N = run.data.label_N.cpu()[run.validation_places]
    info = _calibrated(info, best_logits_NC, label_N)
    save_info(run_dir, info)
    return TrainedEpochs(
        reports=reports, info=info, best_logits_NC=best_logits_NC, label_N=label_N, board=board
    )


def _calibrated(info: RunInfo, logits_NC: torch.Tensor, label_N: torch.Tensor) -> RunInfo:
    """Return `info` with the temperature of the best epoch's logits, which are those of the checkpoint."""
    fit = fit_temperature(logits_NC.numpy(), label_N.numpy(), info.selection)
    return replace(
        info,
        temperature=fit.temperature,
        ece_before=fit.ece_before,
        ece_after=fit.ece_after,
        not_calibrated=fit.reason,
    )


def _train_epoch(
    run: TrainingRun, base_lr: float, epoch: int, steps: int
) -> tuple[TrainEpoch, int, float, int]:
    """Train for an epoch, or until `max_steps`. Returns means, steps so far, last rate and joined batches."""
    config = run.config
    run.state.model.train()
    scalars: list[Scalars] = []
    rates: list[float] = []
    seen = 0
    random_views = config.data.views == "random"
    batches = run.data.training_batches(
        run.train_places,
        config.optim.batch_size,
        random_views,
        run.generator,
        two_classes=config.losses.contrast == "batch",
        share_N=run.share_N,
        shuffle_blocks=config.data.shuffle_blocks,
    )
    if config.data.mixup:
        num_classes = len(run.state.tower.eot_C)
        batches = (mixed(batch, config.data.mixup, num_classes, run.generator) for batch in batches)
    run.watch.begin()
    for batch in batches:
        run.watch.mark("batch")
        rates.append(run.rate(base_lr, steps))
        scalars.append(run.take_step(batch, rates[-1], run.watch.mark))
        run.watch.end_step()
        steps += 1
        seen += len(batch.label_B)
        if steps == config.schedule.max_steps:
            break
    table = ScalarTable.of(scalars)
    _require_finite(table, epoch, steps - len(scalars), rates, config.optim)
    num_joined = -(-seen // config.optim.batch_size) - len(scalars)
    return TrainEpoch.of(table, seen), steps, rates[-1], num_joined


def _require_finite(
    table: ScalarTable, epoch: int, steps_before: int, rates: list[float], optim: OptimConfig
) -> None:
    """Raise TrainingError for the first of an epoch's scalars that is not finite."""
    found = table.first_not_finite()
    if found is not None:
        step, name, value = found
        loss = name if name == "loss" else f"{name} loss"
        _require_number(
            value, f"{loss} at step {steps_before + step + 1} (epoch {epoch})", rates[step], optim
        )


def _require_number(value: float, what: str, lr: float, optim: OptimConfig) -> None:
    if math.isfinite(value):
        return
    remedies = {"clip_norm=1": optim.clip_norm, "warmup_steps=100": optim.warmup_steps}
    unset = [name for name, is_set in remedies.items() if not is_set]
    more = " and ".join(f"optim.{name}" for name in unset)
    advice = f"Lower optim.lr, or set {more}." if more else "Lower optim.lr."
    msg = (
        f"The {what} is {value} (learning rate {lr:.1e}), though all features are finite: training has "
        f"diverged. {advice}"
    )
    raise TrainingError(msg)


def _validate(run: TrainingRun, class_names: tuple[str, ...]) -> tuple[ValidationEpoch, torch.Tensor, Scores]:
    """Measure the validation clips. Returns their class features and scores, too."""
    text_CF = run.state.class_features()
    scores = score(run.state.model, text_CF, run.data, run.validation_places, run.config.optim.batch_size)
    metrics = scores.metrics(class_names)
    return ValidationEpoch(loss=scores.loss, war=metrics.war, uar=metrics.uar), text_CF, scores


def _board_settings(config: TrainConfig, info: RunInfo) -> BoardSettings:
    """Return the settings by which runs are compared: all of the config, and those of the data."""
    settings: dict[str, str | float | bool] = {
        f"{section}.{key}": value if isinstance(value, str | int | float | bool) else str(value)
        for section, values in to_dict(config).items()
        for key, value in values.items()
    }
    settings |= {"dataset": info.dataset, "encoder": info.encoder_name, "fold": info.fold, "seed": info.seed}
    if info.added_caches:
        pairs = zip(info.added_caches, info.cache_names[1:], strict=True)
        settings["added"] = "; ".join(f"{name}, fold {added.fold}" for added, name in pairs)
    return settings


def _records(run_dir: OwnDir, reports: Sequence[EpochReport], settings: BoardSettings) -> Board:
    """Write the records of earlier epochs in place of those that are there. Returns the event file."""
    for name in run_dir.entries():
        if name == METRICS_FILE or name.startswith(EVENTS):
            run_dir.remove_file(name)
    board = Board(run_dir, settings)
    for report in reports:
        _log(report, run_dir, board)
    return board


def _log(report: EpochReport, run_dir: OwnDir, board: Board) -> None:
    record = epoch_record(report)
    run_dir.append(METRICS_FILE, (to_json(record, indent=None) + "\n").encode())
    board.add(
        {
            f"{group}/{name}": value
            for group in ("train", "validation")
            for name, value in record[group].items()
        }
        | {"lr": report.lr},
        report.epoch,
    )

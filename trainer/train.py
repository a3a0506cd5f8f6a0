"""A cache, a fold and a config -> a run directory with the best checkpoint of the run.

Selection, plateau and early stop look at one number: the ungated class-contrastive loss on the
validation clips.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from pipeline.cancel import CancelToken
from pipeline.config import require_range
from pipeline.device import choose_device
from pipeline.display.json_values import to_json_values
from pipeline.errors import FileError, OusError, counted
from pipeline.footage import cached_footage
from pipeline.own_dir import Folder, OwnDir
from pipeline.program import command
from pipeline.store.place import Where
from pipeline.store.reader import FeatureCache
from pipeline.strict_json import to_json
from trainer.batches import ClipData, load_clips
from trainer.board import Board
from trainer.caches import location_from, open_cache
from trainer.checkpoint import WEIGHTS_FILE, RunInfo, create_run_dir, require_new, save_info, save_weights
from trainer.config import OptimConfig, TrainConfig
from trainer.evaluate import score
from trainer.folds import FoldRows, fold_rows, polarity_labels, require_polarities, require_usable
from trainer.known_caches import remember
from trainer.losses import loss_names, require_negatives
from trainer.model import FeatureShape, OusModel
from trainer.optim import Progress, warmed_up
from trainer.profile import Profile, Stopwatch
from trainer.prompts import ClassPrompts, load_text_tower
from trainer.scalars import Scalars, ScalarTable
from trainer.steps import Learner, Steps, steps_of
from trainer.training_clips import FILE as TRAINING_CLIPS_FILE
from trainer.training_clips import fold_leak, training_clips_json

METRICS_FILE = "metrics.jsonl"
CURVES_FILE = "curves.png"
PROFILE_FILE = "profile.json"
_SCALE_CLIPS = 4096
_LARGEST_SEED = 2**32 - 1


class TrainingError(OusError):
    """A training run that cannot go on."""


@dataclass(frozen=True, kw_only=True)
class TrainEpoch:
    """Means over the steps of an epoch (losses) and over its clips (accuracy).

    loss: What was minimised.
    losses: Each loss of `losses.LOSSES` by name, without its weight; 0 where the run does not have it.
    gated_share: Share of the steps with eq. 4 whole, 0 to 1.
    accuracy: Share of the clips whose class was named, 0 to 1.
    """

    loss: float
    losses: Mapping[str, float]
    gated_share: float
    accuracy: float

    @classmethod
    def of(cls, table: ScalarTable, num_clips: int) -> "TrainEpoch":
        """Return the means of an epoch's steps, which saw `num_clips` clips."""
        means = table.means()
        return cls(
            loss=means["loss"],
            losses={name: means[name] for name in loss_names()},
            gated_share=means["gated_share"],
            accuracy=int(table["right"].sum()) / num_clips,
        )


@dataclass(frozen=True, kw_only=True)
class ValidationEpoch:
    """The validation clips after an epoch. loss: ungated class-contrastive."""

    loss: float
    war: float
    uar: float


@dataclass(frozen=True, kw_only=True)
class EpochReport:
    """One line of metrics.jsonl. lr: of the epoch's last step. is_best: whether it was saved.

    joined_batches: batches of one class that were joined with another, because ``losses.contrast=batch``
    has no negative in them.
    """

    epoch: int
    steps: int
    lr: float
    train: TrainEpoch
    validation: ValidationEpoch
    is_best: bool
    seconds: float
    joined_batches: int = 0


def epoch_record(report: EpochReport) -> dict[str, Any]:
    """Return the line of metrics.jsonl as plain values, each loss beside the other numbers of training."""
    record = asdict(report)
    trained = record["train"]
    record["train"] = {"loss": trained.pop("loss"), **trained.pop("losses"), **trained}
    return record


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """How a run went. best: the epoch that was saved. residence: where the features lay.

    left_out: why clips of the fold were not used, and how many. next_split: the one to measure, validation
    where the fold has no test clips. notes: footage that splits share, batches that were joined. profile:
    where the time went, if asked.
    """

    run_dir: Path
    info: RunInfo
    best: EpochReport
    num_epochs: int
    num_steps: int
    num_train: int
    num_validation: int
    left_out: dict[str, int]
    residence: str
    next_split: str
    notes: tuple[str, ...] = ()
    profile: Profile | None = None


def evaluate_command(run_dir: Path, split: str) -> str:
    """The command that measures a run on a split of its fold, for a shell."""
    return command("evaluate", run_dir, *([] if split == "test" else ["--split", split]))


@dataclass(frozen=True, kw_only=True)
class _Run:
    """The parts of a run. Clips at places 0 to num_train - 1 of `data` train, the rest validate."""

    config: TrainConfig
    data: ClipData
    train_places: torch.Tensor
    validation_places: torch.Tensor
    learner: Learner
    take_step: Steps
    generator: torch.Generator
    watch: Stopwatch


def train(
    cache: Where,
    run_dir: Folder,
    config: TrainConfig,
    *,
    fold: int | str = 1,
    seed: int = 0,
    device: str = "auto",
    encoder_weights: str | None = None,
    profile: bool = False,
    usable_sha256: str | None = None,
    on_epoch: Callable[[EpochReport], None] | None = None,
    cancel: CancelToken | None = None,
) -> TrainResult:
    """Train on a fold of a cache, into a new directory, and keep the epoch of lowest validation loss.

    fold: a number from 1, or a name. The same seed, machine and thread count give the same numbers
    to the bit on a CPU. encoder_weights: for the text tower, when the cache's own are elsewhere.
    profile: time every part of every step, into the result and profile.json; changes no number.
    usable_sha256: of the clips that are expected (`folds.usable_sha256`); CacheError for any others.
    on_epoch: called after every epoch. cancel: looked at after every epoch; TaskCancelledError ends the run.
    Raises OusError: ConfigError for settings that the cache cannot serve, WeightsError for a text
    tower that is not the cache's, CacheError for features that are no numbers, TrainingError when the loss
    is no longer one, FileError when the disk takes no more: a run that holds a model keeps it.
    """
    require_new(run_dir)
    require_seed(seed)
    folder, place = OwnDir.of(run_dir), choose_device(device)
    cuda = [place] if place.type == "cuda" else []
    watch = Stopwatch(place) if profile else Stopwatch.off()
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(seed)
        with open_cache(cache) as features:
            if usable_sha256 is not None:
                require_usable(features, usable_sha256)
            rows = fold_rows(features, fold, config.data, seed)
            run = _prepare(features, rows, config, seed, place, encoder_weights, watch)
            footage, dataset = cached_footage(features), features.meta.dataset
            leaks = [fold_leak(footage, rows, split, dataset) for split in ("validation", "test")]
            info = RunInfo.of_cache(features, rows, config, seed, place)
            info = replace(info, validation_leak=len(leaks[0].clip_ids))
            info = replace(info, cache_from_run=location_from(folder.path, features.place))
            clips = {TRAINING_CLIPS_FILE: training_clips_json(footage, rows)}
            create_run_dir(folder, config, info, clips)
            unrecorded = remember(features.place)
        with _kept_model_named(folder):
            reports, info = _epochs(run, folder, info, on_epoch, cancel)
    records = [epoch_record(report) for report in reports]
    title = f"{info.dataset}, fold {info.fold}, seed {seed}"
    from trainer import plots  # matplotlib takes half a second, which a run need not wait for at its start

    image = BytesIO()
    plots.plot_curves(records, image, title=title, banners=info.banners)
    timed = watch.profile() if profile else None
    with _kept_model_named(folder):
        folder.write_bytes(CURVES_FILE, image.getvalue())
        if timed is not None:
            folder.write_json(PROFILE_FILE, to_json_values(timed))
    return TrainResult(
        run_dir=folder.path,
        info=info,
        best=reports[info.best_epoch - 1],
        num_epochs=len(reports),
        num_steps=reports[-1].steps,
        num_train=len(rows.train),
        num_validation=len(rows.validation),
        left_out=dict(rows.left_out),
        residence=run.data.residence,
        next_split=rows.split_to_measure,
        notes=(
            *(note for leak in leaks for note in leak.remarks),
            *_joined(reports),
            *([unrecorded] if unrecorded else []),
        ),
        profile=timed,
    )


def _joined(reports: Sequence[EpochReport]) -> list[str]:
    """A note on the batches of a run that were joined, if any were."""
    num = sum(report.joined_batches for report in reports)
    were = counted(num, "batch of one class was", "batches of one class were")
    return [f"{were} joined with another: losses.contrast=batch has no negative in them"] if num else []


def require_seed(seed: int) -> None:
    """Raise ConfigError for a seed that numpy or torch would not take."""
    require_range("--seed", seed, 0, _LARGEST_SEED)


@contextmanager
def _kept_model_named(run_dir: OwnDir) -> Iterator[None]:
    """Add to an error of the disk what the run holds then."""
    try:
        yield
    except FileError as error:
        kept = (
            f"'{run_dir}' keeps the best epoch so far"
            if run_dir.kind(WEIGHTS_FILE) == "file"
            else f"'{run_dir}' holds no model; remove it"
        )
        msg = f"{error} {kept}."
        raise FileError(msg) from error


def _prepare(
    cache: FeatureCache,
    rows: FoldRows,
    config: TrainConfig,
    seed: int,
    device: torch.device,
    encoder_weights: str | None,
    watch: Stopwatch,
) -> _Run:
    train_rows, validation_rows = rows.of("train"), rows.of("validation")
    used = torch.cat([torch.from_numpy(train_rows), torch.from_numpy(validation_rows)]).numpy()
    require_negatives(config, cache.read("label")[train_rows])
    if config.has_polarity_loss:
        require_polarities(cache, polarity_labels(cache, config.data), used)
    model = OusModel(config, FeatureShape.of(cache.meta)).to(device)
    watch.begin()
    tower = load_text_tower(cache.meta, config.prompts, device, encoder_weights)
    watch.once("loading the text tower")
    prompts = ClassPrompts(config.prompts, len(cache.meta.class_names), tower.width).to(device)
    watch.begin()
    data = load_clips(cache, used, config, device)
    watch.once("reading the cache")
    train_places = torch.arange(len(train_rows))
    if config.model.standardise:
        sample = train_places[torch.randperm(len(train_places))[:_SCALE_CLIPS]]
        model.fit_scales(list(data.evaluation_batches(sample, config.optim.batch_size)))
    learner = Learner.of(config, model, prompts, tower)
    return _Run(
        config=config,
        data=data,
        train_places=train_places,
        validation_places=torch.arange(len(train_rows), len(used)),
        learner=learner,
        take_step=steps_of(learner, device),
        generator=torch.Generator().manual_seed(seed),
        watch=watch,
    )


def _epochs(
    run: _Run,
    run_dir: OwnDir,
    info: RunInfo,
    on_epoch: Callable[[EpochReport], None] | None,
    cancel: CancelToken | None,
) -> tuple[list[EpochReport], RunInfo]:
    """Train until a rule says stop; every epoch is reported, the best one saved."""
    schedule = run.config.schedule
    progress = Progress(lr=run.config.optim.lr)
    reports: list[EpochReport] = []
    steps, reason = 0, ""
    board = Board(run_dir)
    while not reason:
        began = time.perf_counter()
        epoch = len(reports) + 1
        trained, steps, lr, num_joined = _train_epoch(run, progress.lr, epoch, steps)
        run.watch.begin()
        validated, text_CF = _validate(run, info.class_names)
        run.watch.once("validation")
        _require_number(validated.loss, f"validation loss after epoch {epoch}", lr, run.config.optim)
        is_best = progress.after_epoch(epoch, validated.loss, trained.accuracy, schedule)
        reason = progress.stop_reason(epoch, steps, schedule)
        info = replace(
            info,
            best_epoch=progress.best_epoch,
            best_loss=progress.best_loss,
            overfit_epoch=progress.overfit_epoch,
            stop_reason=reason,
        )
        if is_best:
            save_weights(run_dir, run.learner.model, run.learner.prompts.context, text_CF, info, epoch)
        else:
            save_info(run_dir, info)
        run.watch.once("saving the run")
        report = EpochReport(
            epoch=epoch, steps=steps, lr=lr, train=trained, validation=validated,
            is_best=is_best, seconds=time.perf_counter() - began, joined_batches=num_joined,
        )  # fmt: skip
        reports.append(report)
        _log(report, run_dir, board)
        if on_epoch is not None:
            on_epoch(report)
        if cancel is not None:
            cancel.raise_if_cancelled()
    return reports, info


def _train_epoch(run: _Run, base_lr: float, epoch: int, steps: int) -> tuple[TrainEpoch, int, float, int]:
    """One epoch, or what is left of `max_steps`: its means, steps so far, the last rate, batches joined."""
    config = run.config
    run.learner.model.train()
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
    )
    run.watch.begin()
    for batch in batches:
        run.watch.mark("batch")
        rates.append(warmed_up(base_lr, steps, config.optim.warmup_steps))
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
    helpers = {"clip_norm=1": optim.clip_norm, "warmup_steps=100": optim.warmup_steps}
    unset = [name for name, is_set in helpers.items() if not is_set]
    more = " and ".join(f"optim.{name}" for name in unset)
    advice = f"Lower optim.lr, or set {more}." if more else "Lower optim.lr."
    msg = (
        f"The {what} is {value} (learning rate {lr:.1e}), though all features are finite: training has "
        f"diverged. {advice}"
    )
    raise TrainingError(msg)


def _validate(run: _Run, class_names: tuple[str, ...]) -> tuple[ValidationEpoch, torch.Tensor]:
    """The validation clips, and the class features that they were compared with."""
    text_CF = run.learner.class_features()
    scores = score(run.learner.model, text_CF, run.data, run.validation_places, run.config.optim.batch_size)
    metrics = scores.metrics(class_names)
    return ValidationEpoch(loss=scores.loss, war=metrics.war, uar=metrics.uar), text_CF


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

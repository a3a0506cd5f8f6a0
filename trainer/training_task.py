"""A training: its arguments -> the parts of the run -> its epochs, last files and result."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from io import BytesIO

import torch

from pipeline.cancel import CancelToken
from pipeline.display.json_values import to_json_values
from pipeline.errors import CheckpointError, ConfigError, FileError, counted, first_line
from pipeline.footage import cached_footage
from pipeline.own_dir import OwnDir
from pipeline.store.location import LocationLike
from pipeline.store.reader import FeatureCache
from trainer.batches import load_clips
from trainer.caches import location_from, open_cache
from trainer.config import TrainConfig
from trainer.epochs import TrainingRun, run_epochs
from trainer.folds import FoldRows, fold_rows, polarity_labels, require_polarities, require_usable
from trainer.known_caches import remember
from trainer.losses import require_negatives
from trainer.metrics import Metrics
from trainer.model import FeatureShape, OusModel
from trainer.profile import Stopwatch
from trainer.prompts import ClassPrompts, load_text_tower
from trainer.run_directory import STATE_FILE, WEIGHTS_FILE, create_run_dir
from trainer.run_info import RunInfo
from trainer.scene_sample import save_scenes, uses_scene
from trainer.steps import TrainState, steps_of
from trainer.training_clips import FILE as TRAINING_CLIPS_FILE
from trainer.training_clips import fold_leak, training_clips_json
from trainer.training_result import EpochReport, TrainResult, epoch_record
from trainer.training_state import (
    LOCK_FILE,
    StateKeeper,
    StoredState,
    machine_of,
    restore_best,
)

CURVES_FILE = "curves.png"
PROFILE_FILE = "profile.json"
_SCALE_CLIPS = 4096
_OF_TRAINING = ("class_names", "encoder_sha256", "text_sha256", "identity", "training_sha256")
"""Parts of a run's origin that its numbers depend on."""


@dataclass(frozen=True, kw_only=True)
class TrainTask:
    """Arguments of `train`, and of `resume` with those of the run; see there."""

    folder: OwnDir
    config: TrainConfig
    fold: int | str
    seed: int
    device: torch.device
    encoder_weights: str | None
    usable_sha256: str | None = None
    is_resumable: bool = True
    has_profile: bool = False
    on_epoch: Callable[[EpochReport], None] | None = None
    cancel: CancelToken | None = None


def run_task(task: TrainTask, cache: LocationLike, stored: StoredState | None) -> TrainResult:
    """Train a new run, or continue one from a state."""
    folder, config, seed, place = task.folder, task.config, task.seed, task.device
    cuda = [place] if place.type == "cuda" else []
    watch = Stopwatch(place) if task.has_profile else Stopwatch.off()
    with torch.random.fork_rng(devices=cuda), ExitStack() as locked:
        torch.manual_seed(seed)
        with open_cache(cache) as features:
            if task.usable_sha256 is not None:
                require_usable(features, task.usable_sha256)
            rows = fold_rows(features, task.fold, config.data, seed)
            run = _prepare(features, rows, config, seed, place, task.encoder_weights, watch)
            footage, dataset = cached_footage(features), features.meta.dataset
            leaks = [fold_leak(footage, rows, split, dataset) for split in ("validation", "test")]
            info = RunInfo.of_cache(features, rows, config, seed, place)
            info = replace(info, validation_leak=len(leaks[0].clip_ids))
            info = replace(info, cache_from_run=location_from(folder.path, features.place))
            if stored is None:
                clips = {TRAINING_CLIPS_FILE: training_clips_json(footage, rows)}
                create_run_dir(folder, config, info, clips)
            unrecorded = remember(features.place)
        changes: tuple[str, ...] = ()
        if task.is_resumable:
            locked.enter_context(folder.lock(LOCK_FILE))
        if stored is not None:
            changes = _restore(stored, run, folder, info)
        keeper = None
        if task.is_resumable:
            keeper = StateKeeper(folder, run.state, run.generator, has_state=stored is not None)
        with _kept_model_named(folder):
            trained = run_epochs(run, folder, info, task.on_epoch, task.cancel, keeper=keeper, stored=stored)
            reports, info = trained.reports, trained.info
            if uses_scene(config):
                save_scenes(folder, run.data, run.train_places, info)
    records = [epoch_record(report) for report in reports]
    title = f"{info.dataset}, fold {info.fold}, seed {seed}"
    from trainer import plots  # not at the start: importing matplotlib takes half a second

    image, matrix = BytesIO(), BytesIO()
    plots.plot_curves(records, image, title=title, banners=info.banners)
    predicted_N = trained.best_logits_NC.argmax(dim=1).numpy()
    metrics = Metrics.of_clips(info.class_names, trained.label_N.numpy(), predicted_N, None)
    plots.plot_confusion(metrics, matrix, title=f"{title}, validation", banners=info.banners)
    timed = watch.profile() if task.has_profile else None
    with _kept_model_named(folder):
        folder.write_bytes(CURVES_FILE, image.getvalue())
        trained.board.add_image("validation/confusion", matrix.getvalue(), info.best_epoch)
        trained.board.finish()
        if timed is not None:
            folder.write_json(PROFILE_FILE, to_json_values(timed))
        if keeper is not None:
            keeper.finish()
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
            *changes,
            *([unrecorded] if unrecorded else []),
        ),
        profile=timed,
    )


def _restore(stored: StoredState, run: TrainingRun, folder: OwnDir, info: RunInfo) -> tuple[str, ...]:
    """Put a run into a stored state. Returns a note if the machine or the software is another one.

    Args:
        stored: The state.
        run: The run, as at its start.
        folder: Its directory.
        info: Its origin, as a new run would have it.
    """
    before = stored.epoch.info
    changed = [name for name in _OF_TRAINING if getattr(before, name) != getattr(info, name)]
    if changed:
        msg = (
            f"--resume '{folder}': the cache has other clips or features than at the start of the training "
            f"({', '.join(changed)}); give the earlier cache with --cache, or train a new run."
        )
        raise ConfigError(msg)
    try:
        stored.restore(run.state, run.generator)
    except (KeyError, ValueError, RuntimeError, AttributeError) as error:
        msg = f"'{folder.path / STATE_FILE}' does not fit the run: {first_line(error)}. Train the run again."
        raise CheckpointError(msg) from error
    restore_best(folder, stored.epoch.progress.best_epoch)
    others = [
        f"{old} ('before'), {new} ('now')"
        for old, new in [
            (stored.machine, machine_of(run.state.parameters[0].device)),
            (before.hardware, info.hardware),
            *zip(before.packages, info.packages, strict=False),
        ]
        if old != new
    ]
    if not others:
        return ()
    return (
        f"the training was resumed elsewhere: {'; '.join(others)}. Its numbers may differ from those of an "
        "uninterrupted training.",
    )


def _joined(reports: Sequence[EpochReport]) -> list[str]:
    """Return a note on joined batches, if any."""
    num = sum(report.joined_batches for report in reports)
    were = counted(num, "batch of one class was", "batches of one class were")
    return [f"{were} joined with another: losses.contrast=batch has no negative in them"] if num else []


@contextmanager
def _kept_model_named(run_dir: OwnDir) -> Iterator[None]:
    """Add to a FileError whether the run holds a model."""
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
) -> TrainingRun:
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
    state = TrainState.of(config, model, prompts, tower)
    return TrainingRun(
        config=config,
        data=data,
        train_places=train_places,
        validation_places=torch.arange(len(train_rows), len(used)),
        state=state,
        take_step=steps_of(state, device),
        generator=torch.Generator().manual_seed(seed),
        watch=watch,
    )

"""A training: its arguments -> the parts of the run -> its epochs, last files and result."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from itertools import zip_longest

import torch

from pipeline.cancel import CancelToken
from pipeline.display.json_values import to_json_values
from pipeline.errors import CheckpointError, ConfigError, FileError, MissingFileError, counted, printable
from pipeline.footage import cached_footage
from pipeline.own_dir import OwnDir
from pipeline.store.location import LocationLike
from pipeline.store.reader import FeatureCache
from trainer.batches import ClipData
from trainer.caches import location_from, open_cache
from trainer.checkpoint import origin_of, reissued_weights
from trainer.class_balance import drawing_shares
from trainer.clip_loading import load_clips
from trainer.config import TrainConfig
from trainer.epochs import TrainedEpochs, TrainingRun, run_epochs
from trainer.folds import FoldRows, fold_rows, polarity_labels, require_polarities, require_usable
from trainer.known_caches import remember
from trainer.losses import require_negatives
from trainer.metrics import Metrics
from trainer.model import FeatureShape
from trainer.model_choice import build_model
from trainer.profile import Stopwatch
from trainer.prompts import ClassPrompts, load_text_tower
from trainer.run_directory import (
    CONFIG_FILE,
    RUN_FILE,
    STATE_FILE,
    WEIGHTS_FILE,
    create_run_dir,
    info_json,
    load_info,
    save_info,
)
from trainer.run_info import RunInfo
from trainer.scene_sample import save_scenes, uses_scene
from trainer.steps import TrainState, steps_of
from trainer.targets import ClassLoss, training_targets, with_targets
from trainer.training_clips import FILE as TRAINING_CLIPS_FILE
from trainer.training_clips import fold_leak, training_clips_json
from trainer.training_result import EpochReport, TrainResult, epoch_record
from trainer.training_state import (
    LOCK_FILE,
    NOT_STORED,
    EpochState,
    RunIdentity,
    StateKeeper,
    StoredState,
    machine_of,
    read_state,
    restore_best,
)

CURVES_FILE = "curves.png"
PROFILE_FILE = "profile.json"
_SCALE_CLIPS = 4096
_OF_MACHINE = frozenset({"hardware", "packages", "precision", "cache_path"})
"""Parts of a run's origin that may change when it is resumed."""
_MAY_DIFFER = "Its numbers may differ from those of an uninterrupted training."
_HASHED_CLIPS = 64


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
    has_figures: bool = True
    on_epoch: Callable[[EpochReport], None] | None = None
    cancel: CancelToken | None = None


def run_task(task: TrainTask, cache: LocationLike, *, is_resumed: bool = False) -> TrainResult:
    """Train a new run, or continue the one in its directory."""
    folder, config, seed, place = task.folder, task.config, task.seed, task.device
    cuda = [place] if place.type == "cuda" else []
    watch = Stopwatch(place) if task.has_profile else Stopwatch.off()
    with torch.random.fork_rng(devices=cuda), ExitStack() as locked:
        torch.manual_seed(seed)
        no_state = ""
        if is_resumed:
            locked.enter_context(folder.lock(LOCK_FILE))
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
            if not is_resumed:
                clips = {TRAINING_CLIPS_FILE: training_clips_json(footage, rows)}
                create_run_dir(folder, config, info, clips)
                try:
                    if task.is_resumable:
                        locked.enter_context(folder.lock(LOCK_FILE))
                except FileError as error:  # a file system without locks
                    task, no_state = replace(task, is_resumable=False), NOT_STORED.format(error)
            unrecorded = remember(features.place)
        keeper, restored, notes = None, None, [no_state]
        if task.is_resumable:
            features_sha256 = _features_sha256(run.data)
            if is_resumed:
                restored = _restore(run, folder, info, features_sha256)
                info, notes = restored.info, [restored.note]
            keeper = StateKeeper(
                folder, run.state, run.generator, RunIdentity.of(folder, info, features_sha256),
                has_state=is_resumed,
            )  # fmt: skip
        with _kept_model_named(folder):
            trained = run_epochs(
                run, folder, info, task.on_epoch, task.cancel,
                keeper=keeper, start=None if restored is None else restored.epoch,
            )  # fmt: skip
            reports, info = trained.reports, trained.info
            if uses_scene(config):
                save_scenes(folder, run.data, run.train_places, info)
    timed = watch.profile() if task.has_profile else None
    with _kept_model_named(folder):
        if task.has_figures:
            _draw(trained, folder)
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
            *run.notes,
            *_joined(reports),
            *_never_warm(reports, config),
            *(note for note in [*notes, keeper.note if keeper else "", unrecorded] if note),
        ),
        profile=timed,
    )


def _draw(trained: TrainedEpochs, folder: OwnDir) -> None:
    """Write the curves, and the confusion matrix of the validation clips into TensorBoard's file."""
    from trainer import plots  # not at the start: importing matplotlib takes half a second

    info = trained.info
    title = f"{info.dataset}, fold {info.fold}, seed {info.seed}"
    image, matrix = BytesIO(), BytesIO()
    records = [epoch_record(report) for report in trained.reports]
    plots.plot_curves(records, image, title=title, banners=info.banners)
    predicted_N = trained.best_logits_NC.argmax(dim=1).numpy()
    metrics = Metrics.of_clips(info.class_names, trained.label_N.numpy(), predicted_N, None)
    plots.plot_confusion(metrics, matrix, title=f"{title}, validation", banners=info.banners)
    folder.write_bytes(CURVES_FILE, image.getvalue())
    trained.board.add_image("validation/confusion", matrix.getvalue(), info.best_epoch)


@dataclass(frozen=True, kw_only=True)
class _Restored:
    """A run in the state from which it continues.

    Attributes:
        epoch: The state.
        info: Origin and progress of the run, with the machine that continues it.
        note: Remark on another machine or other software; empty for the same.
    """

    epoch: EpochState
    info: RunInfo
    note: str


def _restore(run: TrainingRun, folder: OwnDir, info: RunInfo, features_sha256: str) -> _Restored:
    """Put a run into the state that its directory has, and restore its files to that epoch.

    Args:
        run: The run, as at its start.
        folder: Its directory, locked.
        info: Its origin, as a new run would have it.
        features_sha256: Hash of some of its features.

    Raises:
        ConfigError: There is no state, or the cache has other clips or features now.
        CheckpointError: A file is damaged or of another run.
    """
    stored, before = _stored_state(folder), load_info(folder)
    old, new = origin_of(before), origin_of(info)
    changed = [name for name in new if name not in _OF_MACHINE and old[name] != new[name]]
    is_own = stored.identity.run_sha256 == RunIdentity.of(folder, before, features_sha256).run_sha256
    if is_own and not changed and stored.identity.features_sha256 != features_sha256:
        changed = ["features"]
    if changed:
        msg = (
            f"--resume '{folder}': the cache has other clips or features than at the start of the training "
            f"({', '.join(changed)}); give the earlier cache with --cache, or train a new run."
        )
        raise ConfigError(msg)
    if not is_own:
        msg = (
            f"'{folder.path / STATE_FILE}' is not of the run that {CONFIG_FILE} and {RUN_FILE} beside it "
            "describe. Restore these files, or train the run again."
        )
        raise CheckpointError(msg)
    epoch = stored.restore(run.state, run.generator, len(run.validation_places))
    others = [
        f"{was or 'none'}, now {now or 'none'}"
        for was, now in [
            (stored.machine, machine_of(run.state.parameters[0].device)),
            (before.hardware, info.hardware),
            (before.precision, info.precision),
            *zip_longest(before.packages, info.packages, fillvalue=""),
        ]
        if was != now
    ]
    progress = epoch.progress
    info = replace(
        info,
        hardware=" and then ".join(dict.fromkeys([before.hardware, info.hardware])),
        packages=tuple(dict.fromkeys([*before.packages, *info.packages])),
        best_epoch=progress.best_epoch,
        best_loss=progress.best_loss,
        overfit_epoch=progress.overfit_epoch,
    )
    restore_best(folder, progress.best_epoch)
    weights = reissued_weights(folder, info)
    if origin_of(info) != old:
        folder.write_together({WEIGHTS_FILE: weights, RUN_FILE: info_json(info)})
    else:
        save_info(folder, info)
    note = f"the training was resumed elsewhere: {'; '.join(others)}. {_MAY_DIFFER}" if others else ""
    return _Restored(epoch=epoch, info=info, note=printable(note))


def _stored_state(folder: OwnDir) -> StoredState:
    """Return the state of an interrupted run. Raises ConfigError if there is none."""
    try:
        return read_state(folder)
    except MissingFileError as error:
        info = load_info(folder)
        why = (
            f"the training has ended ({info.stop_reason}); nothing is left to do."
            if info.stop_reason
            else f"the run has no {STATE_FILE}; train it again under another name."
        )
        msg = f"--resume '{folder}': {why}"
        raise ConfigError(msg) from error


def _features_sha256(data: ClipData) -> str:
    """Return a hash of the features of up to 64 clips, evenly spaced."""
    num = len(data.label_N)
    place_N = torch.linspace(0, num - 1, min(num, _HASHED_CLIPS)).long()
    found = hashlib.sha256()
    for values in (
        data.face_NVTF, data.scene_NVTF, data.early_NV43D, data.label_N, data.polarity_N, data.target_NC,
    ):  # fmt: skip
        if values is not None:
            found.update(values[place_N.to(values.device)].cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def _joined(reports: Sequence[EpochReport]) -> list[str]:
    """Return a note on joined batches, if any."""
    num = sum(report.joined_batches for report in reports)
    were = counted(num, "batch of one class was", "batches of one class were")
    return [f"{were} joined with another: losses.contrast=batch has no negative in them"] if num else []


def _never_warm(reports: Sequence[EpochReport], config: TrainConfig) -> list[str]:
    """Return a note if training, but no trial, ended while the learning rate was still rising."""
    steps, warmup = reports[-1].steps, config.optim.warmup_steps
    is_trial = config.schedule.max_steps > 0 or config.schedule.max_epochs == 1
    if steps > warmup or is_trial:
        return []
    return [
        f"training ended after {counted(steps, 'step')}, within the {warmup} of warm-up, and the learning "
        "rate did not reach optim.lr; for few clips, lower optim.warmup_steps"
    ]


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
    label_N = cache.read("label")[train_rows]
    require_negatives(config, label_N)
    target_NC, note = training_targets(cache, train_rows, config)
    if config.has_polarity_loss:
        require_polarities(cache, polarity_labels(cache, config.data), used)
    model = build_model(config, FeatureShape.of(cache.meta)).to(device)
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
    if config.losses.targets == "votes":
        data = with_targets(data, target_NC)
    class_loss = ClassLoss.of(config, label_N, target_NC, device)
    state = TrainState.of(config, model, prompts, tower, class_loss)
    is_drawn = config.data.sampling != "natural"
    return TrainingRun(
        config=config,
        data=data,
        train_places=train_places,
        validation_places=torch.arange(len(train_rows), len(used)),
        state=state,
        take_step=steps_of(state, device),
        generator=torch.Generator().manual_seed(seed),
        watch=watch,
        share_N=torch.from_numpy(drawing_shares(label_N, config.data.sampling)) if is_drawn else None,
        notes=(note,) if note else (),
    )

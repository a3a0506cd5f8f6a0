"""A training: its arguments -> the parts of the run -> its epochs, last files and result."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
import torch

from pipeline.cancel import CancelToken
from pipeline.display.json_values import to_json_values
from pipeline.errors import FileError, counted
from pipeline.own_dir import OwnDir
from pipeline.store.location import LocationLike
from pipeline.store.reader import FeatureCache
from trainer.added_clips import AddedClips, AddedRequest, open_added, require_mixture
from trainer.batches import ClipData
from trainer.block_reading import ClipSource
from trainer.caches import location_from, open_cache
from trainer.class_balance import mixture_shares
from trainer.clip_lengths import length_quartiles
from trainer.clips_without_face import count_without_face, without_face_text
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
from trainer.resumed_run import features_sha256, require_recorded, restore_run
from trainer.run_directory import (
    WEIGHTS_FILE,
    create_run_dir,
)
from trainer.run_info import RunInfo
from trainer.scene_sample import save_scenes, uses_scene
from trainer.seen_clips import SeenClips
from trainer.steps import TrainState, steps_of
from trainer.streamed_clips import open_clips
from trainer.targets import ClassLoss, training_targets, with_targets
from trainer.training_clips import FILE as TRAINING_CLIPS_FILE
from trainer.training_result import EpochReport, TrainResult, epoch_record
from trainer.training_state import (
    LOCK_FILE,
    NOT_STORED,
    RunIdentity,
    StateKeeper,
)

CURVES_FILE = "curves.png"
PROFILE_FILE = "profile.json"
_SCALE_CLIPS = 4096


@dataclass(frozen=True, kw_only=True)
class TrainTask:
    """Arguments of `train`, and of `resume` with those of the run; see there."""

    folder: OwnDir
    config: TrainConfig
    fold: int | str
    seed: int
    device: torch.device
    encoder_weights: str | None
    added: Sequence[AddedRequest] = ()
    usable_sha256: str | None = None
    is_resumable: bool = True
    has_profile: bool = False
    has_figures: bool = True
    on_epoch: Callable[[EpochReport], None] | None = None
    on_remark: Callable[[str], None] | None = None
    cancel: CancelToken | None = None


def run_task(task: TrainTask, cache: LocationLike, *, is_resumed: bool = False) -> TrainResult:
    """Train a new run, or continue the one in its directory."""
    folder, config, seed, place = task.folder, task.config, task.seed, task.device
    cuda = [place] if place.type == "cuda" else []
    watch = Stopwatch(place) if task.has_profile else Stopwatch.off()
    with torch.random.fork_rng(devices=cuda), ExitStack() as locked, ExitStack() as opened:
        torch.manual_seed(seed)
        no_state = ""
        if is_resumed:
            locked.enter_context(folder.lock(LOCK_FILE))
        features = opened.enter_context(open_cache(cache))
        if is_resumed:
            require_recorded(folder, features)
        if task.usable_sha256 is not None:
            require_usable(features, task.usable_sha256)
        added = open_added(features, task.fold, task.added, config, opened)
        rows = fold_rows(features, task.fold, config.data, seed)
        run = _prepare(features, rows, added, task, watch, opened)
        seen = SeenClips.of(features, rows, added)
        info = RunInfo.of_cache(features, rows, config, seed, place)
        info = replace(
            info,
            validation_leak=len(seen.leaks[0].clip_ids),
            cache_from_run=location_from(folder.path, features.place),
        )
        of_added = [(one.source.cache, one.source.row_N) for one in added]
        if added:
            info = replace(
                info,
                added_caches=tuple(one.record(folder.path) for one in added),
                clip_seconds=length_quartiles([(features, rows.train), *of_added]),
                num_without_face=count_without_face([(features, rows.seen), *of_added]),
            )
        num_seen = len(rows.seen) + sum(len(row_N) for _, row_N in of_added)
        faceless = without_face_text(info.num_without_face, num_seen, "training and validation clips")
        of_classes = [one.remark for one in added if one.remark]
        remarks = (*seen.remarks, *of_classes, *([faceless] if faceless else []))
        if not is_resumed:
            create_run_dir(folder, config, info, {TRAINING_CLIPS_FILE: seen.json})
            try:
                if task.is_resumable:
                    locked.enter_context(folder.lock(LOCK_FILE))
            except FileError as error:  # a file system without locks
                task, no_state = replace(task, is_resumable=False), NOT_STORED.format(error)
        caches = [features, *(one.source.cache for one in added)]
        unrecorded = [note for cache in caches if (note := remember(cache.place))]
        if isinstance(run.data, ClipData):
            opened.close()
        keeper, restored, notes = None, None, [no_state]
        if task.is_resumable:
            hashed = features_sha256(run.data)
            if is_resumed:
                restored = restore_run(run, folder, info, hashed)
                info, notes = restored.info, [restored.note]
            keeper = StateKeeper(
                folder, run.state, run.generator, RunIdentity.of(folder, info, hashed),
                has_state=is_resumed,
            )  # fmt: skip
        if task.on_remark is not None:
            for remark in remarks:
                task.on_remark(remark)
        with _kept_model_named(folder):
            trained = run_epochs(
                run, folder, info, task.on_epoch, task.cancel,
                keeper=keeper, start=None if restored is None else restored.epoch,
            )  # fmt: skip
            reports, info = trained.reports, trained.info
            if uses_scene(config):
                save_scenes(folder, run.data, run.train_places[: len(rows.train)], info)
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
            *remarks,
            *run.notes,
            *_joined(reports),
            *_never_warm(reports, config),
            *(note for note in [*notes, keeper.note if keeper else "", *unrecorded] if note),
        ),
        profile=timed,
    )


def _draw(trained: TrainedEpochs, folder: OwnDir) -> None:
    """Write the curves, and the confusion matrix of the validation clips into TensorBoard's file."""
    from trainer import plots  # not at the start: importing matplotlib takes half a second

    info = trained.info
    title = f"{info.trained_on}, seed {info.seed}"
    image, matrix = BytesIO(), BytesIO()
    records = [epoch_record(report) for report in trained.reports]
    plots.plot_curves(records, image, title=title, banners=info.banners)
    predicted_N = trained.best_logits_NC.argmax(dim=1).numpy()
    metrics = Metrics.of_clips(info.class_names, trained.label_N.numpy(), predicted_N, None)
    plots.plot_confusion(metrics, matrix, title=f"{title}, validation", banners=info.banners)
    folder.write_bytes(CURVES_FILE, image.getvalue())
    trained.board.add_image("validation/confusion", matrix.getvalue(), info.best_epoch)


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
    added: Sequence[AddedClips],
    task: TrainTask,
    watch: Stopwatch,
    opened: ExitStack,
) -> TrainingRun:
    """Return the parts of a run, whose clips `opened` closes.

    The clips are the training and the validation clips of the first cache, then those that the further
    caches add. The training clips are the same without the validation clips, in this order.
    """
    config, device, num_classes = task.config, task.device, len(cache.meta.class_names)
    require_mixture(config, 1 + len(added))
    train_rows, validation_rows = rows.of("train"), rows.of("validation")
    own = ClipSource.of(cache, np.concatenate([train_rows, validation_rows]), config)
    sources = [ClipSource.of(cache, train_rows, config), *(one.source for one in added)]
    label_SN = [source.label_N for source in sources]
    require_negatives(config, np.concatenate(label_SN))
    target_NC, note = training_targets(sources, config, num_classes)
    if config.has_polarity_loss:
        require_polarities(cache, polarity_labels(cache, config.data), own.row_N)
    model = build_model(config, FeatureShape.of(cache.meta)).to(device)
    watch.begin()
    tower = load_text_tower(cache.meta, config.prompts, device, task.encoder_weights)
    watch.once("loading the text tower")
    prompts = ClassPrompts(config.prompts, num_classes, tower.width).to(device)
    watch.begin()
    data = open_clips([own, *sources[1:]], config, device)
    opened.callback(data.close)
    watch.once("reading the cache")
    num_own, num_all = len(own.row_N), len(data.label_N)
    train_places = torch.cat([torch.arange(len(train_rows)), torch.arange(num_own, num_all)])
    if config.model.standardise:
        sample = train_places[torch.randperm(len(train_places))[:_SCALE_CLIPS]]
        model.fit_scales(list(data.evaluation_batches(sample, config.optim.batch_size)))
    if config.losses.targets == "votes":
        data = with_targets(data, train_places, target_NC)
    share_N = mixture_shares(label_SN, config.data.sampling, config.data.mixture)
    class_loss = ClassLoss.of(config, share_N, target_NC, device)
    state = TrainState.of(config, model, prompts, tower, class_loss)
    return TrainingRun(
        config=config,
        data=data,
        train_places=train_places,
        validation_places=torch.arange(len(train_rows), num_own),
        state=state,
        take_step=steps_of(state, device),
        generator=torch.Generator().manual_seed(task.seed),
        watch=watch,
        share_N=torch.from_numpy(share_N) if config.data.draws_clips else None,
        notes=(note,) if note else (),
    )

"""A cache, a fold and a config -> a run directory with the best checkpoint of the run."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import torch

from pipeline.cancel import CancelToken
from pipeline.config import require_range
from pipeline.device import choose_device
from pipeline.display.json_values import to_json_values
from pipeline.errors import FileError, counted
from pipeline.footage import cached_footage
from pipeline.own_dir import Folder, OwnDir
from pipeline.store.location import LocationLike
from pipeline.store.reader import FeatureCache
from trainer.batches import load_clips
from trainer.caches import location_from, open_cache
from trainer.config import TrainConfig
from trainer.config_choice import chosen_config
from trainer.epochs import TrainingRun, run_epochs
from trainer.folds import FoldRows, fold_rows, polarity_labels, require_polarities, require_usable
from trainer.known_caches import remember
from trainer.losses import require_negatives
from trainer.model import FeatureShape, OusModel
from trainer.profile import Stopwatch
from trainer.prompts import ClassPrompts, load_text_tower
from trainer.run_directory import WEIGHTS_FILE, create_run_dir, require_new
from trainer.run_info import RunInfo
from trainer.scene_sample import save_scenes, uses_scene
from trainer.steps import TrainState, steps_of
from trainer.training_clips import FILE as TRAINING_CLIPS_FILE
from trainer.training_clips import fold_leak, training_clips_json
from trainer.training_result import EpochReport, TrainResult, epoch_record

CURVES_FILE = "curves.png"
PROFILE_FILE = "profile.json"
_SCALE_CLIPS = 4096
_LARGEST_SEED = 2**32 - 1


def train(
    cache: LocationLike,
    run_dir: Folder,
    config: TrainConfig | str | Path = "default",
    *,
    settings: Sequence[str] = (),
    fold: int | str = 1,
    seed: int = 0,
    device: str = "auto",
    encoder_weights: str | None = None,
    profile: bool = False,
    usable_sha256: str | None = None,
    on_epoch: Callable[[EpochReport], None] | None = None,
    cancel: CancelToken | None = None,
) -> TrainResult:
    """Train on a fold of a cache, and keep the epoch of lowest validation loss in a new directory.

    On a CPU, the same seed, machine and number of threads give the same numbers to the bit.

    Args:
        cache: Location of the cache.
        run_dir: A new or empty directory.
        config: Settings of the run: a preset such as ``"paper"``, a TOML file, the directory of another run,
            or a `TrainConfig`.
        settings: Changed settings, as ``"section.key=value"``.
        fold: Name of the fold, or its number from 1.
        seed: Seed of all random numbers, 0 to 2**32 - 1.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        encoder_weights: Tag or path of the weights of the text encoder. None: those that the cache names.
        profile: Measure the time of each part of a step, for the result and profile.json. Changes no number.
        usable_sha256: Expected `folds.usable_sha256` of the cache. None: any.
        on_epoch: Called after every epoch.
        cancel: Checked after every epoch.

    Raises:
        ConfigError: `run_dir` is not new, or the cache does not fit the settings.
        WeightsError: The text encoder is not that of the cache.
        CacheError: The cache is damaged, has features that are NaN or infinite, or other usable clips than
            expected.
        TrainingError: The loss is NaN or infinite.
        FileError: A file cannot be written. The best epoch so far is kept.
        TaskCancelledError: `cancel` was set.
    """
    config = chosen_config(config, settings)
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
            reports, info = run_epochs(run, folder, info, on_epoch, cancel)
            if uses_scene(config):
                save_scenes(folder, run.data, run.train_places, info)
    records = [epoch_record(report) for report in reports]
    title = f"{info.dataset}, fold {info.fold}, seed {seed}"
    from trainer import plots  # not at the start: importing matplotlib takes half a second

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
    """Return a note on joined batches, if any."""
    num = sum(report.joined_batches for report in reports)
    were = counted(num, "batch of one class was", "batches of one class were")
    return [f"{were} joined with another: losses.contrast=batch has no negative in them"] if num else []


def require_seed(seed: int) -> None:
    """Raise ConfigError for a seed that numpy or torch would reject."""
    require_range("--seed", seed, 0, _LARGEST_SEED)


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

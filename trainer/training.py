"""A cache, a fold and a config -> a run directory with the best checkpoint of the run."""

from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.cancel import CancelToken
from pipeline.config import require_range
from pipeline.device import choose_device
from pipeline.own_dir import Folder, OwnDir
from pipeline.store.location import LocationLike
from trainer.caches import chosen_cache
from trainer.config import TrainConfig
from trainer.config_choice import chosen_config
from trainer.run_directory import load_config, load_info, require_new
from trainer.training_result import EpochReport, TrainResult
from trainer.training_task import TrainTask, run_task

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
    is_resumable: bool = True,
    has_figures: bool = True,
    on_epoch: Callable[[EpochReport], None] | None = None,
    cancel: CancelToken | None = None,
) -> TrainResult:
    """Train on a fold of a cache, and keep the best epoch by `schedule.select` in a new directory.

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
        has_figures: Draw the curves and, for TensorBoard, the confusion matrix of the validation clips.
        is_resumable: Store the state after epochs, so that `resume` can continue an interrupted training.
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
    task = TrainTask(
        folder=OwnDir.of(run_dir), config=config, fold=fold, seed=seed, device=choose_device(device),
        encoder_weights=encoder_weights, usable_sha256=usable_sha256, is_resumable=is_resumable,
        has_profile=profile, has_figures=has_figures, on_epoch=on_epoch, cancel=cancel,
    )  # fmt: skip
    return run_task(task, cache)


def resume(
    run_dir: Folder,
    *,
    cache: LocationLike | None = None,
    device: str = "auto",
    encoder_weights: str | None = None,
    on_epoch: Callable[[EpochReport], None] | None = None,
    cancel: CancelToken | None = None,
) -> TrainResult:
    """Continue an interrupted training from the last epoch whose state is stored, to its end.

    On a CPU, with the same machine and number of threads, the result equals that of a training that was not
    interrupted, to the bit. Times, and the curves and events that show them, differ.

    Args:
        run_dir: Directory of the run.
        cache: The training cache, if it has moved. None: the one that the run names.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        encoder_weights: As in `train`.
        on_epoch: Called after every further epoch.
        cancel: Checked after every epoch.

    Raises:
        ConfigError: The run has ended, has no stored state, or the cache has other clips or features now.
        CheckpointError: A file of the run is damaged.
        LockedError: Another process trains the run.
        WeightsError, CacheError, TrainingError, FileError, TaskCancelledError: As in `train`.
    """
    folder = OwnDir.of(run_dir)
    config, info = load_config(folder), load_info(folder)
    task = TrainTask(
        folder=folder, config=config, fold=info.fold, seed=info.seed, device=choose_device(device),
        encoder_weights=encoder_weights, on_epoch=on_epoch, cancel=cancel,
    )  # fmt: skip
    place = chosen_cache(folder.path, info.training_cache(folder.path), cache)
    return run_task(task, place, is_resumed=True)


def require_seed(seed: int) -> None:
    """Raise ConfigError for a seed that numpy or torch would reject."""
    require_range("--seed", seed, 0, _LARGEST_SEED)

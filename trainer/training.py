"""One or several caches, a fold and a config -> a run directory with the best checkpoint of the run."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pipeline.cancel import CancelToken
from pipeline.config import require_range
from pipeline.device import choose_device
from pipeline.errors import ConfigError, counted
from pipeline.own_dir import Folder, OwnDir
from pipeline.store.location import Location, LocationLike
from trainer.added_clips import AddedRequest, require_different
from trainer.caches import chosen_cache
from trainer.config import TrainConfig
from trainer.config_choice import chosen_config
from trainer.run_directory import load_config, load_info, require_new
from trainer.run_info import RunInfo
from trainer.training_result import EpochReport, TrainResult
from trainer.training_task import TrainTask, run_task

_LARGEST_SEED = 2**32 - 1


def train(
    cache: LocationLike | Sequence[LocationLike],
    run_dir: Folder,
    config: TrainConfig | str | Path = "default",
    *,
    settings: Sequence[str] = (),
    fold: int | str | Sequence[int | str] = 1,
    classes: Mapping[str, str] | None = None,
    seed: int = 0,
    device: str = "auto",
    encoder_weights: str | None = None,
    profile: bool = False,
    usable_sha256: str | None = None,
    is_resumable: bool = True,
    has_figures: bool = True,
    on_epoch: Callable[[EpochReport], None] | None = None,
    on_remark: Callable[[str], None] | None = None,
    cancel: CancelToken | None = None,
) -> TrainResult:
    """Train on a fold of a cache, and keep the best epoch by `schedule.select` in a new directory.

    On a CPU, the same seed, machine and number of threads give the same numbers to the bit.

    The first of several caches has the classes, validation and test clips of the run. The others add the
    training clips, and the clips marked as validation, of one of their folds. All have features of one
    identity.

    Args:
        cache: Location of the cache, or of several.
        run_dir: A new or empty directory.
        config: Settings of the run: a preset such as ``"paper"``, a TOML file, the directory of another run,
            or a `TrainConfig`.
        settings: Changed settings, as ``"section.key=value"``.
        fold: Name of the fold, or its number from 1, in every cache; or one for each cache.
        classes: Classes of the further caches -> classes of the run, as for `ClassMap.of`. None: by their
            names, in any spelling. Clips of other classes are left out and counted.
        seed: Seed of all random numbers, 0 to 2**32 - 1.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        encoder_weights: Tag or path of the weights of the text encoder. None: those that the cache names.
        profile: Measure the time of each part of a step, for the result and profile.json. Changes no number.
        usable_sha256: Expected `folds.usable_sha256` of the cache. None: any.
        has_figures: Draw the curves and, for TensorBoard, the confusion matrix of the validation clips.
        is_resumable: Store the state after epochs, so that `resume` can continue an interrupted training.
        on_epoch: Called after every epoch.
        on_remark: Called before the first epoch with each line on footage that clips share, and on clips
            without a face.
        cancel: Checked after every epoch.

    Raises:
        ConfigError: `run_dir` is not new, the cache does not fit the settings, or a further cache does not
            fit the first one.
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
    places = _places(cache)
    folds = _folds(fold, len(places))
    if classes is not None and len(places) == 1:
        msg = "--classes applies to the further caches of a training, and one cache is given; leave it out."
        raise ConfigError(msg)
    require_different(places)
    added = [
        AddedRequest(place=place, fold=one, classes=classes or {})
        for place, one in zip(places[1:], folds[1:], strict=True)
    ]
    task = TrainTask(
        folder=OwnDir.of(run_dir), config=config, fold=folds[0], seed=seed, device=choose_device(device),
        encoder_weights=encoder_weights, added=added, usable_sha256=usable_sha256, is_resumable=is_resumable,
        has_profile=profile, has_figures=has_figures, on_epoch=on_epoch, on_remark=on_remark,
        cancel=cancel,
    )  # fmt: skip
    return run_task(task, places[0])


def resume(
    run_dir: Folder,
    *,
    cache: LocationLike | Sequence[LocationLike] | None = None,
    device: str = "auto",
    encoder_weights: str | None = None,
    on_epoch: Callable[[EpochReport], None] | None = None,
    on_remark: Callable[[str], None] | None = None,
    cancel: CancelToken | None = None,
) -> TrainResult:
    """Continue an interrupted training from the last epoch whose state is stored, to its end.

    On a CPU, with the same machine and number of threads, the result equals that of a training that was not
    interrupted, to the bit. Times, and the curves and events that show them, differ.

    Args:
        run_dir: Directory of the run.
        cache: The training cache, if it has moved; all of them for a run of several. None: those that the
            run names.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        encoder_weights: As in `train`.
        on_epoch: Called after every further epoch.
        on_remark: As in `train`.
        cancel: Checked after every epoch.

    Raises:
        ConfigError: The run has ended, has no stored state, or the cache has other clips or features now.
        CheckpointError: A file of the run is damaged.
        LockedError: Another process trains the run.
        WeightsError, CacheError, TrainingError, FileError, TaskCancelledError: As in `train`.
    """
    folder = OwnDir.of(run_dir)
    config, info = load_config(folder), load_info(folder)
    named = [
        info.training_cache(folder.path),
        *(one.training_cache(folder.path) for one in info.added_caches),
    ]
    given = [None] * len(named) if cache is None else _places(cache)
    if len(given) != len(named):
        msg = (
            f"--resume '{folder}': {counted(len(named), 'cache')} trained the run, and "
            f"{len(given)} {'is' if len(given) == 1 else 'are'} given; give --cache once for each, in their "
            f"order: {', '.join(map(str, named))}."
        )
        raise ConfigError(msg)
    places = [chosen_cache(folder.path, *pair) for pair in zip(named, given, strict=True)]
    task = TrainTask(
        folder=folder, config=config, fold=info.fold, seed=info.seed, device=choose_device(device),
        encoder_weights=encoder_weights, added=_added_again(info, places[1:]), on_epoch=on_epoch,
        on_remark=on_remark, cancel=cancel,
    )  # fmt: skip
    return run_task(task, places[0], is_resumed=True)


def _added_again(info: RunInfo, places: Sequence[Location]) -> list[AddedRequest]:
    """Return the further caches of a run that is resumed, at their locations."""
    return [
        AddedRequest(place=place, fold=one.fold, classes=one.classes, recorded=one)
        for one, place in zip(info.added_caches, places, strict=True)
    ]


def _places(cache: LocationLike | Sequence[LocationLike]) -> list[Location]:
    """Return the locations of one cache or of several. Raises ConfigError if there is none."""
    places = [cache] if isinstance(cache, str | Path | Location) else list(cache)
    if not places:
        msg = "train needs a cache, and an empty list of caches is given."
        raise ConfigError(msg)
    return [Location.of(place) for place in places]


def _folds(fold: int | str | Sequence[int | str], num_caches: int) -> list[int | str]:
    """Return the fold of each cache. Raises ConfigError unless one or as many as caches are given."""
    folds = [fold] if isinstance(fold, int | str) else list(fold)
    if len(folds) not in (1, num_caches):
        msg = (
            f"{counted(len(folds), 'fold')} and {counted(num_caches, 'cache')} are given. Given once, --fold "
            "applies to every cache; otherwise give one per --cache, in their order."
        )
        raise ConfigError(msg)
    return folds * num_caches if len(folds) == 1 else folds


def require_seed(seed: int) -> None:
    """Raise ConfigError for a seed that numpy or torch would reject."""
    require_range("--seed", seed, 0, _LARGEST_SEED)

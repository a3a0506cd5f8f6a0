"""A trained run and a split -> WAR, UAR, per-class recall, confusion matrix, predictions of every clip."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from pipeline.display.json_values import to_json_values
from pipeline.display.shown import Shown
from pipeline.own_dir import Folder, OwnDir
from pipeline.portable import portable_values
from pipeline.store.location import Location, LocationLike
from pipeline.strict_json import to_json
from trainer.caches import is_same_place
from trainer.calibration import Calibration
from trainer.class_map import ClassMap
from trainer.clip_predictions import ClipPredictions
from trainer.clips_without_face import ClipsWithoutFace
from trainer.doubtful_tracks import DoubtfulTracks
from trainer.folds import folder_of_fold
from trainer.leaks import Leak
from trainer.measurement import Measured, measure
from trainer.metrics import Metrics
from trainer.run_info import RunInfo
from trainer.runs import Run
from trainer.training_set import TrainingSet

CONFUSION, PREDICTIONS = "confusion", "predictions"
"""Starts of the names of all files of `evaluate`."""


@dataclass(frozen=True, kw_only=True, repr=False)
class EvalResult(Shown):
    """The metrics of a split, with the facts that must be shown beside them.

    Attributes:
        place: Location of the measured cache.
        dataset: Dataset of this cache.
        doubtful_tracks: Metrics without clips whose face track is doubtful; None if none is, or if the cache
            does not record it.
        without_face: Metrics without clips in which no face was found; None if every clip has one.
        calibration: Calibration error of the probabilities, without and with the run's temperature.
        loss: Ungated class-contrastive loss, mean over the clips.
        info: Origin of the run.
        fold: The measured fold.
        is_own_fold: Whether this fold trained the run.
        clips_sha256: Hash of ids, labels and folds of the measured cache.
        same_cache: Whether the measured cache has the features and clips of the training cache.
        training_set: Clips that trained the run.
        precision: Precision of measuring.
        left_out: Number of clips of the fold that were not measured, by reason.
        leak: Measured clips that the run has seen.
        class_map: Classes of the measured cache; None if they are those of the run.
        shared_classes: Whether only classes that the cache has were chosen from.
        banners: Warnings to show beside the numbers.
        files: Written files.
    """

    place: Location
    dataset: str
    split: str
    metrics: Metrics
    doubtful_tracks: DoubtfulTracks | None
    without_face: ClipsWithoutFace | None
    calibration: Calibration
    loss: float
    info: RunInfo
    fold: str
    is_own_fold: bool
    clips_sha256: str
    same_cache: bool
    training_set: TrainingSet
    precision: str
    left_out: dict[str, int]
    leak: Leak
    class_map: ClassMap | None
    shared_classes: bool
    banners: tuple[str, ...]
    files: tuple[Path, ...]

    @property
    def title(self) -> str:
        """Dataset, fold and split that were measured, and the run's own fold if it is another one."""
        trained = "" if self.is_own_fold else f" (trained on fold {self.info.fold} of {self.info.dataset})"
        return f"{self.dataset}, fold {self.fold}{trained}, {self.split} split"


def evaluate(
    run_dir: Folder | Run,
    split: str = "test",
    cache: LocationLike | None = None,
    device: str = "auto",
    *,
    fold: int | str | None = None,
    allow_leak: bool = False,
    classes: Mapping[str, str] | None = None,
    shared_classes: bool = False,
    has_figure: bool = True,
) -> EvalResult:
    """Measure a run's best model on a split of a fold; write confusion.json, confusion.png, predictions.csv.

    Args:
        run_dir: The run, or its directory, where the files are written.
        split: ``test``, ``validation`` or ``train``.
        cache: Cache to measure on. Files are named after it if it is not the training cache. None: the
            training cache.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        fold: See `measure`. The files of another fold than the run's own are named after it.
        allow_leak: See `measure`.
        classes: See `measure`.
        shared_classes: See `measure`.
        has_figure: Draw the confusion matrix, confusion.png.

    Raises:
        OusError: As for `measure`.
        FileError: The files cannot be written.
    """
    place = OwnDir.of(run_dir.path if isinstance(run_dir, Run) else run_dir)
    if place.is_dir():
        place.require_writable(*_earlier_files(place))
    measured = measure(
        place, split, cache, device, fold=fold, allow_leak=allow_leak, classes=classes,
        shared_classes=shared_classes,
    )  # fmt: skip
    info, dataset = measured.checkpoint.info, measured.meta.dataset
    is_other = cache is not None and not is_same_place(measured.place, info.training_cache(place.path))
    suffix = _suffix(measured, is_other_cache=is_other)
    figure = f"{CONFUSION}{suffix}.png"
    names = (f"{CONFUSION}{suffix}.json", *([figure] if has_figure else []), f"{PREDICTIONS}{suffix}.csv")
    result = EvalResult(
        place=measured.place,
        dataset=dataset,
        split=split,
        metrics=measured.metrics(),
        doubtful_tracks=measured.doubtful_tracks(),
        without_face=measured.without_face(),
        calibration=measured.calibration(),
        loss=measured.scores.loss,
        info=info,
        fold=measured.fold,
        is_own_fold=measured.is_own_fold,
        clips_sha256=measured.clips_sha256,
        same_cache=measured.same_cache,
        training_set=measured.training_set,
        precision=measured.precision,
        left_out=measured.left_out,
        leak=measured.leak,
        class_map=measured.class_map,
        shared_classes=shared_classes and measured.class_map is not None,
        banners=measured.banners,
        files=tuple(place.path / name for name in names),
    )
    contents: tuple[str | bytes, ...] = (
        to_json(portable_values(to_json_values(result))) + "\n",
        *([_drawn(result)] if has_figure else []),
        "".join(ClipPredictions.of(measured).lines(result.banners)),
    )
    place.write_together(dict(zip(names, contents, strict=True)))
    return result


def _drawn(result: EvalResult) -> bytes:
    from trainer import plots  # as in trainer.training_task

    image = BytesIO()
    plots.plot_confusion(result.metrics, image, title=result.title, banners=result.banners)
    return image.getvalue()


def _earlier_files(place: OwnDir) -> list[str]:
    """Return the names of existing files, any of which may be replaced."""
    pattern = re.compile(rf"{CONFUSION}.*\.(json|png)|{PREDICTIONS}.*\.csv")
    return [name for name in place.entries() if pattern.fullmatch(name)]


def _suffix(measured: Measured, *, is_other_cache: bool) -> str:
    """Return the part of the files' names that names split, fold and cache."""
    folds = measured.meta.fold_names
    has_default_fold = measured.is_own_fold or (is_other_cache and len(folds) == 1)
    parts = [
        *([measured.split] if measured.split != "test" else []),
        *([] if has_default_fold else [folder_of_fold(folds, measured.fold)]),
        *([measured.place.stem] if is_other_cache else []),
    ]
    return "".join(f"_{part}" for part in parts)

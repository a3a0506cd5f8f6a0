"""A trained run and a split -> WAR, UAR, per-class recall, confusion matrix."""

import re
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from pipeline.display.json_values import to_json_values
from pipeline.own_dir import Folder, OwnDir
from pipeline.portable import portable_values
from pipeline.store.location import Place, Where
from pipeline.strict_json import to_json
from trainer.caches import is_same_place
from trainer.folds import folder_of_fold
from trainer.leaks import Leak
from trainer.measurement import Measured, measure
from trainer.metrics import Metrics
from trainer.run_info import RunInfo
from trainer.training_set import TrainingSet

_STEM = "confusion"
"""What the names of all files of `evaluate` begin with."""


@dataclass(frozen=True, kw_only=True)
class EvalResult:
    """The metrics of one split, with what must be shown beside them.

    place: of the cache. fold: that was measured, and is_own_fold: whether it is the one that trained the run.
    same_cache: whether the cache is the one, by features and clips, that the run was trained on.
    training_set: clips that trained the run. precision: of measuring. left_out: why clips of the fold are
    not measured, and how many. leak: clips that the run has seen, measured all the same. banners: what must
    stand, loudly, beside these numbers. files: what was written.
    """

    place: Place
    dataset: str
    split: str
    metrics: Metrics
    loss: float
    info: RunInfo
    fold: str
    is_own_fold: bool
    same_cache: bool
    training_set: TrainingSet
    precision: str
    left_out: dict[str, int]
    leak: Leak
    banners: tuple[str, ...]
    files: tuple[Path, ...]

    @property
    def title(self) -> str:
        """Dataset, fold and split that were measured; and the run's own fold, where that is another."""
        trained = "" if self.is_own_fold else f" (trained on fold {self.info.fold} of {self.info.dataset})"
        return f"{self.dataset}, fold {self.fold}{trained}, {self.split} split"


def evaluate(
    run_dir: Folder,
    split: str = "test",
    cache: Where | None = None,
    device: str = "auto",
    *,
    fold: int | str | None = None,
    allow_leak: bool = False,
) -> EvalResult:
    """Measure a run's best model on a split of a fold; write confusion.json and confusion.png.

    cache: another cache than the one it was trained on. Its files are then named after it, and those of
    another fold than the run's own after the fold. fold, allow_leak: see `measure`, which raises what this
    raises, with FileError for a run that cannot be written.
    """
    place = OwnDir.of(run_dir)
    if place.is_dir():
        place.require_writable(*_figures(place))
    measured = measure(place, split, cache, device, fold=fold, allow_leak=allow_leak)
    info, dataset = measured.checkpoint.info, measured.meta.dataset
    is_other = cache is not None and not is_same_place(measured.place, info.training_cache(place.path))
    stem = _stem(measured, is_other_cache=is_other)
    names = (f"{stem}.json", f"{stem}.png")
    result = EvalResult(
        place=measured.place,
        dataset=dataset,
        split=split,
        metrics=measured.metrics(),
        loss=measured.scores.loss,
        info=info,
        fold=measured.fold,
        is_own_fold=measured.is_own_fold,
        same_cache=measured.same_cache,
        training_set=measured.training_set,
        precision=measured.precision,
        left_out=measured.left_out,
        leak=measured.leak,
        banners=measured.banners,
        files=tuple(place.path / name for name in names),
    )
    from trainer import plots  # as in trainer.training

    image = BytesIO()
    plots.plot_confusion(result.metrics, image, title=result.title, banners=result.banners)
    contents = (to_json(portable_values(to_json_values(result))) + "\n", image.getvalue())
    place.write_together(dict(zip(names, contents, strict=True)))
    return result


def _figures(place: OwnDir) -> list[str]:
    """Return the names of figures in use; which one is written is known after measuring."""
    return [name for name in place.entries() if re.fullmatch(r"confusion.*\.(json|png)", name)]


def _stem(measured: Measured, *, is_other_cache: bool) -> str:
    """Return the name of the files without their endings."""
    folds = measured.meta.fold_names
    has_default_fold = measured.is_own_fold or (is_other_cache and len(folds) == 1)
    parts = [
        *([measured.split] if measured.split != "test" else []),
        *([] if has_default_fold else [folder_of_fold(folds, measured.fold)]),
        *([measured.place.stem] if is_other_cache else []),
    ]
    return "_".join([_STEM, *parts])

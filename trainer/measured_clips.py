"""A run, a cache, a fold and a split -> the clips to measure, or the reason why they cannot be measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.errors import CheckpointError, ConfigError, OusError, counted, printable
from pipeline.footage import OFFICIAL_SPLITS
from pipeline.own_dir import Folder, OwnDir
from pipeline.store.location import LocationLike
from pipeline.store.meta import CacheMeta
from pipeline.store.reader import FeatureCache
from pipeline.types import Ints
from trainer.added_cache import added_cache_of
from trainer.caches import chosen_cache, is_same_place, open_cache
from trainer.class_map import NO_CLASS, ClassMap
from trainer.config import TrainConfig
from trainer.folds import fold_rows, fold_to_measure, require_labels
from trainer.holdout import CLIPS
from trainer.leaks import Leak
from trainer.model_directory import is_model_directory
from trainer.run_directory import load_config, load_info
from trainer.run_info import RunInfo
from trainer.training_clips import is_trained_on, stored_leak

_MOST_REASONS = 3


@dataclass(frozen=True, kw_only=True)
class MeasureRequest:
    """A run and the clips that it is measured on; see `measurement.measure`."""

    run_dir: Folder
    split: str = "test"
    cache: LocationLike | None = None
    fold: int | str | None = None
    allow_leak: bool = False
    classes: Mapping[str, str] | None = None

    @property
    def path(self) -> Path:
        """Directory of the run."""
        return OwnDir.of(self.run_dir).path

    def open_cache(self, info: RunInfo) -> FeatureCache:
        """Open the cache. Raises CacheError as `chosen_cache` and `open_cache` do."""
        place = chosen_cache(self.path, info.training_cache(self.path), self.cache)
        return open_cache(place, None if self.cache else self.path)

    def require_no_model_directory(self) -> None:
        """Raise CheckpointError if the run is an exported model."""
        if is_model_directory(self.run_dir):
            msg = (
                f"'{self.run_dir}' is an exported model, which does not name its training clips, so that a "
                "measured clip that it has seen would not be noticed; measure the run that it was made from."
            )
            raise CheckpointError(msg)


@dataclass(frozen=True, kw_only=True)
class ClipsToMeasure:
    """The clips of a split of a fold that a run is measured on.

    Attributes:
        row_N: Rows of the cache.
        label_N: Their classes, of the run.
        class_map: Classes of the cache; None if they are those of the run.
        fold: Name of the fold.
        is_own_fold, same_cache, left_out, leak: See `evaluation.EvalResult`.
        knows_fold: Whether the cache has the run's fold under its name.
    """

    row_N: Ints
    label_N: Ints
    class_map: ClassMap | None
    fold: str
    is_own_fold: bool
    knows_fold: bool
    same_cache: bool
    left_out: dict[str, int]
    leak: Leak

    @classmethod
    def of(
        cls, request: MeasureRequest, info: RunInfo, config: TrainConfig, features: FeatureCache
    ) -> "ClipsToMeasure":
        """Return the clips of an open cache. Raises as `measurement.measure` does, but reads no features."""
        run_dir, split, place = request.run_dir, request.split, features.place
        require_labels(features)
        class_map = _class_map(info, features, request.classes, is_other=request.cache is not None)
        info.require_fits(features.meta, place, any_classes=class_map is not None)
        same_cache = (features.meta.fingerprint, features.clips_sha256()) == (
            info.cache_fingerprint,
            info.clips_sha256,
        )
        is_there = is_same_place(place, info.training_cache(request.path))
        knows_fold = same_cache or _has_folds_of(info, features.meta, is_there=is_there)
        if knows_fold and info.fold in features.meta.fold_names:
            knows_fold = is_trained_on(run_dir, features, info.fold)
        added = None
        if not (same_cache or is_there):
            added = added_cache_of(
                request.path, info.added_caches, features.place, features.meta, features.clips_sha256()
            )
        name = fold_to_measure(
            features.meta, request.fold, info.fold if added is None else added.fold,
            is_known=knows_fold or added is not None, where=place,
        )  # fmt: skip
        is_own_fold = knows_fold and name == info.fold
        rows = fold_rows(features, name, config.data, info.seed, by_group=info.selection != CLIPS)
        if split != "test" and added is not None:
            msg = (
                f"--split {split}: '{place}' is a further cache of '{run_dir}', which was trained on "
                f"{counted(added.num_train, 'clip')} of its fold '{printable(added.fold)}', those marked as "
                f"validation included; measure --split test, or leave out --cache."
            )
            raise CheckpointError(msg)
        if split != "test" and knows_fold and not is_own_fold:
            msg = (
                f"--split {split}: fold '{name}' did not train '{run_dir}', fold '{info.fold}' did; measure "
                "--split test, or leave out --fold."
            )
            raise CheckpointError(msg)
        if split != "test" and not (same_cache and rows.training_sha256() == info.training_sha256):
            msg = (
                f"--split {split}: the clips of '{place}' are not those that '{run_dir}' was trained with "
                "(other clips, more of them done, or other groups). Training clips could be among them; "
                "measure --split test."
            )
            raise CheckpointError(msg)
        left_out = dict(rows.left_out)
        row_N, label_N = _with_class(features, rows.of(split), class_map, left_out)
        leak = Leak.none(split, len(row_N))
        if split == "test" or (split == "validation" and rows.rule != "train"):
            leak = stored_leak(
                run_dir, info, features, split, row_N, fold=name, is_own_fold=is_own_fold,
            )  # fmt: skip
        if not request.allow_leak:
            leak.require_none(str(run_dir), str(place))
        return cls(
            row_N=row_N,
            label_N=label_N,
            class_map=class_map,
            fold=name,
            is_own_fold=is_own_fold,
            knows_fold=knows_fold,
            same_cache=same_cache,
            left_out=left_out,
            leak=leak,
        )


def require_measurable(requests: Sequence[MeasureRequest]) -> None:
    """Raise OusError, naming every run that cannot be measured, before any is measured.

    Files of the runs, caches, folds, splits and leaks are checked; no model and no features are read.

    Raises:
        OusError: The error of `measurement.measure` for a single run. For several, ConfigError if all of
            theirs are; otherwise CheckpointError.
    """
    failed: dict[Path, OusError] = {}
    for request in requests:
        try:
            request.require_no_model_directory()
            config, info = load_config(request.run_dir), load_info(request.run_dir)
            with request.open_cache(info) as features:
                ClipsToMeasure.of(request, info, config, features)
        except OusError as error:
            failed.setdefault(request.path, error)
    if not failed:
        return
    runs = dict.fromkeys(request.path for request in requests)
    if len(failed) == 1:
        ((run, only),) = failed.items()
        if len(runs) > 1 and str(run) not in str(only):
            only.args = (f"'{run}': {only}",)
        raise only
    reasons = [f"'{run}': {str(one).rstrip('.')}." for run, one in failed.items()]
    shown = " ".join(reasons[:_MOST_REASONS])
    others = ", ".join(f"'{run}'" for run in [*failed][_MOST_REASONS:])
    also = f" Also: {others}." if others else ""
    msg = f"{len(failed)} of {len(runs)} runs cannot be measured. {shown}{also}"
    are_options = all(isinstance(one, ConfigError) for one in failed.values())
    raise ConfigError(msg) if are_options else CheckpointError(msg)


def _class_map(
    info: RunInfo, features: FeatureCache, classes: Mapping[str, str] | None, *, is_other: bool
) -> ClassMap | None:
    """Return the map of the classes of a cache that the user names; None if they are those of the run."""
    meta = features.meta
    if classes is not None and not is_other:
        msg = "--classes applies to another cache, and --cache names none; leave it out, or add --cache."
        raise ConfigError(msg)
    if classes is None and is_other:
        classes = _recorded_classes(info, features)
    if not is_other or (meta.class_names == info.class_names and not classes):
        return None
    return ClassMap.of(info.class_names, meta.class_names, classes)


def _recorded_classes(info: RunInfo, features: FeatureCache) -> Mapping[str, str] | None:
    """Return the map by which a cache added clips to the training; None for the first and for other caches.

    A cache is recognised by its dataset and the names of its classes, or by its clips if the first cache has
    the same dataset and classes. A map that changes nothing is None, too.
    """
    meta = features.meta
    for added in info.added_caches:
        if added.dataset != meta.dataset or set(added.classes) != set(meta.class_names):
            continue
        is_like_first = (meta.dataset, meta.class_names) == (info.dataset, info.class_names)
        if is_like_first and added.clips_sha256 != features.clips_sha256():
            continue
        changes = any(name != target for name, target in added.classes.items())
        return added.classes if changes else None
    return None


def _with_class(
    features: FeatureCache, row_N: Ints, class_map: ClassMap | None, left_out: dict[str, int]
) -> tuple[Ints, Ints]:
    """Return the rows that have a class of the run, and their labels. Adds the others to `left_out`."""
    label_N = features.read("label")[row_N].astype(np.int64)
    if class_map is None:
        return row_N, label_N
    mapped_N = class_map.labels(label_N)
    for number, name in enumerate(features.meta.class_names):
        count = int(((label_N == number) & (mapped_N == NO_CLASS)).sum())
        if count:
            left_out[f"of class {name}"] = count
    kept_N = mapped_N != NO_CLASS
    if not kept_N.any():
        msg = f"No clip of '{features.place}' to measure has a class of the run: {class_map}."
        raise ConfigError(msg)
    return row_N[kept_N], mapped_N[kept_N]


def _has_folds_of(info: RunInfo, meta: CacheMeta, *, is_there: bool) -> bool:
    """Return whether a cache has the folds of the training cache under the same names.

    It has them if it is the training cache (`is_there`), perhaps with more clips or new labels, or if both
    are of one dataset whose authors publish the folds.
    """
    is_official = info.dataset == meta.dataset and meta.dataset in OFFICIAL_SPLITS
    return (is_there and info.dataset == meta.dataset) or is_official

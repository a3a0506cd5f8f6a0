"""Further caches of a training -> the clips that they add to those of the first cache.

Letters: N clips.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.errors import ConfigError, some
from pipeline.fingerprint import differences, sha256_json
from pipeline.store.location import Location
from pipeline.store.meta import CacheMeta
from pipeline.store.reader import FeatureCache
from trainer.added_cache import AddedCache
from trainer.added_polarities import class_polarities, mapped_polarities, with_polarities
from trainer.block_reading import ClipSource
from trainer.caches import is_same_place, location_from, open_cache, stored_location
from trainer.class_map import NO_CLASS, ClassMap, find_name
from trainer.config import TrainConfig
from trainer.folds import fold_number, fold_rows, usable_sha256
from trainer.run_info import RunInfo

_SIZES = ("encoder_sha256", "num_views", "num_frames", "embed_width", "encoder_width", "num_tokens")
_MOST_NAMED = 10


@dataclass(frozen=True, kw_only=True)
class AddedRequest:
    """A further cache of a training, as the user or the run names it.

    Attributes:
        place: Its location.
        fold: Name or number of the fold whose training and validation clips are added.
        classes: Classes of the cache -> classes of the run, as for `ClassMap.of`.
        recorded: Record of the run that is resumed; None for a new run.
    """

    place: Location
    fold: int | str
    classes: Mapping[str, str]
    recorded: AddedCache | None = None


@dataclass(frozen=True, kw_only=True)
class AddedClips:
    """Clips of a further cache that train a run: training and given validation clips of a fold.

    Attributes:
        source: The clips, with classes of the run.
        fold: Name of the fold.
        left_out: Number of clips of the fold that are not used, by reason.
        class_map: Classes of the cache -> classes of the run.
        remark: Line on clips that have the polarity of their class; empty if there are none.
    """

    source: ClipSource
    fold: str
    left_out: Mapping[str, int]
    class_map: ClassMap
    remark: str = ""

    @property
    def dataset(self) -> str:
        """Dataset of the cache."""
        return self.source.cache.meta.dataset

    def record(self, run_dir: Path) -> AddedCache:
        """Return what run.json holds of these clips, for a run in `run_dir`."""
        cache = self.source.cache
        return AddedCache(
            cache_path=stored_location(cache.place),
            cache_from_run=location_from(run_dir, cache.place),
            cache_fingerprint=cache.meta.fingerprint,
            dataset=cache.meta.dataset,
            clips_sha256=cache.clips_sha256(),
            usable_sha256=usable_sha256(cache),
            fold=self.fold,
            training_sha256=sha256_json(self.source.row_N.tolist()),
            num_train=len(self.source.row_N),
            left_out=dict(self.left_out),
            classes={name: target or "" for name, target in self.class_map.pairs},
        )


def require_different(places: Sequence[Location]) -> None:
    """Raise ConfigError for a cache that is given twice."""
    for number, place in enumerate(places):
        if any(is_same_place(place, earlier) for earlier in places[:number]):
            msg = (
                f"--cache '{place}' is given twice: its clips would train twice, and its validation and test "
                "clips would be measured after they have trained; give each cache once."
            )
            raise ConfigError(msg)


def require_mixture(config: TrainConfig, num_caches: int) -> None:
    """Raise ConfigError for a setting that has no meaning in a training on one cache."""
    if config.data.mixture != "size" and num_caches == 1:
        msg = (
            f"data.mixture is '{config.data.mixture}', which is a choice between several caches of `train`, "
            "and there is one; set data.mixture=size, or add a --cache to `train`."
        )
        raise ConfigError(msg)


def open_added(
    first: FeatureCache,
    fold: int | str,
    requests: Sequence[AddedRequest],
    config: TrainConfig,
    opened: ExitStack,
) -> list[AddedClips]:
    """Open further caches, and return the clips that they add.

    Args:
        first: The first cache, open, which has the classes of the run.
        fold: Its fold.
        requests: The further caches.
        config: Settings of the run.
        opened: Closes the caches.

    Raises:
        ConfigError: A cache has no such fold, other features, no class of the run, no training clips, or
            clips without a polarity that the settings need; or a cache of a resumed run has changed.
        CacheError: A cache cannot be read.
    """
    if not requests:
        return []
    caches = [opened.enter_context(open_cache(one.place)) for one in requests]
    recorded = [one.recorded for one in requests if one.recorded is not None]
    for number in range(len(recorded)):
        _require_unchanged(recorded, number, caches[number])
    _require_folds([first, *caches], [fold, *(one.fold for one in requests)])
    _require_named({name for one in requests for name in one.classes}, caches)
    of_class = class_polarities(first, config) if config.has_polarity_loss else {}
    added = []
    for request, cache in zip(requests, caches, strict=True):
        _require_same_features(first, cache)
        one = _clips_of(cache, request, first.meta.class_names, config)
        if of_class:
            polarity_N, remark = with_polarities(one.source, of_class)
            one = replace(one, source=replace(one.source, polarity_N=polarity_N), remark=remark)
        added.append(one)
    return added


def _clips_of(
    cache: FeatureCache, request: AddedRequest, run_names: tuple[str, ...], config: TrainConfig
) -> AddedClips:
    names = cache.meta.class_names
    classes = {name: target for name, target in request.classes.items() if find_name(name, names) is not None}
    class_map = ClassMap.of(run_names, names, classes)
    rows = fold_rows(cache, request.fold, replace(config.data, validation="given"), seed=0)
    row_N = np.union1d(rows.train, rows.validation)
    own_N = cache.read("label")[row_N].astype(np.int64)
    label_N = class_map.labels(own_N)
    left_out = dict(rows.left_out)
    for number, name in enumerate(names):
        if count := int(((own_N == number) & (label_N == NO_CLASS)).sum()):
            left_out[f"of class {name}"] = count
    is_kept_N = label_N != NO_CLASS
    if not is_kept_N.any():
        reasons = ", ".join(f"{count} {why}" for why, count in left_out.items())
        msg = (
            f"Fold '{rows.fold_name}' of '{cache.place}' adds no clip to the training (left out: "
            f"{reasons or 'none'}); give another fold, name classes with --classes, or leave out the cache."
        )
        raise ConfigError(msg)
    row_N, label_N = row_N[is_kept_N], label_N[is_kept_N]
    source = ClipSource(
        cache=cache,
        row_N=row_N,
        label_N=label_N,
        polarity_N=mapped_polarities(cache, row_N, label_N, run_names, config),
        class_map=None if names == run_names and not classes else class_map,
    )
    return AddedClips(source=source, fold=rows.fold_name, left_out=left_out, class_map=class_map)


def _require_folds(caches: Sequence[FeatureCache], folds: Sequence[int | str]) -> None:
    """Raise ConfigError, listing the folds, if a cache has no such fold."""
    proposed, lacking = [], []
    for cache, fold in zip(caches, folds, strict=True):
        try:
            proposed.append(cache.meta.fold_names[fold_number(cache.meta, fold)])
        except ConfigError:
            names = cache.meta.fold_names
            proposed.append(names[0])
            lacking.append(f"'{cache.place}' has no fold '{fold}'; it has: {some(names, _MOST_NAMED)}")
    if lacking:
        example = " ".join(f"--fold {name}" for name in proposed)
        msg = f"{'. '.join(lacking)}. Give one --fold for each --cache, in their order, such as {example}."
        raise ConfigError(msg)


def _require_named(names: set[str], caches: Sequence[FeatureCache]) -> None:
    """Raise ConfigError for a name of --classes that is a class of none of the caches."""
    classes = [cache.meta.class_names for cache in caches]
    if unknown := sorted(
        name for name in names if not any(find_name(name, of) is not None for of in classes)
    ):
        there = dict.fromkeys(name for of in classes for name in of)
        which = "the further cache has" if len(caches) == 1 else "the further caches have"
        msg = f"--classes names '{unknown[0]}'; {which}: {some(list(there), _MOST_NAMED)}."
        raise ConfigError(msg)


def _require_same_features(first: FeatureCache, other: FeatureCache) -> None:
    """Raise ConfigError, naming the differences, unless two caches have features of one kind."""

    def sizes(meta: CacheMeta) -> dict[str, object]:
        return {name: getattr(meta, name) for name in _SIZES}

    found = differences(first.meta.identity, other.meta.identity)
    if found:  # only then: the import takes longer than opening the caches
        from pipeline.process import identity_differences

        found = identity_differences(first.meta.identity, other.meta.identity)
    found = found or differences(sizes(first.meta), sizes(other.meta))
    if found:
        msg = (
            f"'{other.place}' ('there') has other features than '{first.place}' ('here'): "
            f"{some(found, _MOST_NAMED, '; ')}. Extract both with the same settings, or train on one of them."
        )
        raise ConfigError(msg)


def _require_unchanged(recorded: Sequence[AddedCache], number: int, cache: FeatureCache) -> None:
    """Raise ConfigError unless a cache has the features and clips that it had when the run began.

    Args:
        recorded: Further caches of the run, in their order.
        number: Index of the cache among these.
        cache: The cache that is given in its place.
    """
    if changed := changed_facts(recorded[number], cache):
        require_order(recorded, cache, number + 2)
        msg = (
            f"--resume: '{cache.place}' has other clips or features than at the start of the training "
            f"({', '.join(changed)}); give the earlier caches with --cache, in their order, or train a new "
            "run."
        )
        raise ConfigError(msg)


def require_order(recorded: Sequence[AddedCache], cache: FeatureCache, given: int) -> None:
    """Raise ConfigError if a cache is another one of the further caches of a run.

    Args:
        recorded: Further caches of the run, in their order.
        cache: The cache.
        given: Number of the cache among those that are given, from 1.
    """
    for number, one in enumerate(recorded, 2):
        if not changed_facts(one, cache):
            msg = (
                f"--resume: the caches are in another order than at the start of the training: "
                f"'{cache.place}' was cache {number} of {len(recorded) + 1} and is given as cache {given}; "
                "give --cache in the order of the training."
            )
            raise ConfigError(msg)


def changed_facts(recorded: RunInfo | AddedCache, cache: FeatureCache) -> list[str]:
    """Return the names of recorded hashes of features and clips that a cache does not have now."""
    now = {
        "cache_fingerprint": cache.meta.fingerprint,
        "clips_sha256": cache.clips_sha256(),
        "usable_sha256": usable_sha256(cache),
    }
    return [name for name, value in now.items() if getattr(recorded, name) not in ("", value)]

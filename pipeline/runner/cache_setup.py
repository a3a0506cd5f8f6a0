"""A cache for an index of clips: created, or found to be of them and gone on with, grown where they have."""

import dataclasses
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.config import from_dict, to_dict
from pipeline.datasets import read_dataset
from pipeline.errors import CacheError, CacheExistsError, DatasetError, WeightsError, some
from pipeline.fingerprint import differences
from pipeline.portable import located, portable
from pipeline.process import ExtractConfig, identity_differences, version_differences, without_weights
from pipeline.runner.clip_matching import OTHER_CACHE, match
from pipeline.runner.model_metadata import ModelInfo
from pipeline.store.clip_table import num_groups, replace_table, table_of
from pipeline.store.location import Place
from pipeline.store.meta import RANDOM_WEIGHTS, CacheMeta
from pipeline.store.reader import FeatureCache
from pipeline.store.sources import SourceChanges, compare_sources, size_of
from pipeline.store.writer import CacheWriter, sweep
from pipeline.types import ClipRef, DatasetIndex, ReadOptions

_PACKAGES = ("torch", "torchvision", "open_clip_torch", "av", "opencv-python-headless", "zarr", "numpy")
_NAMED = 5
_OTHER_PROGRAM = "Use the program that made it, or give another --cache."
_DEFAULTS = ReadOptions()


@dataclass(frozen=True, kw_only=True)
class Opening:
    """A cache as a run finds it. meta, table: as they are, or will be once it is created or has grown.

    clips: by row; None for a row that the data set as read now does not have. num_new: rows at the end
    that the cache does not have yet. notes: what a user should know, such as files that are gone.
    """

    meta: CacheMeta
    table: Mapping[str, npt.NDArray[Any]]
    clips: tuple[ClipRef | None, ...]
    num_new: int
    notes: tuple[str, ...] = ()


def open_cache(
    index: DatasetIndex, config: ExtractConfig, info: ModelInfo, place: Place, *, may_grow: bool = True
) -> Opening:
    """Create the cache of this index and these models, or check that the one there is of them.

    Clips that a cache does not have yet are appended to it, unless others work on it (may_grow).
    Raises CacheError when it was made otherwise or from other clips, naming each difference, WeightsError
    when random weights stand in for those of a model: they are for timing alone.
    """
    if info.stand_ins:
        msg = f"No cache is made with random weights in the place of those of {some(info.stand_ins)}."
        raise WeightsError(msg)
    found = checked(index, config, info, place)
    if not place.exists():
        try:
            CacheWriter.create(place, found.meta, found.table)
        except CacheExistsError:
            found = checked(index, config, info, place)  # another share of the same job was quicker
        else:
            return found
    if found.num_new:
        if not may_grow:
            msg = (
                f"{found.num_new} clips are not in '{place}' yet, and a share (--blocks) appends none: run "
                "extract once without --blocks, with --limit 1 perhaps, and then the shares."
            )
            raise CacheError(msg)
        found = replace(found, meta=replace_table(place, found.meta, found.table))
    sweep(place)
    return found


def require_same_settings(info: ModelInfo, place: Place) -> None:
    """Raise CacheError where the cache there was made with other settings, as far as they are known.

    info: of models that need not be loaded, so that no weights are looked for in vain.
    """
    if place.exists() and not place.is_hdf5:
        with FeatureCache.open(place) as cache:
            _require_identified(cache)
            there = cache.meta.identity if info.has_weights else without_weights(cache.meta.identity)
            if found := identity_differences(info.identity, there):
                raise _made_otherwise(cache, found, OTHER_CACHE)


def checked(index: DatasetIndex, config: ExtractConfig, info: ModelInfo, place: Place) -> Opening:
    """What the cache of this index and these models is, once nothing speaks against it."""
    _refuse_hdf5(place)
    _require_given(index, config)
    if not place.exists():
        meta, clips = describe(index, config, info), index.clips
        return Opening(meta=meta, table=table_of(clips, index), clips=clips, num_new=len(clips))
    with FeatureCache.open(place) as cache:
        return compared(index, config, info, cache, cache.read)


def compared(
    index: DatasetIndex,
    config: ExtractConfig,
    info: ModelInfo,
    cache: FeatureCache,
    read: Callable[[str], npt.NDArray[Any]],
) -> Opening:
    """The cache, once it is found to be of this index and these models; refused as by `checked`.

    read: gives the arrays `status` and `source_bytes`, of which some may be damaged.
    """
    _require_identified(cache)
    meta = describe(index, config, info)
    there = cache.meta.identity if info.has_weights else without_weights(cache.meta.identity)
    found = identity_differences(meta.identity, there)
    found += differences({"dataset": meta.dataset}, {"dataset": cache.meta.dataset})
    matched = match(index, cache)
    found += matched.differences
    sources = _sources(index, matched.clips[: cache.meta.num_clips], cache, read)
    found += [text for text in [sources.difference] if text]
    if found:
        raise _made_otherwise(cache, found, matched.remedy)
    notes = (*matched.notes, *sources.notes)
    if not matched.num_new:
        return Opening(meta=cache.meta, table=matched.table, clips=matched.clips, num_new=0, notes=notes)
    warnings = tuple(dict.fromkeys(map(portable, (*cache.meta.warnings, *meta.warnings))))
    grown = replace(
        cache.meta,
        num_clips=len(matched.clips),
        num_groups=num_groups(matched.table),
        warnings=warnings,
        config=meta.config,
    )
    return Opening(meta=grown, table=matched.table, clips=matched.clips, num_new=matched.num_new, notes=notes)


def _require_identified(cache: FeatureCache) -> None:
    if not cache.meta.is_identified:
        msg = (
            f"'{cache.place}' is damaged: its attribute 'fingerprint' is not the hash of 'identity'. "
            "Restore it, or extract again into another --cache."
        )
        raise CacheError(msg)


def _made_otherwise(cache: FeatureCache, found: Collection[str], remedy: str) -> CacheError:
    remedy = _OTHER_PROGRAM if version_differences(cache.meta.identity) else remedy
    return CacheError(f"'{cache.place}' was made otherwise: {some(found, _NAMED, '; ')}. {remedy}")


def dataset_of(
    cache: FeatureCache,
    root: Path | None = None,
    *,
    name: str | None = None,
    options: ReadOptions | None = None,
) -> DatasetIndex:
    """The data set that a cache is of, read again as it was; from `root`, if it has moved.

    name, options: to read it as another one, or otherwise.
    Raises DatasetError when it is not there, CacheError when the cache does not say what it is.
    """
    where = root or Path(located(cache.setting("config.dataset.root", str)))
    return read_dataset(name or cache.meta.dataset, where, options or read_as(cache))


def read_as(cache: FeatureCache, asked: ReadOptions = _DEFAULTS) -> ReadOptions:
    """How the data set of a cache was read, but for what is asked; a label order belongs to its lists.

    Raises CacheError when the cache does not say it.
    """
    said = cache.setting("config.dataset", dict)
    names = [field.name for field in dataclasses.fields(ReadOptions)]
    then = from_dict(ReadOptions, {name: said[name] for name in names if name in said}, "config.dataset.")
    return ReadOptions(
        lists=asked.lists or tuple(located(str(path)) for path in then.lists),
        label_order=asked.label_order or (None if asked.lists else then.label_order),
        all_clips=asked.all_clips or then.all_clips,
        source=then.source if asked.source == _DEFAULTS.source else asked.source,
    )


def _sources(
    index: DatasetIndex,
    clips: tuple[ClipRef | None, ...],
    cache: FeatureCache,
    read: Callable[[str], npt.NDArray[Any]],
) -> SourceChanges:
    there, status = read("source_bytes"), read("status")
    rows = [row for row, clip in enumerate(clips) if clip is not None]
    known = [clip for clip in clips if clip is not None]
    with_crops = cache.meta.takes_crops
    sizes = np.array([size_of(index.root, clip, with_crops=with_crops) for clip in known], dtype=np.int64)
    return compare_sources([clip.clip_id for clip in known], sizes, there[rows], status[rows])


def _require_given(index: DatasetIndex, config: ExtractConfig) -> None:
    if config.detector.name == "boxes" and not any(clip.given_boxes for clip in index.clips):
        msg = (
            f"--detector boxes, but no clip of '{index.root}' brings a box; add the columns x0, y0, x1, y1 "
            "or boxes to the manifest, or choose another detector."
        )
        raise DatasetError(msg)
    if config.takes_crops and not any(clip.face_path for clip in index.clips):
        msg = (
            f"--detector crops, but no clip of '{index.root}' brings face crops; choose another detector, "
            "such as --detector haar."
        )
        raise DatasetError(msg)


def _refuse_hdf5(place: Place) -> None:
    if place.is_hdf5:
        msg = f"--cache '{place}' names an HDF5 file; extraction writes Zarr, `cache export` makes HDF5."
        raise CacheError(msg)


def describe(index: DatasetIndex, config: ExtractConfig, info: ModelInfo) -> CacheMeta:
    """The attributes of a cache of this index, made with these models."""
    encoder = config.encoder
    warnings = list(index.warnings)
    if encoder.weights == RANDOM_WEIGHTS:
        warnings.insert(
            0,
            f"RANDOM ENCODER WEIGHTS (seed {encoder.seed}): {encoder.name} was "
            "never trained; results from this cache say nothing about the method.",
        )
    return CacheMeta(
        dataset=index.name,
        class_names=index.class_names,
        fold_names=index.fold_names,
        num_clips=len(index.clips),
        block_clips=info.block_clips,
        num_views=config.frames.num_views,
        num_frames=config.frames.num_frames,
        embed_width=info.embed_width,
        encoder_width=info.encoder_width,
        num_tokens=info.num_tokens,
        num_groups=len({clip.group for clip in index.clips} - {""}),
        encoder_name=encoder.name,
        encoder_weights=encoder.weights,
        encoder_sha256=info.visual_sha256,
        text_sha256=info.text_sha256,
        identity=info.identity,
        fingerprint=info.fingerprint,
        config={**to_dict(config), "dataset": dataset_config(index)},
        warnings=tuple(warnings),
        packages=_package_versions(),
        command_line=(Path(sys.argv[0]).name, *sys.argv[1:]),
    )


def dataset_config(index: DatasetIndex) -> dict[str, Any]:
    """What it takes to read the data set again: see `dataset_of`."""
    lists = [str(Path(path).absolute()) for path in index.options.lists]
    root = str((index.source or index.root).absolute())
    return {"name": index.name, "root": root, **to_dict(index.options), "lists": lists}


def _package_versions() -> dict[str, str]:
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed under this name"
    return versions

"""Cache of an index of clips: created, or checked to be of these clips and models, and extended."""

import dataclasses
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.collection import paused_collection
from pipeline.config import from_dict, to_dict
from pipeline.datasets import read_dataset
from pipeline.errors import CacheError, CacheExistsError, DatasetError, WeightsError, counted, some
from pipeline.file_status import FileStatus
from pipeline.fingerprint import differences
from pipeline.portable import located, portable
from pipeline.process import (
    METHODS,
    ExtractConfig,
    identity_differences,
    method_of,
    version_differences,
    without_weights,
)
from pipeline.runner.clip_matching import OTHER_CACHE, match
from pipeline.runner.model_metadata import ModelInfo
from pipeline.store.clip_table import num_groups, replace_table, table_of
from pipeline.store.location import Location
from pipeline.store.meta import RANDOM_WEIGHTS, CacheMeta
from pipeline.store.reader import FeatureCache
from pipeline.store.sources import SourceChanges, compare_sources, size_of
from pipeline.store.writer import CacheWriter, remove_partial_chunks
from pipeline.types import ClipRef, DatasetIndex, ReadOptions

_PACKAGES = ("torch", "torchvision", "open_clip_torch", "av", "opencv-python-headless", "zarr", "numpy")
_NAMED, _METHOD = 5, "track.method"
_OTHER_PROGRAM = "Use the program that made it, or give another --cache."
_DEFAULTS = ReadOptions()
_NO_STATUS = np.empty(0, dtype=np.uint8)


@dataclass(frozen=True, kw_only=True)
class Opening:
    """State of a cache at the start of a run.

    Attributes:
        meta: Its attributes, after it is created or extended.
        table: Its clip table, after it is created or extended.
        clips: Clips by row; None for a row that is not in the dataset as read now.
        num_new: Number of rows at the end that the cache does not have yet.
        status: Stored status [clips that the cache had]; empty for a new cache.
        notes: Notes for the user, such as missing files.
    """

    meta: CacheMeta
    table: Mapping[str, npt.NDArray[Any]]
    clips: tuple[ClipRef | None, ...]
    num_new: int
    status: npt.NDArray[Any]
    notes: tuple[str, ...] = ()


def open_cache(
    index: DatasetIndex, config: ExtractConfig, info: ModelInfo, place: Location, *, may_grow: bool = True
) -> Opening:
    """Create the cache of this index and these models, or check that an existing one matches them.

    Clips that a cache does not have yet are appended to it.

    Args:
        index: The clips.
        config: The settings of all steps.
        info: The models.
        place: Location of the cache.
        may_grow: Whether clips may be appended; False while other runs fill the same cache.

    Returns:
        The state of the cache.

    Raises:
        CacheError: The cache has other settings, models or clips; the message names each difference. Or new
            clips may not be appended.
        DatasetError: The dataset has no boxes or crops, but `faces.source` names them, or it names subjects
            that these settings cannot follow.
        WeightsError: Random weights replace those of a model, which is allowed for timing only.
    """
    if info.stand_ins:
        msg = f"No cache is created with random weights in the place of those of {some(info.stand_ins)}."
        raise WeightsError(msg)
    found = checked(index, config, info, place)
    if not place.exists():
        try:
            CacheWriter.create(place, found.meta, found.table)
        except CacheExistsError:
            found = checked(index, config, info, place)  # another shard of the same job created it
        else:
            return found
    if found.num_new:
        if not may_grow:
            msg = (
                f"{found.num_new} clips are not in '{place}' yet, and a shard (--blocks) cannot append them. "
                "Run extract once without --blocks (--limit 1 is enough), and then the shards."
            )
            raise CacheError(msg)
        found = replace(found, meta=replace_table(place, found.meta, found.table))
    remove_partial_chunks(place)
    return found


def require_same_settings(info: ModelInfo, place: Location) -> None:
    """Raise CacheError if an existing cache has other settings, as far as they are known.

    It is called before models are loaded, so that a run that is rejected downloads no weights.

    Args:
        info: The models, which need not be loaded.
        place: Location of the cache.
    """
    if place.exists() and not place.is_hdf5:
        with FeatureCache.open(place) as cache:
            _require_identified(cache)
            there = cache.meta.identity if info.has_weights else without_weights(cache.meta.identity)
            if found := identity_differences(info.identity, there):
                raise _made_otherwise(cache, found, OTHER_CACHE)


def checked(index: DatasetIndex, config: ExtractConfig, info: ModelInfo, place: Location) -> Opening:
    """Return the state of the cache of this index and these models, and check an existing one.

    Args:
        index: The clips.
        config: The settings of all steps.
        info: The models.
        place: Location of the cache, which may not exist.

    Raises:
        CacheError: It has other settings, models or clips, or is an HDF5 file.
        DatasetError: The dataset has no boxes or crops, but `faces.source` names them, or it names subjects
            that these settings cannot follow.
    """
    _refuse_hdf5(place)
    require_provided_faces(index, config)
    require_followed_subjects(index, config)
    with paused_collection():
        if not place.exists():
            meta, clips = describe(index, config, info), index.clips
            return Opening(
                meta=meta, table=table_of(clips, index), clips=clips, num_new=len(clips), status=_NO_STATUS
            )
        with FeatureCache.open(place) as cache:
            return compared(index, config, info, cache, cache.read)


def compared(
    index: DatasetIndex,
    config: ExtractConfig,
    info: ModelInfo,
    cache: FeatureCache,
    read: Callable[[str], npt.NDArray[Any]],
) -> Opening:
    """Check an open cache as `checked` does, and return its state.

    Args:
        index: The clips.
        config: The settings of all steps.
        info: The models.
        cache: The open cache.
        read: Function that returns the array `status` or `source_bytes`, where the cache's may be damaged.

    Raises:
        CacheError: The cache has other settings, models or clips.
    """
    _require_identified(cache)
    meta = describe(index, config, info)
    there = cache.meta.identity if info.has_weights else without_weights(cache.meta.identity)
    found = identity_differences(meta.identity, there)
    found += differences({"dataset": meta.dataset}, {"dataset": cache.meta.dataset})
    matched = match(index, cache)
    found += matched.differences
    status = read("status")
    sources = _sources(index, matched.clips[: cache.meta.num_clips], cache, read("source_bytes"), status)
    found += [text for text in [sources.difference] if text]
    if found:
        raise _made_otherwise(cache, found, matched.remedy)
    notes = (*matched.notes, *sources.notes)
    if not matched.num_new:
        return Opening(
            meta=cache.meta, table=matched.table, clips=matched.clips, num_new=0, status=status, notes=notes
        )
    warnings = tuple(dict.fromkeys(map(portable, (*cache.meta.warnings, *meta.warnings))))
    grown = replace(
        cache.meta,
        num_clips=len(matched.clips),
        num_groups=num_groups(matched.table),
        warnings=warnings,
        config=meta.config,
    )
    return Opening(
        meta=grown,
        table=matched.table,
        clips=matched.clips,
        num_new=matched.num_new,
        status=status,
        notes=notes,
    )


def _require_identified(cache: FeatureCache) -> None:
    if not cache.meta.is_identified:
        msg = (
            f"'{cache.place}' is damaged: its attribute 'fingerprint' is not the hash of 'identity'. "
            "Restore it, or extract again into another --cache."
        )
        raise CacheError(msg)


def _made_otherwise(cache: FeatureCache, found: Collection[str], remedy: str) -> CacheError:
    method = method_of(cache.meta.identity)
    if version_differences(cache.meta.identity):
        remedy = _OTHER_PROGRAM
    elif any(line.startswith(_METHOD) for line in found) and method in METHODS:
        remedy = f"To continue it as it was begun, add --set {_METHOD}={method}. {remedy}"
    return CacheError(f"'{cache.place}' was made differently: {some(found, _NAMED, '; ')}. {remedy}")


def dataset_of(
    cache: FeatureCache,
    root: Path | None = None,
    *,
    name: str | None = None,
    options: ReadOptions | None = None,
) -> DatasetIndex:
    """Read the dataset of a cache again.

    Args:
        cache: The open cache.
        root: Path of the dataset; None for its path at extraction.
        name: Name of the dataset; None for the cache's.
        options: Options of reading; None for those of the extraction.

    Raises:
        DatasetError: The dataset does not exist or cannot be read.
        CacheError: The cache does not contain the settings of its dataset.
    """
    where = root or Path(located(cache.setting("config.dataset.root", str)))
    return read_dataset(name or cache.meta.dataset, where, options or read_as(cache))


def read_as(cache: FeatureCache, asked: ReadOptions = _DEFAULTS) -> ReadOptions:
    """Return the options with which the dataset of a cache was read, with changes.

    Args:
        cache: The open cache.
        asked: Options to change. New lists also reset the label order, because it belongs to lists.

    Raises:
        CacheError: The cache does not contain these options.
    """
    stored = cache.setting("config.dataset", dict)
    names = [field.name for field in dataclasses.fields(ReadOptions)]
    then = from_dict(ReadOptions, {name: stored[name] for name in names if name in stored}, "config.dataset.")
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
    there: npt.NDArray[Any],
    status: npt.NDArray[Any],
) -> SourceChanges:
    rows = [row for row, clip in enumerate(clips) if clip is not None]
    known = [clip for clip in clips if clip is not None]
    with_crops = cache.meta.takes_crops
    files = FileStatus(index.root)
    sizes = np.array([size_of(files, clip, with_crops=with_crops) for clip in known], dtype=np.int64)
    return compare_sources([clip.clip_id for clip in known], sizes, there[rows], status[rows])


def require_provided_faces(index: DatasetIndex, config: ExtractConfig) -> None:
    """Raise DatasetError if no clip has the boxes or face crops that `faces.source` names."""
    if config.faces.source == "boxes" and not any(clip.provided_boxes for clip in index.clips):
        msg = (
            f"--faces boxes, but no clip of '{index.root}' has a box; add the columns x0, y0, x1, y1 "
            "or boxes to the manifest, or replace --faces boxes by --faces detector."
        )
        raise DatasetError(msg)
    if config.faces.takes_crops and not any(clip.face_path for clip in index.clips):
        msg = (
            f"--faces crops, but no clip of '{index.root}' has face crops; replace --faces crops by "
            "--faces detector."
        )
        raise DatasetError(msg)


def require_followed_subjects(index: DatasetIndex, config: ExtractConfig) -> None:
    """Raise DatasetError if the dataset names the subject of a clip, and the settings cannot follow it."""
    named = [clip.clip_id for clip in index.clips if clip.subject]
    if named and (why := config.why_subject_is_fixed):
        msg = (
            f"'{index.root}' names the subject of {counted(len(named), 'clip')} (columns subject_...), first "
            f"'{named[0]}', and {why}, or remove these columns."
        )
        raise DatasetError(msg)


def _refuse_hdf5(place: Location) -> None:
    if place.is_hdf5:
        msg = (
            f"--cache '{place}' has the suffix of an HDF5 file; extraction writes Zarr, and `cache export` "
            "writes HDF5."
        )
        raise CacheError(msg)


def describe(index: DatasetIndex, config: ExtractConfig, info: ModelInfo) -> CacheMeta:
    """Return the attributes of a cache.

    Args:
        index: The clips.
        config: The settings of all steps.
        info: The models.
    """
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
        config={**config.to_stored(), "dataset": dataset_config(index)},
        warnings=tuple(warnings),
        packages=_package_versions(),
        command_line=(Path(sys.argv[0]).name, *sys.argv[1:]),
    )


def dataset_config(index: DatasetIndex) -> dict[str, Any]:
    """Return the settings from which `dataset_of` reads the dataset again."""
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

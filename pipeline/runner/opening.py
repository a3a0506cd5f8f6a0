"""A cache for an index of clips: created, or found to be the same and gone on with."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.config import to_dict
from pipeline.errors import CacheError, CacheExistsError, DatasetError
from pipeline.fingerprint import differences
from pipeline.process import ExtractConfig
from pipeline.runner.work import Brief
from pipeline.store.meta import RANDOM_WEIGHTS, CacheMeta
from pipeline.store.place import Place
from pipeline.store.reader import FeatureCache
from pipeline.store.sources import SourceChanges, compare_sources
from pipeline.store.writer import CacheWriter, sweep
from pipeline.types import DatasetIndex

_PACKAGES = ("torch", "torchvision", "open_clip_torch", "av", "opencv-python-headless", "zarr", "numpy")
_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class Opening:
    """A cache as a run finds it. meta, static: as it is, or would be when it is created.

    notes: what a user should know, such as files that are gone.
    """

    meta: CacheMeta
    static: dict[str, npt.NDArray[Any]]
    notes: tuple[str, ...] = ()


def open_cache(index: DatasetIndex, config: ExtractConfig, brief: Brief, place: Place) -> Opening:
    """Create the cache of this index and these models, or check that the one there is the same.

    Raises CacheError when it was made otherwise or from other clips, naming each difference.
    """
    found = checked(index, config, brief, place)
    if not place.exists():
        try:
            CacheWriter.create(place, found.meta, found.static)
        except CacheExistsError:
            found = checked(index, config, brief, place)  # another share of the same job was quicker
    sweep(place)
    return found


def checked(index: DatasetIndex, config: ExtractConfig, brief: Brief, place: Place) -> Opening:
    """What the cache of this index and these models is, once nothing speaks against it."""
    _refuse_hdf5(place)
    _require_boxes(index, config)
    if not place.exists():
        return Opening(meta=describe(index, config, brief), static=static_rows(index))
    with FeatureCache.open(place) as cache:
        return compared(index, config, brief, cache, cache.read)


def compared(
    index: DatasetIndex,
    config: ExtractConfig,
    brief: Brief,
    cache: FeatureCache,
    read: Callable[[str], npt.NDArray[Any]],
) -> Opening:
    """The cache, once it is found to be of this index and these models; refused as by `checked`.

    read: gives the arrays `status` and `source_bytes`, of which some may be damaged.
    """
    meta, static = describe(index, config, brief), static_rows(index)
    sources = SourceChanges()
    if cache.meta.num_clips == len(index.clips):
        sources = _sources(index, read("source_bytes"), read("status"))
    _refuse_other(cache, meta, static, sources.difference)
    return Opening(meta=cache.meta, static=static, notes=sources.notes)


def _sources(
    index: DatasetIndex, bytes_there: npt.NDArray[np.int64], status: npt.NDArray[np.uint8]
) -> SourceChanges:
    sizes = np.array([_size_bytes(index.root / clip.path) for clip in index.clips], dtype=np.int64)
    ids = [clip.clip_id for clip in index.clips]
    return compare_sources(ids, sizes, bytes_there, status)


def _require_boxes(index: DatasetIndex, config: ExtractConfig) -> None:
    if config.detector.name == "boxes" and not any(clip.given_boxes for clip in index.clips):
        msg = (
            f"--detector boxes, but no clip of '{index.root}' brings a box; add the columns x0, y0, x1, y1 "
            "or boxes to the manifest, or choose another detector."
        )
        raise DatasetError(msg)


def _refuse_hdf5(place: Place) -> None:
    if place.is_hdf5:
        msg = f"--cache '{place}' names an HDF5 file; extraction writes Zarr, `cache export` makes HDF5."
        raise CacheError(msg)


def describe(index: DatasetIndex, config: ExtractConfig, brief: Brief) -> CacheMeta:
    """The attributes of a cache of this index, made with these models."""
    encoder = config.encoder
    warnings = []
    if encoder.weights == RANDOM_WEIGHTS:
        warnings.append(
            f"RANDOM ENCODER WEIGHTS (seed {encoder.seed}): {encoder.name} was "
            "never trained; results from this cache say nothing about the method."
        )
    return CacheMeta(
        dataset=index.name,
        class_names=index.class_names,
        fold_names=index.fold_names,
        num_clips=len(index.clips),
        block_clips=brief.block_clips,
        num_views=config.frames.num_views,
        num_frames=config.frames.num_frames,
        embed_width=brief.embed_width,
        encoder_width=brief.encoder_width,
        num_tokens=brief.num_tokens,
        encoder_name=encoder.name,
        encoder_weights=encoder.weights,
        encoder_sha256=brief.visual_sha256,
        text_sha256=brief.text_sha256,
        identity=brief.identity,
        fingerprint=brief.fingerprint,
        config={
            **to_dict(config),
            "dataset": {"name": index.name, "root": str((index.source or index.root).absolute())},
        },
        warnings=tuple(warnings),
        packages=_package_versions(),
        command_line=tuple(sys.argv),
    )


def static_rows(index: DatasetIndex) -> dict[str, npt.NDArray[Any]]:
    """The arrays that are known before any clip is opened."""
    clips = index.clips
    return {
        "clip_id": np.array([clip.clip_id for clip in clips], dtype=object),
        "path": np.array([clip.path for clip in clips], dtype=object),
        "start_seconds": np.array([clip.start_seconds or 0.0 for clip in clips]),
        "end_seconds": np.array([-1.0 if clip.end_seconds is None else clip.end_seconds for clip in clips]),
        "given_boxes_sha256": np.array(
            [clip.given_boxes.sha256() if clip.given_boxes else "" for clip in clips], dtype=object
        ),
        "label": np.array([clip.label for clip in clips], dtype=np.int16),
        "polarity": np.array([clip.polarity for clip in clips], dtype=np.int8),
        "membership": np.array([clip.splits for clip in clips], dtype=np.uint8),
    }


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _package_versions() -> dict[str, str]:
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed under this name"
    return versions


def _refuse_other(
    cache: FeatureCache, meta: CacheMeta, static: dict[str, npt.NDArray[Any]], changed_files: str
) -> None:
    found = differences(meta.identity, cache.meta.identity)
    names = ("dataset", "class_names", "fold_names", "num_clips")
    found += differences(
        {name: getattr(meta, name) for name in names}, {name: getattr(cache.meta, name) for name in names}
    )
    if meta.num_clips == cache.meta.num_clips:
        found += _static_differences(cache, static) or [text for text in [changed_files] if text]
    if found:
        more = f" (and {len(found) - _NAMED} more)" if len(found) > _NAMED else ""
        msg = (
            f"'{cache.place}' was made otherwise: {'; '.join(found[:_NAMED])}{more}. "
            "Give another --cache, or the settings it was made with."
        )
        raise CacheError(msg)


def _static_differences(cache: FeatureCache, static: dict[str, npt.NDArray[Any]]) -> list[str]:
    """Which clips differ, and in what; when their ids do, the rest says nothing and is left out."""
    found = []
    for name in ("clip_id", *(name for name in static if name != "clip_id")):
        here, there = static[name].tolist(), cache.read(name).tolist()
        rows = [row for row, pair in enumerate(zip(here, there, strict=True)) if pair[0] != pair[1]]
        if rows:
            row = rows[0]
            clip = static["clip_id"][row]
            found.append(f"{name} of {len(rows)} clips, first '{clip}': {here[row]} here, {there[row]} there")
            if name == "clip_id":
                break
    return found

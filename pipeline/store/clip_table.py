"""New labels, or more clips, for an existing cache: a new clip table, then one write that refers to it."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from pipeline.errors import CacheError
from pipeline.store.create import Rows, table_values, write_table
from pipeline.store.location import Location
from pipeline.store.meta import CacheMeta, table_name
from pipeline.store.reader import FeatureCache
from pipeline.types import ClipRef, DatasetIndex

LABELLING = ("label", "polarity", "membership", "votes", "group")
"""Arrays of the clip table that do not affect features."""


def table_of(clips: Sequence[ClipRef], index: DatasetIndex) -> dict[str, npt.NDArray[Any]]:
    """Return the clip table of clips of an index, which holds every array known before a clip is opened.

    Args:
        clips: The clips, in the order of their rows.
        index: The dataset, for its classes and folds.

    Returns:
        Arrays by name, [N, ...], with shapes and units of the schema; times in seconds.
    """
    num_classes, num_folds = len(index.class_names), len(index.fold_names)
    votes = np.full((len(clips), num_classes), np.nan, dtype=np.float32)
    for row, clip in enumerate(clips):
        if clip.votes is not None and (total := sum(clip.votes)):
            votes[row] = [count / total for count in clip.votes]
    return {
        "clip_id": _texts(clip.clip_id for clip in clips),
        "path": _texts(clip.path for clip in clips),
        "face_path": _texts(clip.face_path or "" for clip in clips),
        "start_seconds": np.array([clip.start_seconds or 0.0 for clip in clips], dtype=np.float64),
        "end_seconds": np.array(
            [-1.0 if clip.end_seconds is None else clip.end_seconds for clip in clips], dtype=np.float64
        ),
        "given_boxes_sha256": _texts(clip.given_sha256 for clip in clips),
        "label": np.array([clip.label for clip in clips], dtype=np.int16),
        "polarity": np.array([clip.polarity for clip in clips], dtype=np.int8),
        "membership": np.array([clip.splits for clip in clips], dtype=np.uint8).reshape(
            len(clips), num_folds
        ),
        "votes": votes,
        "group": _texts(clip.group for clip in clips),
    }


def num_groups(table: Rows) -> int:
    """Return the number of groups of a clip table, for the cache's attribute ``num_groups``."""
    return len(set(table["group"].tolist()) - {""})


def _texts(values: Iterable[str]) -> npt.NDArray[Any]:
    return np.array(list(values), dtype=object)


def replace_table(place: Location, meta: CacheMeta, static: Rows) -> CacheMeta:
    """Replace the clip table by one of as many clips or more. All of it takes effect at once.

    Features do not change, and new clips are pending. The previous table is kept for processes that are
    reading it, and older ones are removed. The caller holds the cache's lock.

    Args:
        place: Location of the cache.
        meta: New attributes. The number of the table is ignored.
        static: New clip table, as for `CacheWriter.create`.

    Returns:
        The attributes as stored.

    Raises:
        CacheError: The cache would lose clips, or the disk fails. The cache is then unchanged.
    """
    with FeatureCache.open(place) as cache:
        there = cache.meta
    if meta.num_clips < there.num_clips:
        msg = f"'{place}' holds {there.num_clips} clips; a table of {meta.num_clips} would lose some."
        raise CacheError(msg)
    meta = replace(meta, clip_table=there.clip_table + 1)
    meta.require_bounds(str(place))
    values = table_values(meta, static)
    with place.translate_errors("could not get a new clip table", "It is unchanged; fix that and run again."):
        group = zarr.open_group(place.zarr_store(read_only=False), mode="r+", zarr_format=3)
        for name in _tables(group) - {table_name(there.clip_table)}:
            del group[name]  # an older table, or one that a killed run left half written
        for spec in meta.arrays():
            if spec.per_block and group[spec.name].shape[0] < meta.num_clips:  # type: ignore[union-attr]
                group[spec.name].resize(meta.shape(spec))  # type: ignore[union-attr]
        write_table(group, meta, values)
        group.update_attributes(meta.to_attributes())
    return meta


def _tables(group: zarr.Group) -> set[str]:
    return {name for name in group.group_keys() if name.startswith(table_name(0)[:-1])}

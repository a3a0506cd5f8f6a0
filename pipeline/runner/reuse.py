"""An earlier cache whose features a run uses again, for `extract --reuse`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy.typing as npt

from pipeline.errors import CacheDamagedError, CacheError, some
from pipeline.process import identity_differences
from pipeline.store.location import Location
from pipeline.store.meta import CacheMeta
from pipeline.store.reader import FeatureCache
from pipeline.store.rows import earlier_clip
from pipeline.types import ClipRef, EarlierClip

_MAY_DIFFER = ("shots", "detector", "faces", "people", "track", "tracks")
_STREAMS_MAY_DIFFER = ("streams.absent_face", "streams.absent_scene")
_NAMED = 5
_FARTHEST = 4
"""Rows per clip up to which the rows between the clips of a block are read with them."""


@dataclass(frozen=True, kw_only=True)
class EarlierRows:
    """Rows of an earlier cache with the clips of a block."""

    cache: str
    """Its location."""
    rows: tuple[int, ...]
    """Row of each clip; -1 for a clip that it does not have."""

    def only(self, places: Sequence[int]) -> "EarlierRows":
        """Return the rows of some clips, by their places."""
        return EarlierRows(cache=self.cache, rows=tuple(self.rows[place] for place in places))

    def read(self) -> list[EarlierClip | None]:
        """Return the clips; None for those that are not there, not done, or read with a damaged chunk.

        Raises CacheError if the cache is gone.
        """
        there = [row for row in self.rows if row >= 0]
        if not there:
            return [None] * len(self.rows)
        with FeatureCache.open(self.cache) as cache:
            first, end = min(there), max(there) + 1
            try:
                if end - first > _FARTHEST * len(there):  # another order of clips: one chunk after the other
                    spans = {row: _span(cache, row, row + 1) for row in there}
                    return [None if row < 0 else _clip(spans[row], 0) for row in self.rows]
                span = _span(cache, first, end)
            except CacheDamagedError:
                return [None] * len(self.rows)
            return [None if row < 0 else _clip(span, row - first) for row in self.rows]


@dataclass(frozen=True, kw_only=True)
class EarlierCache:
    """An earlier cache that fits a run."""

    place: Location
    """Its location."""
    row_of: Mapping[str, int]
    """Row of each finished clip, by its id."""

    @classmethod
    def open(cls, place: Location, identity: Mapping[str, Any], meta: CacheMeta) -> Self:
        """Open an earlier cache, and check that equal boxes mean equal features.

        Args:
            place: Its location.
            identity: The identity of the features that the run computes.
            meta: The attributes of the run's cache.

        Raises:
            CacheError: There is no such cache, or other settings than those of shots, detection, people and
                tracks differ. Or face crops of a dataset were used in one of both, whose boxes are not known.
        """
        with FeatureCache.open(place) as cache:
            found = [
                line for line in identity_differences(identity, cache.meta.identity) if not _may_differ(line)
            ]
            found += [
                f"{name}: {getattr(meta, name)} here, {getattr(cache.meta, name)} there"
                for name in ("num_tokens", "takes_crops")
                if getattr(meta, name) != getattr(cache.meta, name)
            ]
            if found:
                msg = (
                    f"--reuse '{place}' has other features: {some(found, _NAMED, '; ')}. Only shots, "
                    "detector, people and tracks may differ; leave --reuse out, or use these settings."
                )
                raise CacheError(msg)
            rows = cache.done_rows()
            ids = cache.read("clip_id")[rows].tolist()
        return cls(place=place, row_of=dict(zip(ids, rows.tolist(), strict=True)))

    def rows_of(self, clips: Sequence[ClipRef]) -> EarlierRows:
        """Return its rows with these clips."""
        return EarlierRows(
            cache=str(self.place), rows=tuple(self.row_of.get(clip.clip_id, -1) for clip in clips)
        )


def _may_differ(line: str) -> bool:
    """Return whether a difference between identities leaves features equal where boxes are equal."""
    setting = line.partition(":")[0]
    return setting.partition(".")[0] in _MAY_DIFFER or setting in _STREAMS_MAY_DIFFER


def _span(cache: FeatureCache, first: int, end: int) -> dict[str, npt.NDArray[Any]]:
    names = {spec.name for spec in cache.meta.arrays() if spec.per_block} | {"face_absence"}
    return {name: cache.read(name, first, end) for name in names}


def _clip(span: Mapping[str, npt.NDArray[Any]], row: int) -> EarlierClip:
    return earlier_clip({name: values[row] for name, values in span.items()})

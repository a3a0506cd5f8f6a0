"""Writing a feature cache: created whole, then filled block by block, each block owned by one writer."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import zarr
from zarr.storage import MemoryStore

from pipeline.errors import CacheError
from pipeline.own_dir import OwnDir
from pipeline.store.create import Rows, as_stored, create, create_blocks
from pipeline.store.litter import sweep_below
from pipeline.store.location import Place, Where
from pipeline.store.meta import CacheMeta
from pipeline.store.reader import FeatureCache, read_rows
from pipeline.store.schema import BY_NAME, ArraySpec

_LAST = "status"


class CacheWriter:
    """A feature cache, open for writing blocks of clips; several threads may write different blocks."""

    def __init__(self, place: Place, meta: CacheMeta, group: zarr.Group | None = None) -> None:
        self.place = place
        self.meta = meta
        with place.refusals_told("cannot be opened for writing"):
            group = group or zarr.open_group(place.zarr_store(read_only=False), mode="r+", zarr_format=3)
            self._arrays: dict[str, Any] = {spec.name: group[spec.name] for spec in self._block_specs()}

    @classmethod
    def in_memory(cls, meta: CacheMeta) -> Self:
        """Return a cache of empty blocks that this object alone holds, to measure how long writing takes."""
        return cls(Place("memory"), meta, create_blocks(MemoryStore(), meta))

    @classmethod
    def create(cls, where: Where, meta: CacheMeta, static: Rows) -> Self:
        """Create the cache with the arrays that are known beforehand; all of it appears at once.

        static: for every array of the schema that is not per block, its full value.
        Raises CacheExistsError when something already stands there, also when another process was
        quicker to create it.
        """
        place = Place.of(where)
        with place.refusals_told("could not be created"):
            create(place, meta, static)
        return cls(place, meta)

    @classmethod
    def resume(cls, where: Where) -> Self:
        """Open a cache that exists, checked as for reading."""
        with FeatureCache.open(where) as cache:
            return cls(cache.place, cache.meta)

    def block_bounds(self, start: int) -> tuple[int, int]:
        """First row and end row of the block that begins at row `start`."""
        if start % self.meta.block_clips or not 0 <= start < self.meta.num_clips:
            msg = f"No block begins at row {start}; one begins every {self.meta.block_clips} rows."
            raise CacheError(msg)
        return start, min(start + self.meta.block_clips, self.meta.num_clips)

    def empty_rows(self, start: int) -> dict[str, npt.NDArray[Any]]:
        """Return per-block arrays [clips of the block, ...] of fill values for the block at row `start`."""
        first, end = self.block_bounds(start)
        return {
            spec.name: np.full((end - first, *self.meta.shape(spec)[1:]), spec.fill, dtype=_numpy_type(spec))
            for spec in self._block_specs()
        }

    def read_block(self, start: int) -> dict[str, npt.NDArray[Any]]:
        """Return the per-block arrays [clips of the block, ...] that are stored for the block at row `start`.

        Raises:
            CacheError: One of them is damaged.
        """
        first, end = self.block_bounds(start)
        return {
            spec.name: read_rows(self.place, self._arrays[spec.name], spec, first, end).copy()
            for spec in self._block_specs()
        }

    def mark_pending(self, start: int, places: Sequence[int]) -> None:
        """Take back the status of some rows of a block, before they are written anew.

        Raises CacheError when their status cannot be read, or when the disk refuses.
        """
        first, end = self.block_bounds(start)
        status = read_rows(self.place, self._arrays[_LAST], BY_NAME[_LAST], first, end).copy()
        if status[list(places)].any():
            status[list(places)] = BY_NAME[_LAST].fill
            with self._refusals_told(first, end):
                self._arrays[_LAST][first:end] = status

    def write_block(self, start: int, rows: Rows) -> None:
        """Write all per-block arrays of one block, `status` last: a block is there wholly or not at all.

        Raises CacheError when the disk refuses; what the block held before then still counts.
        """
        first, end = self.block_bounds(start)
        with self._refusals_told(first, end):
            for spec in sorted(self._block_specs(), key=lambda spec: spec.name == _LAST):
                shape = (end - first, *self.meta.shape(spec)[1:])
                self._arrays[spec.name][first:end] = as_stored(spec, rows[spec.name], shape)

    def reset_block(self, start: int) -> None:
        """Take back all of a block, status first: its clips are pending again, whatever was damaged."""
        first, end = self.block_bounds(start)
        rows = self.empty_rows(start)
        with self._refusals_told(first, end):
            for spec in sorted(self._block_specs(), key=lambda spec: spec.name != _LAST):
                self._arrays[spec.name][first:end] = rows[spec.name]

    def _refusals_told(self, first: int, end: int) -> AbstractContextManager[None]:
        """Turn a disk's or a bucket's refusal into a CacheError that names the clips."""
        return self.place.refusals_told(
            f"took no more, at clips {first} to {end - 1}",
            "Finished blocks are safe; mend that and run again.",
        )

    def _block_specs(self) -> list[ArraySpec]:
        return [spec for spec in self.meta.arrays() if spec.per_block]


def sweep(where: Where) -> None:
    """Remove half-written chunks of unfinished blocks, if too old for anybody to be writing them.

    In a bucket nothing is ever half written. Raises CacheError when the status cannot be read, and for a link
    in the place of a folder of the cache.
    """
    with FeatureCache.open(where) as cache:
        place, meta = cache.place, cache.meta
        if not place.is_local:
            return
        pending = np.flatnonzero(cache.read(_LAST) == BY_NAME[_LAST].fill)
    unfinished = {str(block) for block in np.unique(pending // meta.block_clips)}
    with place.refusals_told("cannot be swept"):
        for spec in meta.arrays():
            if spec.per_block:
                chunks = OwnDir.of(place.path) / spec.name / "c"
                sweep_below(chunks, ".partial", lambda name: name.partition(".")[0] in unfinished)


def _numpy_type(spec: ArraySpec) -> Any:
    return object if spec.dtype == "str" else np.dtype(spec.dtype)

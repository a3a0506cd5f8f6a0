"""Writer of a feature cache, which is created at once and then filled block by block."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import zarr
from zarr.storage import MemoryStore

from pipeline.errors import CacheError
from pipeline.own_dir import OwnDir
from pipeline.store.at_once import all_at_once
from pipeline.store.create import Rows, as_stored, create, create_blocks
from pipeline.store.location import Location, LocationLike
from pipeline.store.meta import CacheMeta
from pipeline.store.partial_files import remove_below
from pipeline.store.reader import FeatureCache, read_rows
from pipeline.store.schema import BY_NAME, ArraySpec

_LAST = "status"


class CacheWriter:
    """Feature cache that is open for writing blocks of clips. Several threads may write different blocks."""

    def __init__(self, place: Location, meta: CacheMeta, group: zarr.Group | None = None) -> None:
        self.place = place
        self.meta = meta
        with place.translate_errors("cannot be opened for writing"):
            group = group or zarr.open_group(place.zarr_store(read_only=False), mode="r+", zarr_format=3)
            names = [spec.name for spec in self._block_specs()]
            found = all_at_once(place, [partial(group.__getitem__, name) for name in names])
            self._arrays: dict[str, Any] = dict(zip(names, found, strict=True))

    @classmethod
    def in_memory(cls, meta: CacheMeta) -> Self:
        """Return a cache of empty blocks in memory, for measuring the time of writing."""
        return cls(Location("memory"), meta, create_blocks(MemoryStore(), meta))

    @classmethod
    def create(cls, where: LocationLike, meta: CacheMeta, static: Rows) -> Self:
        """Create a cache with its clip table. It appears completely or not at all.

        Args:
            where: Its location.
            meta: Its attributes.
            static: Full value of every array of the schema that is not per block, by name.

        Raises:
            CacheExistsError: Something is already there, perhaps because another process was faster.
            CacheError: The disk or the bucket fails, the bucket holds other objects, or the cache is too
                large.
        """
        place = Location.of(where)
        with place.translate_errors("could not be created"):
            create(place, meta, static)
        return cls(place, meta)

    @classmethod
    def resume(cls, where: LocationLike) -> Self:
        """Open an existing cache, with the checks of reading."""
        with FeatureCache.open(where) as cache:
            return cls(cache.place, cache.meta)

    def block_bounds(self, start: int) -> tuple[int, int]:
        """Return the first row, and the row after the last, of the block that begins at row `start`.

        Raises CacheError if no block begins there.
        """
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
        specs = self._block_specs()
        parts = all_at_once(
            self.place,
            [partial(read_rows, self.place, self._arrays[spec.name], spec, first, end) for spec in specs],
        )
        return {spec.name: part.copy() for spec, part in zip(specs, parts, strict=True)}

    def read_status(self, start: int) -> npt.NDArray[Any]:
        """Return the stored status [clips of the block] of the block at row `start`.

        Raises CacheError if it cannot be read.
        """
        first, end = self.block_bounds(start)
        return read_rows(self.place, self._arrays[_LAST], BY_NAME[_LAST], first, end).copy()

    def mark_pending(self, start: int, places: Sequence[int]) -> None:
        """Set some rows of a block to pending, before they are written again.

        Raises CacheError if their status cannot be read, or the disk fails.
        """
        first, end = self.block_bounds(start)
        status = self.read_status(start)
        if status[list(places)].any():
            status[list(places)] = BY_NAME[_LAST].fill
            with self._translate_errors(first, end):
                self._arrays[_LAST][first:end] = status

    def write_block(self, start: int, rows: Rows) -> None:
        """Write all per-block arrays of one block, `status` last, so that no half-written block counts.

        In a bucket, all arrays but `status` are written at the same time.

        Raises CacheError if the disk or the bucket fails. The previous status of the block is then still
        stored.
        """
        first, end = self.block_bounds(start)
        status, others = self._stores(first, end, rows)
        with self._translate_errors(first, end):
            all_at_once(self.place, others)
            status()

    def reset_block(self, start: int) -> None:
        """Write fill values to a block, status first, so that its clips are pending again."""
        first, end = self.block_bounds(start)
        rows = self.empty_rows(start)
        status, others = self._stores(first, end, rows)
        with self._translate_errors(first, end):
            status()
            all_at_once(self.place, others)

    def _stores(
        self, first: int, end: int, rows: Rows
    ) -> tuple[Callable[[], None], list[Callable[[], None]]]:
        """Return the functions that write the status, and every other array, of a block."""
        stores = {
            spec.name: partial(self._store, spec, first, end, rows[spec.name]) for spec in self._block_specs()
        }
        return stores.pop(_LAST), list(stores.values())

    def _store(self, spec: ArraySpec, first: int, end: int, values: npt.NDArray[Any]) -> None:
        """Write the rows of a block into one array."""
        shape = (end - first, *self.meta.shape(spec)[1:])
        self._arrays[spec.name][first:end] = as_stored(spec, values, shape)

    def _translate_errors(self, first: int, end: int) -> AbstractContextManager[None]:
        """Translate errors of a disk or a bucket into a CacheError that names the clips."""
        return self.place.translate_errors(
            f"could not be written, at clips {first} to {end - 1}",
            "Stored clips are safe; fix that and run again.",
        )

    def _block_specs(self) -> list[ArraySpec]:
        return [spec for spec in self.meta.arrays() if spec.per_block]


def remove_partial_chunks(where: LocationLike) -> None:
    """Remove half-written chunks of unfinished blocks that are so old that no running writer can own them.

    A bucket has no half-written objects. Raises CacheError if the status cannot be read, and for a link in
    the place of a directory of the cache.
    """
    if not Location.of(where).is_local:
        return
    with FeatureCache.open(where) as cache:
        place, meta = cache.place, cache.meta
        pending = np.flatnonzero(cache.read(_LAST) == BY_NAME[_LAST].fill)
    unfinished = {str(block) for block in np.unique(pending // meta.block_clips)}
    with place.translate_errors("cannot be swept"):
        for spec in meta.arrays():
            if spec.per_block:
                chunks = OwnDir.of(place.path) / spec.name / "c"
                remove_below(chunks, ".partial", lambda name: name.partition(".")[0] in unfinished)


def _numpy_type(spec: ArraySpec) -> Any:
    return object if spec.dtype == "str" else np.dtype(spec.dtype)

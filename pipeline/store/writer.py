"""Writing a feature cache: created whole, then filled block by block, each block owned by one writer."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import zarr
from zarr.codecs import Crc32cCodec

from pipeline.errors import CacheError
from pipeline.store.reader import FeatureCache
from pipeline.store.schema import BY_NAME, ArraySpec, CacheMeta

Rows = Mapping[str, npt.NDArray[Any]]
_LAST = "status"


class CacheWriter:
    """A feature cache, open for writing blocks of clips."""

    def __init__(self, path: Path, meta: CacheMeta) -> None:
        self.path = path
        self.meta = meta
        self._group = zarr.open_group(path, mode="r+", zarr_format=3)

    @classmethod
    def create(cls, path: Path, meta: CacheMeta, static: Rows) -> Self:
        """Create the cache with the arrays that are known beforehand; all of it appears at once.

        static: for every array of the schema that is not per block, its full value.
        Raises CacheError when something already stands at `path`.
        """
        if path.exists():
            msg = f"'{path}' exists already; give another --cache, or remove it."
            raise CacheError(msg)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.creating")
        shutil.rmtree(partial, ignore_errors=True)
        group = zarr.create_group(partial, zarr_format=3, attributes=meta.to_attributes())
        for spec in meta.arrays():
            parent, _, _ = spec.name.rpartition("/")
            if parent:
                group.require_group(parent)
            array = _create_array(group, spec, meta)
            if not spec.per_block:
                array[...] = _as_stored(spec, static[spec.name], meta.shape(spec))
        partial.rename(path)
        return cls(path, meta)

    @classmethod
    def resume(cls, path: Path) -> Self:
        """Open a cache that exists, checked as for reading; litter of a killed writer is removed."""
        with FeatureCache.open(path) as cache:
            meta = cache.meta
        for litter in path.rglob("*.partial"):
            litter.unlink()
        return cls(path, meta)

    def block_bounds(self, start: int) -> tuple[int, int]:
        """First row and end row of the block that begins at row `start`."""
        if start % self.meta.block_clips or not 0 <= start < self.meta.num_clips:
            msg = f"No block begins at row {start}; one begins every {self.meta.block_clips} rows."
            raise CacheError(msg)
        return start, min(start + self.meta.block_clips, self.meta.num_clips)

    def empty_rows(self, start: int) -> dict[str, npt.NDArray[Any]]:
        """The per-block arrays of a block as they are before anything is known: fill values."""
        first, end = self.block_bounds(start)
        return {
            spec.name: np.full((end - first, *self.meta.shape(spec)[1:]), spec.fill, dtype=_numpy_type(spec))
            for spec in self._block_specs()
        }

    def read_block(self, start: int) -> dict[str, npt.NDArray[Any]]:
        """The per-block arrays of a block as they are stored now. Raises CacheError on damage."""
        first, end = self.block_bounds(start)
        rows = {}
        cache = FeatureCache.open(self.path)
        for spec in self._block_specs():
            stored = cache.read(spec.name, first, end)
            rows[spec.name] = stored.astype(object) if spec.dtype == "str" else stored.copy()
        return rows

    def mark_pending(self, start: int, places: Sequence[int]) -> None:
        """Take back the status of some rows of a block, before they are written anew.

        Raises CacheError when the disk refuses.
        """
        first, end = self.block_bounds(start)
        status = np.asarray(self._array(BY_NAME[_LAST])[first:end]).copy()
        if status[list(places)].any():
            status[list(places)] = BY_NAME[_LAST].fill
            with self._refusals_told(first, end):
                self._array(BY_NAME[_LAST])[first:end] = status

    def write_block(self, start: int, rows: Rows) -> None:
        """Write all per-block arrays of one block, `status` last: a block is there wholly or not at all.

        Raises CacheError when the disk refuses; what the block held before then still counts.
        """
        first, end = self.block_bounds(start)
        with self._refusals_told(first, end):
            for spec in sorted(self._block_specs(), key=lambda spec: spec.name == _LAST):
                shape = (end - first, *self.meta.shape(spec)[1:])
                self._array(spec)[first:end] = _as_stored(spec, rows[spec.name], shape)

    @contextmanager
    def _refusals_told(self, first: int, end: int) -> Iterator[None]:
        """Turn a disk's refusal into a CacheError that names the clips."""
        try:
            yield
        except OSError as error:
            msg = (
                f"Clips {first} to {end - 1} could not be written to '{self.path}': "
                f"{error.strerror or error}; finished blocks are safe. Mend that and run again."
            )
            raise CacheError(msg) from error

    def _array(self, spec: ArraySpec) -> Any:
        return self._group[spec.name]

    def _block_specs(self) -> list[ArraySpec]:
        return [spec for spec in self.meta.arrays() if spec.per_block]


def _create_array(group: zarr.Group, spec: ArraySpec, meta: CacheMeta) -> Any:
    shape = meta.shape(spec)
    first = min(meta.block_clips, meta.num_clips) if spec.per_block else meta.num_clips
    return group.create_array(
        spec.name,
        shape=shape,
        chunks=(first, *(max(1, size) for size in shape[1:])),
        dtype=str if spec.dtype == "str" else spec.dtype,
        fill_value=spec.fill,
        compressors=[Crc32cCodec()],
        dimension_names=spec.dims,
        attributes={"description": spec.doc},
    )


def _numpy_type(spec: ArraySpec) -> Any:
    return object if spec.dtype == "str" else np.dtype(spec.dtype)


def _as_stored(spec: ArraySpec, value: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """The value with the schema's type, refused when its shape or its type is not that of the schema."""
    if tuple(value.shape) != shape:
        msg = f"array '{spec.name}' was given shape {tuple(value.shape)}; {shape} is needed"
        raise ValueError(msg)
    if spec.dtype == "str":
        return value.astype(object)
    if not np.can_cast(value.dtype, spec.dtype, casting="same_kind"):
        msg = f"array '{spec.name}' was given type {value.dtype}; {spec.dtype} is needed"
        raise ValueError(msg)
    return value.astype(spec.dtype)

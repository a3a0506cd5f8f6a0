"""Creation of a cache with all its arrays, attributes and its clip table, completely or not at all."""

import secrets
import shutil
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
from zarr.abc.store import Store
from zarr.codecs import Crc32cCodec

from pipeline.errors import CacheError, CacheExistsError
from pipeline.store.location import Location
from pipeline.store.lock import creating
from pipeline.store.meta import CacheMeta
from pipeline.store.partial_files import remove_beside
from pipeline.store.schema import ArraySpec

Rows = Mapping[str, npt.NDArray[Any]]

_MARK = "creating.json"
_HALF_MADE = ".creating"


def create(place: Location, meta: CacheMeta, static: Rows) -> None:
    """Create a cache; see `CacheWriter.create`.

    Args:
        place: Its location.
        meta: Its attributes.
        static: Arrays of its clip table by name.

    Raises:
        CacheExistsError: Something is already there.
        CacheError: A bucket holds other objects, or the cache is too large.
        ValueError: An array has another shape or type than the schema.
        OSError: The disk fails.
    """
    if place.exists():
        raise CacheExistsError.at(str(place))
    meta.require_bounds(str(place))
    values = table_values(meta, static)
    if place.is_local:
        _create_folder(place, meta, values)
    else:
        with creating(place):
            _create_in_bucket(place, meta, values)


def _create_folder(place: Location, meta: CacheMeta, values: Rows) -> None:
    """Write into a directory beside it, and rename that. Only one of several creators succeeds."""
    path = place.path
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_beside(path, _HALF_MADE)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}{_HALF_MADE}")
    store = Location(str(partial)).zarr_store(read_only=False)
    try:
        _write(store, meta, values)
        partial.rename(path)
    except OSError as error:
        if path.exists():
            raise CacheExistsError.at(str(place)) from error
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _create_in_bucket(place: Location, meta: CacheMeta, values: Rows) -> None:
    """Write while a mark exists. It shows that a creator was killed, so that its objects are replaced."""
    store, objects = place.zarr_store(read_only=False), place.object_store()
    if place.read_object(_MARK) is not None:
        keys = [found["path"] for batch in objects.list() for found in batch]
        objects.delete([key for key in keys if key != _MARK])
    elif any(objects.list(chunk_size=1)):
        msg = f"'{place}' holds other objects; give another --cache, or remove them."
        raise CacheError(msg)
    objects.put(_MARK, b"{}")
    _write(store, meta, values)
    objects.delete(_MARK)


def _write(store: Store, meta: CacheMeta, values: Rows) -> None:
    """Write the arrays, then the attributes, because a group without attributes is not yet a cache."""
    group = create_blocks(store, meta)
    write_table(group, meta, values)
    group.update_attributes(meta.to_attributes())


def create_blocks(store: Store, meta: CacheMeta) -> zarr.Group:
    """Create a group with the empty arrays that are written block by block."""
    group = zarr.create_group(store, zarr_format=3)
    for spec in meta.arrays():
        if spec.per_block:
            _create_array(group, spec, meta)
    return group


def table_values(meta: CacheMeta, static: Rows) -> Rows:
    """Return the arrays of the clip table as they are stored. Raises ValueError for a wrong shape or type."""
    return {
        spec.name: as_stored(spec, static[spec.name], meta.shape(spec))
        for spec in meta.arrays()
        if not spec.per_block
    }


def write_table(group: zarr.Group, meta: CacheMeta, values: Rows) -> None:
    """Write a clip table.

    Args:
        group: Open group of the cache.
        meta: Attributes of the cache, with the number of the table.
        values: Result of `table_values`.
    """
    for spec in meta.arrays():
        if not spec.per_block:
            _create_array(group, spec, meta)[...] = values[spec.name]


def _create_array(group: zarr.Group, spec: ArraySpec, meta: CacheMeta) -> Any:
    parent, _, _ = meta.stored_name(spec).rpartition("/")
    if parent:
        group.require_group(parent)
    return group.create_array(
        meta.stored_name(spec),
        shape=meta.shape(spec),
        chunks=meta.chunks(spec),
        dtype=str if spec.dtype == "str" else spec.dtype,
        fill_value=spec.fill,
        compressors=[Crc32cCodec()],
        dimension_names=spec.dims,
        attributes={"description": spec.doc},
    )


def as_stored(spec: ArraySpec, value: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return a value with the dtype of the schema.

    Args:
        spec: The array.
        value: Its rows.
        shape: The shape that they must have.

    Raises:
        ValueError: The shape is another, or the dtype cannot be converted without changing its kind.
    """
    if tuple(value.shape) != shape:
        msg = f"array '{spec.name}' was given shape {tuple(value.shape)}; {shape} is needed"
        raise ValueError(msg)
    if spec.dtype == "str":
        return value.astype(object)
    if not np.can_cast(value.dtype, spec.dtype, casting="same_kind"):
        msg = f"array '{spec.name}' was given type {value.dtype}; {spec.dtype} is needed"
        raise ValueError(msg)
    return value.astype(spec.dtype)

"""Checks of a stored array before any of it is read, because caches come from other people.

Type, shape, byte order, codecs, chunks and names of chunks have to be those of the writer. A cache can
therefore not make a reader allocate more memory than by the schema's sizes, run another codec, or follow a
reference, and chunks that are read without zarr (`raw_chunks`) have the values that zarr reads.
"""

from typing import Any

import h5py
import numpy as np
import zarr

from pipeline.errors import CacheError
from pipeline.store.meta import MAX_CLIPS, CacheMeta
from pipeline.store.schema import ArraySpec

_CODECS = {"number": ["BytesCodec", "Crc32cCodec"], "text": ["VLenUTF8Codec", "Crc32cCodec"]}


def zarr_array(group: zarr.Group, spec: ArraySpec, meta: CacheMeta, where: str) -> Any:
    """Return an array of a Zarr group, checked to be stored as the writer stores it.

    Args:
        group: The open group of the cache.
        spec: The array.
        meta: Attributes of the cache, which give its sizes.
        where: Location of the cache, for messages.

    Raises:
        CacheError: The array is missing, or its type, shape, byte order, codecs, chunks or their
            names differ.
    """
    array: Any = group.get(meta.stored_name(spec))
    if not isinstance(array, zarr.Array):
        raise _missing(spec, where)
    clips, *shape = array.shape
    if spec.per_block and meta.num_clips < clips <= MAX_CLIPS:
        clips = meta.num_clips  # a run that was growing the cache was interrupted
    _require(spec, where, "shape", (clips, *shape), meta.shape(spec))
    _require(spec, where, "type", _type_name(array.dtype), spec.dtype)
    metadata: Any = array.metadata
    grid = getattr(metadata.chunk_grid, "chunk_shape", None)
    _require(spec, where, "chunks", grid, meta.chunks(spec))
    codecs = [type(codec).__name__ for codec in metadata.codecs]
    _require(spec, where, "codecs", codecs, _CODECS["text" if spec.dtype == "str" else "number"])
    if spec.dtype != "str" and np.dtype(spec.dtype).itemsize > 1:
        order = getattr(metadata.codecs[0].endian, "value", None)
        _require(spec, where, "byte order", order, "little")
    keys = metadata.chunk_key_encoding
    _require(spec, where, "chunk names", f"{keys.name} with '{keys.separator}'", "default with '/'")
    _require(spec, where, "storage transformers", len(metadata.storage_transformers), 0)
    return array


def hdf5_array(file: h5py.File, spec: ArraySpec, meta: CacheMeta, where: str) -> h5py.Dataset:
    """Return an array of an exported file, checked to be in the file itself, in one piece.

    Args:
        file: The open file.
        spec: The array.
        meta: Attributes of the cache, which give its sizes.
        where: Path of the file, for messages.

    Raises:
        CacheError: The array is missing, in chunks or in another file, or its type or shape differs.
    """
    found: Any = file
    for part in spec.name.split("/"):
        link = found.get(part, getlink=True) if isinstance(found, h5py.Group) else None
        if link is None:
            raise _missing(spec, where)
        if not isinstance(link, h5py.HardLink):
            kind = type(link).__name__
            msg = (
                f"{where}: '{spec.name}' is a reference ({kind}) to another place; nothing outside a cache "
                "is read. Export it again."
            )
            raise CacheError(msg)
        found = found.get(part)
    if not isinstance(found, h5py.Dataset):
        raise _missing(spec, where)
    _require(spec, where, "shape", found.shape, meta.shape(spec))
    text = h5py.check_string_dtype(found.dtype)
    name = "str" if text is not None and text.length is None else found.dtype.name
    _require(spec, where, "type", name, spec.dtype)
    pieces = "other files" if found.is_virtual or found.external else "chunks" if found.chunks else "the file"
    _require(spec, where, "place", pieces, "the file")
    if text is None:
        _require(spec, where, "bytes", found.id.get_storage_size(), found.nbytes)
    return found


def _type_name(dtype: Any) -> str:
    return "str" if isinstance(dtype, np.dtypes.StringDType) else str(dtype.name)


def _missing(spec: ArraySpec, where: str) -> CacheError:
    return CacheError(f"{where} has no array '{spec.name}'. The cache is damaged; extract it again.")


def _require(spec: ArraySpec, where: str, what: str, value: object, needed: object) -> None:
    if value != needed:
        msg = f"{where}: array '{spec.name}' has {what} {value}; {needed} is needed. The cache is damaged."
        raise CacheError(msg)

"""Direct reading of uncompressed chunks from their files, which is several times faster than zarr."""

from collections.abc import Callable
from typing import Any

import google_crc32c
import numpy as np
import numpy.typing as npt

from pipeline.store.sandboxed_store import ConfinedStore
from pipeline.store.schema import ArraySpec

_CHECKSUM_BYTES = 4
_LENGTH_BYTES = 4


class Scratch:
    """Reusable memory. Its content is valid until the next use."""

    def __init__(self) -> None:
        self._memory = np.empty(0, dtype=np.uint8)

    def __call__(self, size: int) -> memoryview:
        """Return `size` bytes of it."""
        if len(self._memory) < size:
            self._memory = np.empty(size, dtype=np.uint8)
        return self._memory[:size].data


def read_chunk(
    array: Any, spec: ArraySpec, start: int, end: int, scratch: Scratch
) -> npt.NDArray[Any] | None:
    """Read rows of one chunk of an array of numbers.

    Args:
        array: Zarr array that `checks.zarr_array` accepts.
        spec: Its entry in the schema.
        start: First row.
        end: Row after the last.
        scratch: Memory of the result.

    Returns:
        [end - start, ...] in `scratch`. None if zarr has to read the rows, because they are of several chunks
        or of texts, the chunk is not stored, or the store is no directory.

    Raises:
        ValueError: The chunk's length or checksum is wrong.
    """
    store = _store_of(array)
    if store is None or not spec.per_block or spec.dtype == "str":
        return None
    size = array.chunks[0]
    if start % size or not start < end <= start + size:
        return None
    content = _content(store, array, spec, start // size, scratch)
    if content is None:
        return None
    chunk = np.frombuffer(content, dtype=np.dtype(spec.dtype).newbyteorder("<")).reshape(array.chunks)
    rows: npt.NDArray[Any] = chunk[: end - start]
    return rows


def read_chunks(array: Any, spec: ArraySpec, start: int, end: int) -> npt.NDArray[Any] | None:
    """Read rows of any number of chunks of a per-block array.

    Rows of a chunk that is not stored are fill values.

    Args:
        array: Zarr array that `checks.zarr_array` accepts.
        spec: Its entry in the schema.
        start: First row.
        end: Row after the last.

    Returns:
        [end - start, ...]; text as an object array of `str`. None if zarr has to read the rows, because the
        store is no directory.

    Raises:
        ValueError: A chunk's length, checksum or text is wrong.
    """
    store = _store_of(array)
    if store is None or not spec.per_block or 0 in array.shape[1:] or not start < end:
        return None
    is_text, size = spec.dtype == "str", array.chunks[0]
    dtype = np.dtype(object if is_text else spec.dtype)
    rows = np.full((end - start, *array.shape[1:]), array.fill_value, dtype=dtype)
    for number in range(start // size, -(-end // size)):
        content = _content(store, array, spec, number, lambda length: memoryview(bytearray(length)))
        if content is None:
            continue
        if is_text:
            chunk: npt.NDArray[Any] = _texts(content, size)
        else:
            chunk = np.frombuffer(content, dtype=dtype.newbyteorder("<")).reshape(array.chunks)
        first, last = max(start, number * size), min(end, (number + 1) * size)
        rows[first - start : last - start] = chunk[first - number * size : last - number * size]
    return rows


def _store_of(array: Any) -> ConfinedStore | None:
    """Return the store of a Zarr array; None if it is no directory."""
    store = getattr(getattr(array, "store_path", None), "store", None)
    return store if isinstance(store, ConfinedStore) else None


def _content(
    store: ConfinedStore, array: Any, spec: ArraySpec, number: int, memory: Callable[[int], memoryview]
) -> memoryview | None:
    """Return the bytes of a chunk without their checksum; None if it is not stored.

    Raises ValueError if the checksum is wrong.
    """
    key = "/".join([spec.name, "c", str(number), *["0"] * (len(array.shape) - 1)])
    content = store.read_into(key, memory)
    if content is None:
        return None
    data, checksum = content[:-_CHECKSUM_BYTES], content[-_CHECKSUM_BYTES:]
    plain = np.frombuffer(data.toreadonly(), dtype=np.uint8)
    if google_crc32c.value(plain) != int.from_bytes(checksum, "little"):
        msg = "the checksum is wrong"
        raise ValueError(msg)
    return data


def _texts(content: memoryview, number: int) -> npt.NDArray[Any]:
    """Return the texts of a chunk, an object array [number].

    The chunk begins with their number. Before each text are the bytes that it has in UTF-8.

    Raises:
        ValueError: Their number is another, or a length is wrong.
    """
    at = _LENGTH_BYTES
    texts: list[str] = []
    if int.from_bytes(content[:at], "little") == number:
        for _ in range(number):
            end = at + _LENGTH_BYTES + int.from_bytes(content[at : at + _LENGTH_BYTES], "little")
            texts.append(str(content[at + _LENGTH_BYTES : end], "utf-8"))
            at = end
    if len(texts) != number or at != len(content):
        msg = f"{number} texts are needed, with the length of each"
        raise ValueError(msg)
    return np.array(texts, dtype=object)

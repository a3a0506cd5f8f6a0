"""Direct reading of an uncompressed chunk from its file, which is faster than zarr."""

from typing import Any

import google_crc32c
import numpy as np
import numpy.typing as npt

from pipeline.store.sandboxed_store import ConfinedStore
from pipeline.store.schema import ArraySpec

_CHECKSUM_BYTES = 4


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
        array: Zarr array.
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
    store = getattr(getattr(array, "store_path", None), "store", None)
    if not isinstance(store, ConfinedStore) or not spec.per_block or spec.dtype == "str":
        return None
    size = array.chunks[0]
    if start % size or not start < end <= start + size:
        return None
    key = "/".join([spec.name, "c", str(start // size), *["0"] * (len(array.shape) - 1)])
    content = store.read_into(key, scratch)
    if content is None:
        return None
    data, checksum = content[:-_CHECKSUM_BYTES], content[-_CHECKSUM_BYTES:]
    chunk = np.frombuffer(data, dtype=np.dtype(spec.dtype).newbyteorder("<")).reshape(array.chunks)
    plain = np.frombuffer(data.toreadonly(), dtype=np.uint8)
    if google_crc32c.value(plain) != int.from_bytes(checksum, "little"):
        msg = "the checksum is wrong"
        raise ValueError(msg)
    rows: npt.NDArray[Any] = chunk[: end - start]
    return rows

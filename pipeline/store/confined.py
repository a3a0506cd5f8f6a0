"""A cache's files as zarr sees them, and nothing beyond: caches come from elsewhere and are not trusted."""

import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from zarr.storage import LocalStore, ObjectStore

from pipeline.errors import CacheError
from pipeline.store.meta import MAX_CHUNK_BYTES, array_at

_MAX_DOCUMENT_BYTES = 16 << 20
"""Of a zarr.json."""


class ConfinedStore(LocalStore):
    """A `LocalStore` of plain files of bounded size.

    The root may be a link, since the user named it; a link, pipe or device below it is refused, for
    reading and for writing, with CacheError.
    """

    def __init__(self, root: Path, *, read_only: bool = False) -> None:
        super().__init__(root, read_only=read_only)
        self._plain_folders: set[str] = set()

    def get_sync(self, key: str, **options: Any) -> Any:
        """The content at `key`, None where there is none."""
        self._require_plain(key)
        return _with_honest_count(key, super().get_sync(key, **options))

    async def get(self, key: str, *args: Any, **options: Any) -> Any:
        """The content at `key`, None where there is none."""
        self._require_plain(key)
        return _with_honest_count(key, await super().get(key, *args, **options))

    async def get_partial_values(self, prototype: Any, key_ranges: Iterable[Any]) -> Any:
        """Parts of the contents of some keys."""
        ranges = list(key_ranges)
        for key, _ in ranges:
            self._require_plain(key)
        return await super().get_partial_values(prototype, ranges)

    def read_into(self, key: str, memory: Callable[[int], memoryview]) -> memoryview | None:
        """The whole content at `key`, in what `memory` gives for its size; None where there is none."""
        self._require_plain(key)
        try:
            with open(os.path.join(self.root, key), "rb", buffering=0) as file:  # noqa: PTH118, PTH123
                content = memory(os.fstat(file.fileno()).st_size)
                return content[: file.readinto(content)]
        except FileNotFoundError:
            return None

    def set_sync(self, key: str, value: Any) -> None:
        """Replace the content at `key`."""
        self._require_plain(key)
        super().set_sync(key, value)

    async def _set(self, key: str, value: Any, exclusive: bool = False) -> None:
        self._require_plain(key)
        await super()._set(key, value, exclusive=exclusive)

    async def delete(self, key: str) -> None:
        """Remove the content at `key`: zarr's way to write a chunk of nothing but the fill value."""
        self._require_plain(key)
        await super().delete(key)

    def delete_sync(self, key: str) -> None:
        """Remove the content at `key`."""
        self._require_plain(key)
        super().delete_sync(key)

    def _require_plain(self, key: str) -> None:
        folder, _, name = key.rpartition("/")
        if folder not in self._plain_folders:
            for end in range(1, folder.count("/") + 2):
                self._require_kind("/".join(folder.split("/")[:end]), stat.S_ISDIR, "folder")
            self._plain_folders.add(folder)
        found = self._require_kind(key, stat.S_ISREG, "file")
        largest = _MAX_DOCUMENT_BYTES if name == "zarr.json" else MAX_CHUNK_BYTES
        if found is not None and found.st_size > largest:
            msg = (
                f"'{self.root}': '{key}' has {found.st_size} bytes; allowed: {largest}. The cache is "
                "damaged; move it away and extract again."
            )
            raise CacheError(msg)

    def _require_kind(self, key: str, is_kind: Any, kind: str) -> os.stat_result | None:
        """What the file system says of a key; None where nothing is there yet."""
        try:
            found = os.lstat(os.path.join(self.root, key))  # noqa: PTH118 - for every chunk
        except (FileNotFoundError, NotADirectoryError):
            return None
        if key and not is_kind(found.st_mode):
            msg = (
                f"'{self.root}': '{key}' is not a plain {kind} but a link, a device or the like; nothing "
                "outside a cache is read. Move it away and extract again, or put real files there."
            )
            raise CacheError(msg)
        return found


class BucketStore(ObjectStore[Any]):
    """An `ObjectStore` whose texts are checked as those of a folder are."""

    async def get(self, key: str, *args: Any, **options: Any) -> Any:
        """The content at `key`, None where there is none."""
        return _with_honest_count(key, await super().get(key, *args, **options))


def _with_honest_count(key: str, content: Any) -> Any:
    """The content, unless it is a chunk of texts that claims more of them than it has room for.

    The coding begins with the number of texts, then four bytes and more for each; the decoder makes
    room for as many as are claimed.
    """
    name, is_chunk, _ = key.partition("/c/")
    spec = array_at(name)
    if content is None or not is_chunk or spec is None or spec.dtype != "str":
        return content
    num_texts = int.from_bytes(content.as_numpy_array()[:4].tobytes(), "little")
    if 4 * num_texts > len(content):
        msg = f"'{key}' claims {num_texts} texts in {len(content)} bytes"
        raise ValueError(msg)
    return content

"""Zarr stores that read only a cache's own files, because caches of other people are not trusted."""

import asyncio
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from zarr.core.buffer import default_buffer_prototype
from zarr.storage import LocalStore, ObjectStore

from pipeline.errors import CacheError, FileError
from pipeline.own_dir import OwnDir
from pipeline.plain_file import open_plain
from pipeline.store.meta import MAX_CHUNK_BYTES, array_at

_MAX_DOCUMENT_BYTES = 16 << 20
"""Limit for a zarr.json."""


class ConfinedStore(LocalStore):
    """`LocalStore` of plain files of bounded size.

    The root may be a link, because the user named it. A link, pipe or device below it raises CacheError, for
    reading and for writing.
    """

    def __init__(self, root: Path, *, read_only: bool = False) -> None:
        super().__init__(root, read_only=read_only)
        self._plain_folders: set[str] = set()

    def get_sync(self, key: str, *, prototype: Any = None, byte_range: Any = None) -> Any:
        """Return the content at `key`; None if there is none.

        Args:
            key: Path relative to the root.
            prototype: Kind of buffer that zarr wants; None for its default.
            byte_range: Has to be None.

        Raises:
            CacheError: The file is no plain file, too large, or only a part is requested.
        """
        if byte_range is not None:
            msg = f"'{self.root}': a part of '{key}' is requested; a cache's files are read whole."
            raise CacheError(msg)
        content = self.read_into(key, lambda size: memoryview(bytearray(size)))
        if content is None:
            return None
        buffer = (prototype or default_buffer_prototype()).buffer
        return _with_honest_count(key, buffer.from_bytes(content))

    async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
        """See `get_sync`."""
        return await asyncio.to_thread(self.get_sync, key, prototype=prototype, byte_range=byte_range)

    async def get_partial_values(self, prototype: Any, key_ranges: Iterable[Any]) -> Any:
        """Return the contents of several keys. Raises CacheError for parts of them."""
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    def read_into(self, key: str, memory: Callable[[int], memoryview]) -> memoryview | None:
        """Return the whole content at `key`, in the memory that `memory` returns for its size, or None."""
        with self._opened(key) as file:
            if file is None:
                return None
            content = memory(os.fstat(file.fileno()).st_size)
            return content[: file.readinto(content)]

    def set_sync(self, key: str, value: Any) -> None:
        """Replace the content at `key`."""
        self._require_plain(key)
        super().set_sync(key, value)

    async def _set(self, key: str, value: Any, exclusive: bool = False) -> None:
        self._require_plain(key)
        await super()._set(key, value, exclusive=exclusive)

    async def delete(self, key: str) -> None:
        """Remove the content at `key`, as zarr does to write a chunk of fill values only."""
        self._require_plain(key)
        await super().delete(key)

    def delete_sync(self, key: str) -> None:
        """Remove the content at `key`."""
        self._require_plain(key)
        super().delete_sync(key)

    async def delete_dir(self, prefix: str) -> None:
        """Remove the directory `prefix` and its content, if it exists."""
        with _translate_errors(str(self.root)):
            await asyncio.to_thread((OwnDir.of(self.root) / prefix).remove_tree)

    @contextmanager
    def _opened(self, key: str) -> Iterator[Any]:
        """Yield an open file, whose kind and size are checked after it was opened; None if there is none."""
        self._require_plain(key)
        path = self.root / key
        with _translate_errors(str(self.root)), ExitStack() as stack:
            try:
                file = stack.enter_context(
                    open_plain(path, path, _most_bytes(key), extra_flags=os.O_NOFOLLOW)
                )
            except FileError as error:
                if not isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
                    raise
                file = None
            yield file

    def _require_plain(self, key: str) -> None:
        folder, _, _ = key.rpartition("/")
        if folder not in self._plain_folders:
            for end in range(1, folder.count("/") + 2):
                self._require_kind("/".join(folder.split("/")[:end]), stat.S_ISDIR, "folder")
            self._plain_folders.add(folder)
        found = self._require_kind(key, stat.S_ISREG, "file")
        largest = _most_bytes(key)
        if found is not None and found.st_size > largest:
            msg = (
                f"'{self.root}': '{key}' has {found.st_size} bytes; allowed: {largest}. The cache is "
                "damaged; move it away and extract again."
            )
            raise CacheError(msg)

    def _require_kind(self, key: str, is_kind: Any, kind: str) -> os.stat_result | None:
        """Return the status of a file or directory, whose kind is checked; None if nothing is there yet."""
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


def _most_bytes(key: str) -> int:
    is_document = key.rpartition("/")[2] == "zarr.json"
    return _MAX_DOCUMENT_BYTES if is_document else MAX_CHUNK_BYTES


@contextmanager
def _translate_errors(root: str) -> Iterator[None]:
    """Translate a FileError into a CacheError that names the cache."""
    try:
        yield
    except FileError as error:
        msg = f"'{root}': {error}"
        raise CacheError(msg) from error


class BucketStore(ObjectStore[Any]):
    """`ObjectStore` that checks chunks of texts as `ConfinedStore` does."""

    async def get(self, key: str, *args: Any, **options: Any) -> Any:
        """Return the content at `key`; None if there is none."""
        return _with_honest_count(key, await super().get(key, *args, **options))


def _with_honest_count(key: str, content: Any) -> Any:
    """Return the content. Raises ValueError for a chunk that claims more texts than it can hold.

    A chunk of texts begins with their number, followed by at least four bytes for each. The decoder allocates
    memory for the claimed number.
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

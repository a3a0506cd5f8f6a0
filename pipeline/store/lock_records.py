"""Small texts beside a cache, created, replaced and removed without a race. Locks are built from them."""

import contextlib
import errno
import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from pipeline.errors import FileError, MissingFileError
from pipeline.own_dir import OwnDir
from pipeline.plain_file import not_plain
from pipeline.store.location import Location

_GUARD = "guard"
_ATTEMPTS = 100
_SUFFIX = ".json"
_MAX_BYTES = 1 << 14
"""Limit for a record, which has some hundred bytes."""
_NO_FOLLOWING = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS)
_TOMBSTONE = b"removed "
_TOMBSTONE_SECONDS = 60.0


@dataclass(frozen=True)
class Record:
    """Text as it was read. tag: changes whenever a process writes the record."""

    value: bytes
    tag: str


class Records(Protocol):
    """Named texts that several processes share. A change happens completely or not at all."""

    def names(self) -> list[str]:
        """Return the names of the existing records."""

    def read(self, name: str) -> Record | None:
        """Return a record; None if there is none."""

    def create(self, name: str, value: bytes) -> bool:
        """Write a new record. Return False if one of that name exists."""

    def swap(self, name: str, tag: str, value: bytes) -> bool:
        """Replace a record, if it has not changed.

        Args:
            name: Name of the record.
            tag: Its tag when it was read.
            value: New content.

        Returns:
            False if it has changed since, or is gone.
        """

    def remove(self, name: str, tag: str) -> bool:
        """Remove a record, and return True, if it has not changed since it was read with that tag."""


def records_of(place: Location) -> Records:
    """Return the records of the cache at `place`, in ``.NAME.locks`` beside it. It need not exist yet."""
    beside = place.beside(f".{place.name}.locks")
    if not beside.is_local:
        return _BucketRecords(beside)
    return _FolderRecords(OwnDir.of(beside.path.parent) / beside.path.name)


class _FolderRecords:
    """Records as files. Changes are serialised by a lock of the operating system, if the disk supports it.

    The directory may have come with another person's cache, so links in it are not followed.
    """

    def __init__(self, folder: OwnDir) -> None:
        self._folder = folder

    def names(self) -> list[str]:
        try:
            there = self._folder.entries()
        except MissingFileError:
            return []
        return [name.removesuffix(_SUFFIX) for name in there if name.endswith(_SUFFIX)]

    def read(self, name: str) -> Record | None:
        try:
            value = self._folder.read_bytes(name + _SUFFIX, _MAX_BYTES)
        except MissingFileError:
            return None
        return Record(value, value.hex())

    def create(self, name: str, value: bytes) -> bool:
        with self._guarded() as folder, _new_file(folder, f"{name}.{secrets.token_hex(4)}.new", value) as new:
            try:
                os.link(new, name + _SUFFIX, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                return _create_without_links(folder, name + _SUFFIX, value)
        return True

    def swap(self, name: str, tag: str, value: bytes) -> bool:
        with self._guarded():
            if not self._is(name, tag):
                return False
            self._folder.write_bytes(name + _SUFFIX, value)
        return True

    def remove(self, name: str, tag: str) -> bool:
        with self._guarded():
            if not self._is(name, tag):
                return False
            self._folder.remove_file(name + _SUFFIX)
        return True

    def _is(self, name: str, tag: str) -> bool:
        record = self.read(name)
        return record is not None and record.tag == tag

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[int]:
        """Lock the directory and yield its descriptor. The directory is removed with its last record.

        On a file system without locks, creation is still exclusive.
        """
        with contextlib.ExitStack() as open_files:
            folder = self._entered(open_files)
            try:
                yield folder
            finally:
                if not self.names():
                    with contextlib.suppress(OSError):
                        os.unlink(_GUARD, dir_fd=folder)
                        self._folder.path.rmdir()

    def _entered(self, open_files: contextlib.ExitStack) -> int:
        """Open the directory, created if needed, and lock its guard.

        Raises FileError if it cannot be created.
        """
        attempts = 0
        while True:
            attempts += 1
            try:
                folder = open_files.enter_context(self._folder.opened())
                guard = self._opened_guard(folder)
            except (MissingFileError, FileNotFoundError):
                open_files.close()
                try:
                    self._folder.make()
                except MissingFileError:  # its last record was removed at this moment, but not every time
                    if attempts >= _ATTEMPTS:
                        raise
                continue
            open_files.callback(os.close, guard)
            with contextlib.suppress(OSError):
                fcntl.flock(guard, fcntl.LOCK_EX)
            with contextlib.suppress(FileNotFoundError):
                there = os.stat(_GUARD, dir_fd=folder, follow_symlinks=False)
                if os.path.samestat(os.fstat(guard), there):
                    return folder
            open_files.close()

    def _opened_guard(self, folder: int) -> int:
        kind = self._folder.kind(_GUARD) or "file"
        if kind != "file":
            named = "a pipe or device" if kind == "other" else f"a {kind}"
            raise FileError(not_plain(self._folder.path / _GUARD, named, "a regular file"))
        return os.open(_GUARD, os.O_RDWR | os.O_CREAT | _NO_FOLLOWING, 0o666, dir_fd=folder)


@contextlib.contextmanager
def _new_file(folder: int, name: str, value: bytes) -> Iterator[str]:
    """Write a temporary file with the whole value, which the caller links to its final name."""
    try:
        _write_new(folder, name, value)
        yield name
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)


def _create_without_links(folder: int, name: str, value: bytes) -> bool:
    """Create a record on a disk without hard links. For a moment, others may read it half written."""
    try:
        _write_new(folder, name, value)
    except FileExistsError:
        return False
    except OSError:
        os.unlink(name, dir_fd=folder)
        raise
    return True


def _write_new(folder: int, name: str, value: bytes) -> None:
    handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOWING, 0o666, dir_fd=folder)
    with open(handle, "wb") as file:  # noqa: PTH123 - by its number
        file.write(value)


class _BucketRecords:
    """Records as objects. Changes are serialised by conditional writes of the object store.

    Deletion cannot be conditional. Therefore a record is first replaced, on condition, by a tombstone, which
    counts as no record and which only its writer may change for a minute.
    """

    def __init__(self, place: Location) -> None:
        self._place = place
        self._store = place.object_store()

    def names(self) -> list[str]:
        found = [item["path"] for batch in self._store.list() for item in batch]
        return sorted(key.removesuffix(_SUFFIX) for key in found if key.endswith(_SUFFIX))

    def read(self, name: str) -> Record | None:
        found = self._found(name)
        return None if found is None or found[0].value.startswith(_TOMBSTONE) else found[0]

    def create(self, name: str, value: bytes) -> bool:
        from obstore.exceptions import AlreadyExistsError

        with contextlib.suppress(AlreadyExistsError):
            self._store.put(name + _SUFFIX, value, mode="create")
        found = self._found(name)
        if found is None:
            return False
        record, age_seconds = found
        if record.value.startswith(_TOMBSTONE) and age_seconds > _TOMBSTONE_SECONDS:
            return self.swap(name, record.tag, value)
        return record.value == value

    def swap(self, name: str, tag: str, value: bytes) -> bool:
        from obstore.exceptions import PreconditionError

        try:
            self._store.put(name + _SUFFIX, value, mode={"e_tag": tag})
        except (PreconditionError, FileNotFoundError):
            # a write whose answer was lost is rejected when it is repeated
            found = self._found(name)
            return found is not None and found[0].value == value
        return True

    def remove(self, name: str, tag: str) -> bool:
        if not self.swap(name, tag, _TOMBSTONE + secrets.token_hex(8).encode()):
            return False
        self._store.delete(name + _SUFFIX)
        return True

    def _found(self, name: str) -> tuple[Record, float] | None:
        """Return the stored object, which may be a tombstone, and its age in seconds; None without one."""
        try:
            found = self._store.get(name + _SUFFIX)
        except FileNotFoundError as error:
            if "NoSuchKey" in str(error):
                return None
            raise
        age_seconds = time.time() - found.meta["last_modified"].timestamp()
        value = b"" if found.meta["size"] > _MAX_BYTES else bytes(found.bytes())
        return Record(value, found.meta["e_tag"] or ""), age_seconds

"""Small texts beside a cache, made, replaced and removed without a race: what a lock is built from."""

import contextlib
import errno
import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipeline.store.place import Place

_GUARD = "guard"
_SUFFIX = ".json"
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS)
_TOMBSTONE = b"removed "
_TOMBSTONE_SECONDS = 60.0


@dataclass(frozen=True)
class Record:
    """A text as it was read. tag: changes whenever somebody writes the record."""

    value: bytes
    tag: str


class Records(Protocol):
    """Named texts that several processes share; a change happens wholly or not at all."""

    def names(self) -> list[str]:
        """The records that are there."""

    def read(self, name: str) -> Record | None:
        """A record, None where there is none."""

    def create(self, name: str, value: bytes) -> bool:
        """Write a new record; False when one of that name is there."""

    def swap(self, name: str, tag: str, value: bytes) -> bool:
        """Replace a record; False unless it is still as it was read with that tag."""

    def remove(self, name: str, tag: str) -> bool:
        """Remove a record; False unless it is still as it was read with that tag."""


def records_of(place: Place) -> Records:
    """The records of the cache at `place`, in `.NAME.locks` beside it: there before the cache is."""
    beside = place.beside(f".{place.name}.locks")
    return _FolderRecords(beside.path) if beside.is_local else _BucketRecords(beside)


class _FolderRecords:
    """Records as files. A lock of the operating system keeps changes apart, where the disk has them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self) -> list[str]:
        return sorted(path.stem for path in self._folder.glob(f"*{_SUFFIX}"))

    def read(self, name: str) -> Record | None:
        try:
            value = self._path(name).read_bytes()
        except FileNotFoundError:
            return None
        return Record(value, value.hex())

    def create(self, name: str, value: bytes) -> bool:
        with self._guarded(), self._written(name, value) as new:
            try:
                os.link(new, self._path(name))
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                return self._create_without_links(name, value)
        return True

    def swap(self, name: str, tag: str, value: bytes) -> bool:
        with self._guarded():
            if not self._is(name, tag):
                return False
            with self._written(name, value) as new:
                new.replace(self._path(name))
        return True

    def remove(self, name: str, tag: str) -> bool:
        with self._guarded():
            if not self._is(name, tag):
                return False
            self._path(name).unlink()
        return True

    @contextlib.contextmanager
    def _written(self, name: str, value: bytes) -> Iterator[Path]:
        """A file with the whole value, to be given the record's name; gone afterwards."""
        new = self._folder / f"{name}.{secrets.token_hex(4)}.new"
        try:
            new.write_bytes(value)
            yield new
        finally:
            new.unlink(missing_ok=True)

    def _create_without_links(self, name: str, value: bytes) -> bool:
        """The same on a disk without hard links: for a moment the record may be seen half written."""
        path = self._path(name)
        try:
            file = path.open("xb")
        except FileExistsError:
            return False
        try:
            with file:
                file.write(value)
        except OSError:
            path.unlink()
            raise
        return True

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{_SUFFIX}"

    def _is(self, name: str, tag: str) -> bool:
        record = self.read(name)
        return record is not None and record.tag == tag

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Alone in the folder, which goes with its last record.

        On a file system without locks, creation still is exclusive.
        """
        handle = self._locked_guard()
        try:
            yield
        finally:
            if not self.names():
                with contextlib.suppress(OSError):
                    (self._folder / _GUARD).unlink()
                    self._folder.rmdir()
            os.close(handle)

    def _locked_guard(self) -> int:
        path = self._folder / _GUARD
        while True:
            try:
                handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            except FileNotFoundError:
                self._folder.mkdir(parents=True, exist_ok=True)
                continue
            with contextlib.suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_EX)
            try:
                if os.path.samestat(os.fstat(handle), path.stat()):
                    return handle
            except FileNotFoundError:
                pass
            os.close(handle)


class _BucketRecords:
    """Records as objects; conditional writes of the object store keep changes apart.

    Deletion cannot be made conditional: a record is first replaced, on condition, by a tombstone,
    which counts as no record and which nobody but its writer touches for a minute.
    """

    def __init__(self, place: Place) -> None:
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
            # a write whose answer was lost is refused when it is repeated
            found = self._found(name)
            return found is not None and found[0].value == value
        return True

    def remove(self, name: str, tag: str) -> bool:
        if not self.swap(name, tag, _TOMBSTONE + secrets.token_hex(8).encode()):
            return False
        self._store.delete(name + _SUFFIX)
        return True

    def _found(self, name: str) -> tuple[Record, float] | None:
        """What is stored under the name, a tombstone too, and how many seconds ago it was written."""
        try:
            found = self._store.get(name + _SUFFIX)
        except FileNotFoundError as error:
            if "NoSuchKey" in str(error):
                return None
            raise
        age_seconds = time.time() - found.meta["last_modified"].timestamp()
        return Record(bytes(found.bytes()), found.meta["e_tag"] or ""), age_seconds

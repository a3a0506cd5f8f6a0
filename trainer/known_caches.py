"""Caches on object storage that this user has trained on: a run's file may name these, and no others.

A run may come from somebody else, and a request to the bucket that it names is signed with this user's keys.
The record is in the user's own state directory, $XDG_STATE_HOME/ous or ~/.local/state/ous: one file for each
cache, named by the hash of its address, so that runs side by side never rewrite each other's record.
"""

import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import CacheError, reason_of
from pipeline.store.place import Place

_DIRECTORY = "remote-caches"
_MOST_BYTES = 4096
"""Of a record: S3 allows keys of 1024 bytes."""

_OF_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def state_directory() -> Path:
    """The directory of this program's state: $XDG_STATE_HOME/ous, else ~/.local/state/ous.

    Raises RuntimeError where the user has no home directory.
    """
    named = os.environ.get("XDG_STATE_HOME", "")
    base = Path(named) if named.startswith("/") else Path.home() / ".local" / "state"
    return base / "ous"


def remember(place: Place) -> str:
    """Record a cache that the user has named himself; a local one needs no record.

    Returns what the user should know where that cannot be done; empty otherwise.
    """
    if place.is_local or not _why_unknown(place):
        return ""
    try:
        folder = state_directory() / _DIRECTORY
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _opened(folder) as descriptor:
            _write(descriptor, _name(place), f"{_address(place)}\n".encode())
    except (OSError, RuntimeError) as error:
        return (
            f"the use of '{place}' cannot be recorded in this user's state directory ({reason_of(error)}); "
            f"`evaluate` and `report` will need --cache {place}"
        )
    return ""


def require_known(place: Place, run_dir: Path) -> None:
    """Raise CacheError for a cache on object storage that only the files of a run name."""
    if place.is_local:
        return
    if why := _why_unknown(place):
        msg = (
            f"The run '{run_dir}' names the cache '{place}', and {why}. A request would be signed with your "
            f"keys: if you trust this address, give --cache {place}."
        )
        raise CacheError(msg)


def _why_unknown(place: Place) -> str:
    """Why a cache counts as not recorded; empty where it is recorded."""
    try:
        folder = state_directory() / _DIRECTORY
        with _opened(folder) as descriptor:
            found = _read(descriptor, _name(place))
    except FileNotFoundError:
        return "no training of yours on this machine has used it"
    except (OSError, RuntimeError) as error:
        return f"the record of the caches that you have trained on cannot be read ({reason_of(error)})"
    if found != f"{_address(place)}\n".encode():
        return f"the record of it, '{folder / _name(place)}', is damaged"
    return ""


def _address(place: Place) -> str:
    return str(place).rstrip("/")


def _name(place: Place) -> str:
    return hashlib.sha256(_address(place).encode("utf-8", "surrogatepass")).hexdigest()


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    """The directory of records, as a descriptor. Raises OSError unless it is this user's alone."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _require_own(descriptor, folder.name)
        yield descriptor
    finally:
        os.close(descriptor)


def _require_own(descriptor: int, name: str) -> None:
    found = os.fstat(descriptor)
    if found.st_uid != os.geteuid() or found.st_mode & _OF_OTHERS:
        msg = f"'{name}' belongs to another user, or others may write it"
        raise PermissionError(msg)


def _read(folder: int, name: str) -> bytes:
    """A record; b"" for what is no record. Raises OSError, also for a link or a file of another user."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(name, flags, dir_fd=folder)
    try:
        _require_own(descriptor, name)
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > _MOST_BYTES:
            return b""
        return os.read(descriptor, _MOST_BYTES)
    finally:
        os.close(descriptor)


def _write(folder: int, name: str, content: bytes) -> None:
    """Write a record, replacing at once whatever has its name."""
    partial = f".{name}.{secrets.token_hex(4)}.partial"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(partial, flags, 0o600, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.rename(partial, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        os.unlink(partial, dir_fd=folder)
        raise

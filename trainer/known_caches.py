"""Caches on object storage that this user has trained on. Of such caches, a run's file may name only these.

A run may be from somebody else, and a request to the bucket that it names is signed with this user's keys.
The record is in the user's state directory, $XDG_STATE_HOME/ous or ~/.local/state/ous. It has one file for
each cache, named by the hash of its address, so that concurrent runs never rewrite each other's record.
"""

import hashlib
import os
import stat
from pathlib import Path

from pipeline.errors import CacheError, FileError, MissingFileError
from pipeline.own_dir import OwnDir
from pipeline.program import quoted
from pipeline.store.location import Location

_MOST_BYTES = 4096
"""Largest size of a record: S3 allows keys of 1024 bytes."""

_OF_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def state_directory() -> Path:
    """Return the directory of this program's state: $XDG_STATE_HOME/ous, else ~/.local/state/ous.

    Raises RuntimeError if the user has no home directory.
    """
    named = os.environ.get("XDG_STATE_HOME", "")
    base = Path(named) if named.startswith("/") else Path.home() / ".local" / "state"
    return base / "ous"


def remember(place: Location) -> str:
    """Record a cache that the user has named. A local one needs no record.

    Returns:
        A note for the user if the record cannot be written, else "".
    """
    if place.is_local or not _why_unknown(place):
        return ""
    try:
        records = _records()
        records.make(stat.S_IRWXU)
        with records.opened() as handle:
            _require_own(records, os.fstat(handle))
            os.fchmod(handle, stat.S_IRWXU)
        records.remove_file(_name(place))  # this may be a link or a pipe
        records.write_text(_name(place), _content(place))
    except (FileError, RuntimeError) as error:
        return (
            f"the use of '{place}' cannot be recorded in this user's state directory ({_text_of(error)}); "
            f"`evaluate` and `report` will need --cache {quoted(str(place))}"
        )
    return ""


def require_known(place: Location, run_dir: Path) -> None:
    """Raise CacheError for a cache on object storage that only the files of a run name."""
    if place.is_local:
        return
    if why := _why_unknown(place):
        msg = (
            f"The run '{run_dir}' names the cache '{place}', and {why}. A request would be signed with your "
            f"keys: if you trust this address, give --cache {quoted(str(place))}."
        )
        raise CacheError(msg)


def _why_unknown(place: Location) -> str:
    """Return why a cache counts as not recorded; empty if it is recorded."""
    try:
        records = _records()
        with records.opened() as handle:
            _require_own(records, os.fstat(handle))
        found = records.read_bytes(_name(place), _MOST_BYTES)
    except MissingFileError:
        return "no training of yours on this machine has used it"
    except (FileError, RuntimeError) as error:
        return f"the record of the caches that you have trained on cannot be read ({_text_of(error)})"
    if found != _content(place).encode():
        return f"the record of it, '{records.path / _name(place)}', is damaged"
    return ""


def _records() -> OwnDir:
    return OwnDir.of(state_directory()) / "remote-caches"


def _content(place: Location) -> str:
    return f"{_address(place)}\n"


def _address(place: Location) -> str:
    return str(place).rstrip("/")


def _name(place: Location) -> str:
    return hashlib.sha256(_address(place).encode("utf-8", "surrogatepass")).hexdigest()


def _require_own(records: OwnDir, status: os.stat_result) -> None:
    """Raise FileError for a directory in which another user could put a record."""
    if status.st_uid != os.geteuid() or status.st_mode & _OF_OTHERS:
        msg = f"'{records}' belongs to another user, or others may write it."
        raise FileError(msg)


def _text_of(error: Exception) -> str:
    return str(error).rstrip(".")

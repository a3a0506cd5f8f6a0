"""Search, download and check of a published weight file."""

import hashlib
import http.client
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import WeightsError
from pipeline.fingerprint import sha256_file
from pipeline.program import command
from pipeline.scratch import ScratchDirectory
from pipeline.weights.catalogue import SHA256_DIGITS, WEIGHTS_DIR, PublishedFile, published, weights_dir
from pipeline.weights.limits import MAX_BYTES, only_pth, require_unpacked_size

_CHUNK_BYTES = 1 << 20
_TIMEOUT_SECONDS = 20.0


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """Checked file on this machine."""

    name: str
    path: Path


def locate(name: str, given: Path | None = None) -> Path:
    """Return the file of weights on this machine: `given`, else the place of `fetch`. It is not checked.

    Raises WeightsError with the file, its address, its place, and the alternative without it.
    """
    entry = published(name)
    if given is not None:
        if not given.is_file():
            msg = f"No weights at '{given}'. {_how_to_get(entry)}"
            raise WeightsError(msg)
        return given
    path = weights_dir() / entry.file_name
    if not path.is_file():
        msg = f"The weights {name} are not on this machine. {_how_to_get(entry)}"
        raise WeightsError(msg)
    return path


def obtain(name: str, given: Path | None = None) -> Path:
    """Return the file of `locate`; if it is missing and has an address, it is downloaded first.

    Raises WeightsError as `locate` and `fetch` do.
    """
    may_fetch = given is None and published(name).address is not None
    return fetch(name, weights_dir()) if may_fetch and not is_here(name) else locate(name, given)


def is_here(name: str, given: Path | None = None) -> bool:
    """Return whether `locate` finds the file of weights; nothing is read, checked or downloaded."""
    return (given or weights_dir() / published(name).file_name).is_file()


def verify_file(name: str, path: Path) -> str:
    """Return the sha256 of a file, and check that it is the one published under `name`.

    Raises WeightsError with the expected and the actual hash.
    """
    entry = published(name)
    actual = sha256_file(path)
    if not _is_published(entry, path, actual):
        msg = (
            f"'{path}' is not the published {entry.file_name}: its sha256 is {actual}, "
            f"{entry.expected} is needed. Move it away, or give the right one with {entry.option} PATH."
        )
        raise WeightsError(msg)
    return actual


def fetch(name: str, to: Path, on_progress: Callable[[int, int | None], None] | None = None) -> Path:
    """Download a file. It gets its name only after the check, and an existing file is checked and kept.

    Args:
        name: Name of a published file.
        to: Directory for the file, created if it is missing.
        on_progress: Called with the bytes so far and the bytes of the file (None if the server does not
            state them).

    Returns:
        Path of the file.

    Raises:
        WeightsError: There is no address or no connection, or the file is not the published one.
    """
    entry = published(name)
    target = to / entry.file_name
    if target.exists():
        verify_file(name, target)
        return target
    if entry.address is None:
        msg = f"{name} cannot be fetched. {_how_to_get(entry, target)}"
        raise WeightsError(msg)
    try:
        to.mkdir(parents=True, exist_ok=True)
        with ScratchDirectory("fetch", to) as folder:
            part = folder / entry.file_name
            _download(entry, entry.address, part, target, on_progress)
            part.replace(target)
    except OSError as error:
        msg = (
            f"Cannot write {entry.file_name} to '{to}' ({error.strerror or error}); "
            f"choose another directory, or set ${WEIGHTS_DIR}."
        )
        raise WeightsError(msg) from error
    return target


def _how_to_get(entry: PublishedFile, place: Path | None = None) -> str:
    where = place or weights_dir() / entry.file_name
    check = f"sha256 {entry.expected}"
    if entry.address is None:
        ways = f"No address of {entry.file_name} ({check}) is verified; get it from a source that you trust"
    else:
        ways = (
            f"Where there is internet, run `{command('weights', 'fetch', entry.name)}` "
            f"or download {entry.address} ({check})"
        )
    return f"{ways}; put it at {where} or give {entry.option} PATH. {entry.instead}."


def _download(
    entry: PublishedFile,
    address: str,
    part: Path,
    target: Path,
    on_progress: Callable[[int, int | None], None] | None,
) -> None:
    """Download the address to `part`, and check that it is the published file."""
    try:
        with urllib.request.urlopen(address, timeout=_TIMEOUT_SECONDS) as response, part.open("wb") as file:
            length = response.headers.get("Content-Length")
            total, done = int(length) if length else entry.num_bytes, 0
            while chunk := response.read(_CHUNK_BYTES):
                file.write(chunk)
                done += len(chunk)
                if on_progress is not None:
                    on_progress(done, total)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        msg = f"{entry.file_name} could not be downloaded ({reason}). {_how_to_get(entry, target)}"
        raise WeightsError(msg) from error
    actual = sha256_file(part)
    if not _is_published(entry, part, actual):
        msg = (
            f"The download from {address} is not {entry.file_name}: its sha256 is {actual}, {entry.expected} "
            "is needed. Nothing was kept; try again, or use another network."
        )
        raise WeightsError(msg)


def _is_published(entry: PublishedFile, path: Path, sha256: str) -> bool:
    if sha256.startswith(entry.sha256):
        return True
    if len(entry.sha256) == SHA256_DIGITS:
        return False
    require_unpacked_size(path, MAX_BYTES)
    if (member := only_pth(path)) is None:
        return False
    digest = hashlib.sha256()
    with zipfile.ZipFile(path) as archive, archive.open(member) as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest().startswith(entry.sha256)

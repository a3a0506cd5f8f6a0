"""Limits on the size of a weight file and of its unpacked content, checked before it is unpacked."""

import io
import mmap
import zipfile
from pathlib import Path
from typing import IO, NoReturn

from pipeline.errors import WeightsError

MAX_BYTES = 2 << 30
_MAX_MEMBERS = 100_000
_MEMBER_SIGNATURE = b"PK\x01\x02"
"""First bytes of each member's entry in a zip's directory."""


def require_unpacked_size(path: Path, max_bytes: int) -> None:
    """Raise WeightsError if the file, or the unpacked content of a zip, has more than `max_bytes`.

    Nothing is unpacked, and a zip's directory is not read if it has more members than any weights have.
    """
    if path.stat().st_size > max_bytes:
        _refuse_over(path, max_bytes)
    if not zipfile.is_zipfile(path):
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        _refuse_many_members(content, path)
    with zipfile.ZipFile(path) as archive:
        if sum(member.file_size for member in archive.infolist()) > max_bytes:
            _refuse_over(path, max_bytes)


def only_pth(path: Path) -> zipfile.ZipInfo | None:
    """Return the .pth in a zip that contains nothing else; None for any other file, also for torch's zips."""
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
    return members[0] if len(members) == 1 and members[0].filename.endswith((".pth", ".pt")) else None


def pth_of(path: Path, max_bytes: int) -> IO[bytes]:
    """Return the bytes that torch can load; every zip is measured before it is unpacked."""
    require_unpacked_size(path, max_bytes)
    if (member := only_pth(path)) is None:
        return io.BytesIO(_at_most(path.open("rb"), path, max_bytes))
    with zipfile.ZipFile(path) as archive:
        held = io.BytesIO(_at_most(archive.open(member), path, max_bytes))
    if zipfile.is_zipfile(held):
        _refuse_many_members(held.getvalue(), path)
        with zipfile.ZipFile(held) as archive:
            if sum(member.file_size for member in archive.infolist()) > max_bytes:
                _refuse_over(path, max_bytes)
    held.seek(0)
    return held


def _refuse_many_members(content: mmap.mmap | bytes, path: Path) -> None:
    place = -1
    for _ in range(_MAX_MEMBERS + 1):
        if (place := content.find(_MEMBER_SIGNATURE, place + 1)) < 0:
            return
    msg = f"'{path}' holds more than {_MAX_MEMBERS} members, which no weights have."
    raise WeightsError(msg)


def _at_most(file: IO[bytes], path: Path, max_bytes: int) -> bytes:
    with file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        _refuse_over(path, max_bytes)
    return data


def _refuse_over(path: Path, max_bytes: int) -> NoReturn:
    msg = f"'{path}' holds more than {max_bytes} bytes once unpacked, too many for these weights."
    raise WeightsError(msg)

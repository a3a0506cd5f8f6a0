"""The published weight files this project can use: where each lies, how it is checked, how it is read.

A file is known by its sha256. Of RetinaFace's ResNet-50 only the first nine hex digits are
published, in the file's name, without a word on what was hashed: torch.hub's habit is the file
itself. They are accepted as the start of the sha256 of the archive or of the .pth that it holds.
Thirty-six bits tell a damaged or another file, not a forged one; so nothing here ever runs what a
file holds: it is read with ``weights_only``.
"""

import hashlib
import http.client
import io
import mmap
import os
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

import torch

from pipeline.config import require_one_of
from pipeline.errors import WeightsError, first_line
from pipeline.fingerprint import sha256_file

WEIGHTS_DIR = "OUS_WEIGHTS"

_CHUNK_BYTES = 1 << 20
_SHA256_DIGITS = 64
_TIMEOUT_SECONDS = 20.0
_MAX_BYTES = 2 << 30
_MAX_MEMBERS = 100_000
_MEMBER_SIGNATURE = b"PK\x01\x02"
"""Begins each member's entry in a zip's directory."""


@dataclass(frozen=True, kw_only=True)
class PublishedFile:
    """One published weight file.

    address: where it can be had; None where no address can be vouched for.
    sha256: all 64 hex digits, or the first ones where only they are published.
    num_bytes: its size, None where it is not published.
    about: what it is. option: the command line option that takes its path. instead: what to do
    without it.
    """

    name: str
    file_name: str
    address: str | None
    sha256: str
    num_bytes: int | None
    about: str
    option: str
    instead: str

    @property
    def expected(self) -> str:
        """What the file's sha256 must be, in words."""
        return self.sha256 if len(self.sha256) == _SHA256_DIGITS else f"{self.sha256}..."


PUBLISHED = {
    entry.name: entry
    for entry in (
        PublishedFile(
            name="retinaface-resnet50",
            file_name="retinaface_resnet50_2020-07-20-f168fae3c.zip",
            address="https://github.com/ternaus/retinaface/releases/download/0.01/"
            "retinaface_resnet50_2020-07-20-f168fae3c.zip",
            sha256="f168fae3c",
            num_bytes=None,
            about="RetinaFace with a ResNet-50, as published with retinaface-pytorch",
            option="--detector-weights",
            instead="--detector haar needs no download",
        ),
        PublishedFile(
            name="retinaface-mobilenet0.25",
            file_name="retinaface_mobilenet0.25.pth",
            address=None,
            sha256="2979b33ffafda5d74b6948cd7a5b9a7a62f62b949cef24e95fd15d2883a65220",
            num_bytes=1_789_735,
            about="RetinaFace with a MobileNet of width 0.25, the widely used weights",
            option="--detector-weights",
            instead="--detector haar needs no download",
        ),
        PublishedFile(
            name="clip-vit-l-14-openai",
            file_name="ViT-L-14.pt",
            address="https://openaipublic.azureedge.net/clip/models/"
            "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836/ViT-L-14.pt",
            sha256="b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836",
            num_bytes=None,
            about="CLIP ViT-L/14 by OpenAI, the encoder of the paper",
            option="--encoder-weights",
            instead="--encoder-weights random tries things out without it",
        ),
    )
}


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Every published file, and whether it is in the folder where `fetch` puts it."""

    folder: Path

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return {
            "weights": [
                {
                    "name": entry.name,
                    "about": entry.about,
                    "path": str(self.folder / entry.file_name),
                    "present": (self.folder / entry.file_name).is_file(),
                    "address": entry.address,
                    "sha256": entry.expected,
                }
                for entry in PUBLISHED.values()
            ]
        }

    def lines(self) -> list[str]:
        """For people: two lines per file."""
        return [
            line
            for row in self.to_dict()["weights"]
            for line in (
                f"{row['name']:<26} {'here' if row['present'] else 'missing':<8} {row['about']}",
                f"{'':<35} {row['path']}",
            )
        ]


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """A file that is on this machine now, checked."""

    name: str
    path: Path

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return {"name": self.name, "path": str(self.path)}

    def lines(self) -> list[str]:
        """For people."""
        return [f"{self.name} is at {self.path}"]


def weights_dir() -> Path:
    """The folder where weight files are kept: $OUS_WEIGHTS, else ~/.cache/ous/weights."""
    named = os.environ.get(WEIGHTS_DIR, "")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "ous" / "weights"


def published(name: str) -> PublishedFile:
    """The entry of that name. Raises ConfigError, naming those there are."""
    require_one_of("The weights' name", name, tuple(PUBLISHED))
    return PUBLISHED[name]


def locate(name: str, given: Path | None = None) -> Path:
    """The weights' file on this machine: `given`, else where `fetch` puts it. Not checked.

    Raises WeightsError that names the file, its address, where to put it, and what to do without.
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
    """The weights' file as `locate` gives it, downloaded first when it is missing and has an address.

    Raises WeightsError as `locate` and `fetch` do.
    """
    may_fetch = given is None and published(name).address is not None
    return fetch(name, weights_dir()) if may_fetch and not is_here(name) else locate(name, given)


def is_here(name: str, given: Path | None = None) -> bool:
    """Return whether `locate` finds the weights' file; nothing is read, checked or downloaded."""
    return (given or weights_dir() / published(name).file_name).is_file()


def verify_file(name: str, path: Path) -> str:
    """The sha256 of the file at `path`, once it is known to be the one published under `name`.

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
    """Download the file into the folder `to`, checked before it takes its name; a right one is kept.

    on_progress: told the bytes so far and in all (None when the server does not say).
    Raises WeightsError when there is no address or no connection, or when the file is a wrong one.
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
        with tempfile.TemporaryDirectory(dir=to, prefix=".fetch-") as folder:
            part = Path(folder) / entry.file_name
            _download(entry, entry.address, part, target, on_progress)
            part.replace(target)
    except OSError as error:
        msg = (
            f"Cannot write {entry.file_name} to '{to}' ({error.strerror or error}); "
            f"choose another folder, or set ${WEIGHTS_DIR}."
        )
        raise WeightsError(msg) from error
    return target


def load_state_dict(path: Path, max_bytes: int = _MAX_BYTES) -> dict[str, torch.Tensor]:
    """The tensors of a .pth file, or of a zip that holds one .pth, on the CPU; no code is run.

    A leading ``module.`` (of data-parallel training) is cut from the names. Raises WeightsError
    for anything but a mapping of names to tensors, and for more than `max_bytes` once unpacked.
    """
    try:
        loaded = torch.load(_pth_of(path, max_bytes), map_location="cpu", weights_only=True)
    except WeightsError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a damaged or hostile file raises is one known error
        msg = f"'{path}' is not a file of plain tensors, and nothing in it was run: {first_line(error)}"
        raise WeightsError(msg) from error
    if not isinstance(loaded, dict) or not all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in loaded.items()
    ):
        msg = (
            f"'{path}' holds a {type(loaded).__name__} that does not map names to tensors; give a state dict."
        )
        raise WeightsError(msg)
    return {key.removeprefix("module."): value for key, value in loaded.items()}


def _how_to_get(entry: PublishedFile, place: Path | None = None) -> str:
    where = place or weights_dir() / entry.file_name
    check = f"sha256 {entry.expected}"
    if entry.address is None:
        ways = f"No address of {entry.file_name} ({check}) can be vouched for: get it from a source you trust"
    else:
        ways = (
            f"Where there is internet, run `./cli.py weights fetch {entry.name}` "
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
    """Write what the address serves to `part`, and see that it is the published file."""
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
            f"What {address} served is not {entry.file_name}: its sha256 is {actual}, {entry.expected} is "
            "needed. Nothing was kept; try again, or from another network."
        )
        raise WeightsError(msg)


def _is_published(entry: PublishedFile, path: Path, sha256: str) -> bool:
    if sha256.startswith(entry.sha256):
        return True
    if len(entry.sha256) == _SHA256_DIGITS:
        return False
    require_unpacked_size(path, _MAX_BYTES)
    if (member := _only_pth(path)) is None:
        return False
    digest = hashlib.sha256()
    with zipfile.ZipFile(path) as archive, archive.open(member) as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest().startswith(entry.sha256)


def require_unpacked_size(path: Path, max_bytes: int) -> None:
    """Raise WeightsError unless the file, and what it unpacks to if it is a zip, has `max_bytes` at most.

    Nothing is unpacked for it, and a directory of more members than any weights have is not read.
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


def _refuse_many_members(content: mmap.mmap | bytes, path: Path) -> None:
    place = -1
    for _ in range(_MAX_MEMBERS + 1):
        if (place := content.find(_MEMBER_SIGNATURE, place + 1)) < 0:
            return
    msg = f"'{path}' holds more than {_MAX_MEMBERS} members, which no weights have."
    raise WeightsError(msg)


def _only_pth(path: Path) -> zipfile.ZipInfo | None:
    """The one .pth in a zip that holds nothing else; None for any other file, torch's own zips too."""
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
    return members[0] if len(members) == 1 and members[0].filename.endswith((".pth", ".pt")) else None


def _pth_of(path: Path, max_bytes: int) -> IO[bytes]:
    """The bytes that torch can load, with every zip on the way measured before it is unpacked."""
    require_unpacked_size(path, max_bytes)
    if (member := _only_pth(path)) is None:
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


def _at_most(file: IO[bytes], path: Path, max_bytes: int) -> bytes:
    with file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        _refuse_over(path, max_bytes)
    return data


def _refuse_over(path: Path, max_bytes: int) -> NoReturn:
    msg = f"'{path}' holds more than {max_bytes} bytes once unpacked, too much for the weights asked for."
    raise WeightsError(msg)

"""Kind of a file that contains no weights, by its content: a Git LFS pointer, a web page, a pickled module.

The first bytes are checked before the file is read (`refuse_other_kinds`). If a reader then fails, the file
is examined more closely (`unreadable`). Nothing in a file is run, and quotes of it in messages are short and
printable.
"""

import json
import pickletools
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import WeightsError, first_line, printable, some
from pipeline.weights.limits import only_pth
from pipeline.weights.values import unfinished_beside

_HEAD_BYTES = 4096
_QUOTED = 60
_MAX_PICKLE_BYTES = 64 << 20
_MAX_HEADER_BYTES = 100 << 20
"""Most bytes of a safetensors header, by its format."""
_ZIP = b"PK\x03\x04"
_OF_TORCH = (_ZIP, b"\x80\x02")
"""First bytes of files of torch.save: a zip, or a pickle in its old format."""
_PICKLES_OF_A_FILE = 8
"""Number of pickles that are examined, more than the first ones of a file in torch's old format."""

_AGAIN = "download it again"
_OTHER_FRAMEWORK = "give the weights in PyTorch's form (.safetensors, .pt, .pth, .bin)"
_UNPACK = "unpack it and give the file inside"
_TENSORS = "give a file of tensors alone: a state dict (.pt, .pth, .bin) or .safetensors"
_STATE_DICT = "where its code is installed, run torch.save(model.state_dict(), FILE) and give that file"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Kind of a file that contains no readable weights.

    Attributes:
        what: The kind, as a noun with its article.
        fix: Instruction for the user.
    """

    what: str
    fix: str


_BEGINNINGS = {
    b"\x89HDF\r\n\x1a\n": Kind(what="an HDF5 file, as Keras and TensorFlow write it", fix=_OTHER_FRAMEWORK),
    b"GGUF": Kind(what="a GGUF file", fix=_OTHER_FRAMEWORK),
    b"\x93NUMPY": Kind(what="a NumPy array", fix=_OTHER_FRAMEWORK),
    b"\x1f\x8b": Kind(what="a gzip archive", fix=_UNPACK),
    b"BZh": Kind(what="a bzip2 archive", fix=_UNPACK),
    b"\xfd7zXZ\0": Kind(what="an xz archive", fix=_UNPACK),
    b"7z\xbc\xaf'\x1c": Kind(what="a 7z archive", fix=_UNPACK),
    b"Rar!": Kind(what="a RAR archive", fix=_UNPACK),
    b"\x28\xb5\x2f\xfd": Kind(what="a Zstandard archive", fix=_UNPACK),
}
_SUFFIXES = {
    ".onnx": Kind(what="an ONNX model", fix=_OTHER_FRAMEWORK),
    ".pb": Kind(what="a TensorFlow graph", fix=_OTHER_FRAMEWORK),
    ".tflite": Kind(what="a TensorFlow Lite model", fix=_OTHER_FRAMEWORK),
    ".msgpack": Kind(what="a MessagePack file, as Flax writes it", fix=_OTHER_FRAMEWORK),
}
_ARIA2 = ".aria2"
_LFS = b"version https://git-lfs.github.com/spec/"
_PAGE = (b"<!doctype html", b"<html", b"<head", b"<body", b"<?xml", b"<!--")
_ONNX = re.compile(rb"\x08[\x01-\x1f][\x12\x1a\x22\x3a\x42]")
"""First bytes of an ONNX protobuf: the format's version, then producer, text, graph or operators."""
_MESSAGE_PACK = re.compile(rb"[\x81-\x8f\xde\xdf][\xa1-\xbf\xd9]")
"""First bytes of a map whose first key is a short text; 0x80, the start of pickles, is the empty map."""
_ADVICE = re.compile(r"weights.only", re.IGNORECASE)
_HARMLESS = re.compile(
    r"collections\.OrderedDict|torch\._utils\._rebuild_\w+|torch\._tensor\.\w+|torch\.(\w+Storage|Size|device|"
    r"\w*(float|int|bool)\w*)|torch\.storage\.\w+|torch\.nn\.parameter\.\w+|torch\.serialization\.\w+"
)
"""Classes and functions that torch.save writes for tensors."""


def refuse_other_kinds(path: Path, wanted: str) -> None:
    """Raise WeightsError with the kind of the file, if it is known before its tensors are read.

    Either its first bytes show that it contains no tensors, or aria2c's own file, which it removes after a
    download, is beside it. Files of other downloaders can be left beside a complete file.
    """
    if (kept := unfinished_beside(path)) is not None and kept.suffix == _ARIA2:
        raise _error(path, wanted, _unfinished(kept))
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if (kind := _kind_of_head(head, path)) is not None:
        raise _error(path, wanted, kind)


def unreadable(path: Path, wanted: str, error: Exception, *, may_be_zipped: bool = False) -> WeightsError:
    """Return the error for a file that could not be read as tensors, with its kind if it can be determined.

    Args:
        path: The file.
        wanted: The expected content, in words.
        error: Error of the reader.
        may_be_zipped: Whether a zip of one .pth is allowed, so that the zip itself is no error.
    """
    try:
        kind = None if may_be_zipped and only_pth(path) else _kind_of_content(path)
    except Exception:  # noqa: BLE001 - a file that cannot be examined is damaged
        kind = None
    if kind is not None:
        return _error(path, wanted, kind)
    reason = first_line(error)
    if _ADVICE.search(reason):  # torch's advice to run the code in the file
        reason = "the pickle in it cannot be read as tensors"
    msg = f"'{path}' does not hold {wanted}: it is damaged or cut short ({reason[:200]})."
    return WeightsError(msg)


def _error(path: Path, wanted: str, kind: Kind) -> WeightsError:
    return WeightsError(f"'{path}' is {kind.what}, not {wanted}: {kind.fix}.")


def _unfinished(kept: Path) -> Kind:
    return Kind(
        what=f"an unfinished download ('{kept.name}' is beside it)",
        fix=f"let aria2c finish it; if the file is complete, remove '{kept.name}'",
    )


def _kind_of_head(head: bytes, path: Path) -> Kind | None:
    if not head:
        return Kind(what="empty (0 bytes)", fix=_AGAIN)
    if head.startswith(_LFS):
        size = re.search(rb"^size (\d+)", head, re.MULTILINE)
        stands_for = f" for a file of {size[1].decode()[:20]} bytes" if size else ""
        return Kind(
            what=f"a Git LFS pointer{stands_for}",
            fix="run `git lfs pull` in its repository, or download the file itself",
        )
    if _safetensors_header_bytes(head) is not None:
        return None
    for beginning, kind in _BEGINNINGS.items():
        if head.startswith(beginning):
            return kind
    if head[257:262] == b"ustar":
        return Kind(what="a tar archive", fix=_UNPACK)
    if head[4:8] == b"TFL3":
        return _SUFFIXES[".tflite"]
    if _ONNX.match(head):
        return _SUFFIXES[".onnx"]
    if _MESSAGE_PACK.match(head):
        return _SUFFIXES[".msgpack"]
    return _kind_of_text(head) or _SUFFIXES.get(path.suffix.lower())


def _kind_of_text(head: bytes) -> Kind | None:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith(_PAGE):
        title = re.search(rb"<title[^>]*>(.{0,200}?)</title", head, re.IGNORECASE | re.DOTALL)
        named = f" ({_quoted(title[1])})" if title else ""
        return Kind(what=f"a web page{named}", fix="download the file itself; it may need a login")
    try:
        text = head.decode()
    except UnicodeDecodeError:
        return None
    if not all(letter.isprintable() or letter.isspace() for letter in text):
        return None
    return Kind(what=f"a text file that begins with {_quoted(head)}", fix=_AGAIN)


def _quoted(text: bytes) -> str:
    shown = printable(" ".join(text.decode("utf-8", "replace").split()))
    return f"'{shown[:_QUOTED]}{'...' if len(shown) > _QUOTED else ''}'"


def _kind_of_content(path: Path) -> Kind | None:
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if (length := _safetensors_header_bytes(head)) is not None:
        return _cut_safetensors(path, length)
    if not zipfile.is_zipfile(path):
        if head.startswith(_ZIP):
            size = path.stat().st_size
            return Kind(what=f"an archive that was cut short, at {size} bytes", fix=_AGAIN)
        with path.open("rb") as file:
            return _kind_of_globals(_globals(file.read(_MAX_PICKLE_BYTES)))
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        pickles = [name for name in names if name.endswith("data.pkl")]
        if not pickles:
            return _kind_of_members(names)
        with archive.open(pickles[0]) as held:
            return _kind_of_globals(_globals(held.read(_MAX_PICKLE_BYTES)))


def _kind_of_members(names: list[str]) -> Kind:
    if names and all(name.endswith(".npy") for name in names):
        return Kind(what="a NumPy archive (.npz)", fix=_OTHER_FRAMEWORK)
    if any(name.endswith("model.weights.h5") for name in names):
        return Kind(what="a Keras model", fix=_OTHER_FRAMEWORK)
    members = some([_quoted(name.encode("utf-8", "replace")) for name in names]) or "nothing"
    return Kind(what=f"a zip archive of {members}", fix=_UNPACK)


def _kind_of_globals(names: list[str]) -> Kind | None:
    """Return the kind of a pickle by the classes and functions that it names."""
    others = [name for name in dict.fromkeys(names) if not _HARMLESS.fullmatch(name)]
    if not others:
        return None
    shown = some([_quoted(name.encode("utf-8", "replace")) for name in others])
    if any(name.startswith("torch.nn.modules.") for name in others):
        return Kind(what=f"a pickled module ({shown})", fix=_STATE_DICT)
    return Kind(
        what=f"a pickle of other objects than tensors ({shown}), which may run code and was not run",
        fix=_TENSORS,
    )


def _globals(content: bytes) -> list[str]:
    """Return the names of classes and functions in the pickles of the content, without running them."""
    found: list[str] = []
    try:
        for _ in range(_PICKLES_OF_A_FILE):
            texts: list[str] = []
            end = 0
            for code, argument, place in pickletools.genops(content):
                if code.name == "GLOBAL":
                    found.append(str(argument).replace(" ", "."))
                elif code.name == "STACK_GLOBAL":
                    found.append(".".join(texts[-2:]))
                elif isinstance(argument, str):
                    texts.append(argument)
                end = (place or 0) + 1
            content = content[end:]
    except (ValueError, IndexError, OverflowError):
        return found  # the end, or tensors
    return found


def is_safetensors(path: Path) -> bool:
    """Return whether a file is in safetensors format, by its first bytes or else by its suffix."""
    with path.open("rb") as file:
        head = file.read(9)
    if head.startswith(_OF_TORCH):
        return False
    return _safetensors_header_bytes(head) is not None or path.suffix.lower() == ".safetensors"


def _safetensors_header_bytes(head: bytes) -> int | None:
    """Return the length of a safetensors header; None if the file does not begin with one."""
    length = int.from_bytes(head[:8], "little")
    return length if head[8:9] == b"{" and length <= _MAX_HEADER_BYTES else None


def _cut_safetensors(path: Path, header_bytes: int) -> Kind | None:
    """Return the kind of a safetensors file that is shorter than its header states, else None."""
    size = path.stat().st_size
    needed = 8 + header_bytes
    if size >= needed:
        with path.open("rb") as file:
            file.seek(8)
            header = json.loads(file.read(header_bytes))
        needed += max((end for end in _ends(header)), default=0)
    if size >= needed:
        return None
    return Kind(what=f"a safetensors file that was cut short: {size} of {needed} bytes", fix=_AGAIN)


def _ends(header: dict[str, dict[str, list[int]]]) -> Iterator[int]:
    return (entry["data_offsets"][1] for entry in header.values() if "data_offsets" in entry)

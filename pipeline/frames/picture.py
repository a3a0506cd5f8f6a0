"""One image file as upright RGB pixels. Its size is checked by its header, before any pixel is decoded.

The first bytes determine the format, not the name, and only Pillow's reader of that format reads the file.
"""

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from pipeline.errors import ClipError, FileError
from pipeline.frames.container import MAX_PIXELS
from pipeline.plain_file import open_given
from pipeline.types import Bytes

_BROKEN = (
    OSError, FileError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError,
    RuntimeError, struct.error, zlib.error,
)  # fmt: skip
"""Errors that Pillow raises for damaged or malicious files."""

_EXIF_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
_FIRST_ON_ITS_SIDE = 5
_HEADER_BYTES = 30
_MAX_BYTES = 512 << 20
"""Most bytes of an image file: more than `MAX_PIXELS` need without compression, at 16 bits per channel."""


def upright_size(path: Path) -> tuple[int, int] | None:
    """Return width and height of an upright image, from its header; None if the header cannot be read.

    Raises ClipError for more than `MAX_PIXELS` pixels.
    """
    with _opened(path) as image:
        if image is None:
            return None
        width, height = image.size
        return (height, width) if _orientation(image) >= _FIRST_ON_ITS_SIDE else (width, height)


def read_upright(path: Path) -> Bytes | None:
    """Return an image as uint8 RGB [H, W, 3], turned upright by its EXIF; None if it does not decode.

    Transparency is dropped, and 16 bits become 8. An image whose end is missing does not decode. Raises
    ClipError for more than `MAX_PIXELS` pixels, and MemoryError.
    """
    with _opened(path) as image:
        if image is None:
            return None
        try:
            image.load()
            turned = image.transpose(_UPRIGHT[turn]) if (turn := _orientation(image)) in _UPRIGHT else image
            if turned.mode.startswith("I;16"):
                grey = (np.asarray(turned) >> 8).astype(np.uint8)
                return np.repeat(grey[..., None], 3, axis=2)
            return np.array(turned.convert("RGB"))
        except _BROKEN:
            return None


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Yield an image whose header is read; None if that fails."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns about odd files; it raises errors that matter
        try:
            file = open_given(path, _MAX_BYTES)
        except FileError:
            yield None
            return
        with file:
            image = _header(file, path)
            if image is not None:
                _refuse_large(image.size, path)
            yield image


def _header(file: BinaryIO, path: Path) -> Any:
    try:
        first = file.read(_HEADER_BYTES)
        file.seek(0)
        if first.startswith(b"\xff\xd8\xff"):
            return JpegImageFile(file)
        if first.startswith(b"\x89PNG\r\n\x1a\n"):
            return PngImageFile(file)
        if first.startswith(b"BM"):
            return BmpImageFile(file)
        if first[:4] == b"RIFF" and first[8:12] == b"WEBP":
            _refuse_large(_webp_canvas(first), path)  # opening the file allocates the canvas
            return WebPImageFile(file)
    except Image.DecompressionBombError as error:
        raise ClipError("decode", f"'{path.name}' has far more pixels than allowed; scale it down") from error
    except _BROKEN:
        return None
    return None


def _webp_canvas(first: bytes) -> tuple[int, int]:
    """Return width and height from the beginning of a WebP file. Raises ValueError if there are none."""
    kind = first[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(first[24:27], "little"), 1 + int.from_bytes(first[27:30], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(first[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack("<HH", first[26:30])
        return width & 0x3FFF, height & 0x3FFF
    msg = f"a WebP file that begins with {kind!r}"
    raise ValueError(msg)


def _refuse_large(size: tuple[int, int], path: Path) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        raise ClipError(
            "decode",
            f"image '{path.name}' has {width}x{height} pixels; allowed: {MAX_PIXELS / 1e6:g} million. "
            "Scale it down",
        )


def _orientation(image: Any) -> int:
    """Return the EXIF orientation that is stored before the pixels; 1, upright, if it cannot be read."""
    try:
        exif = Image.Exif()
        exif.load(image.info.get("exif", b""))
        return int(exif.get(_EXIF_ORIENTATION, 1))
    except _BROKEN:
        return 1

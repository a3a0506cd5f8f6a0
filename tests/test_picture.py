import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from pipeline.errors import ClipError
from pipeline.frames import picture
from pipeline.frames.picture import read_upright, upright_size
from tests.picture_folders import cut_short

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 255, (24, 40, 3), dtype=np.uint8)


def saved(path, image=None, **how):
    (image or Image.fromarray(NOISE)).save(path, **how)
    return path


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".webp", ".jpg"])
def test_pixels_are_those_that_pillow_reads(tmp_path, suffix):
    path = saved(tmp_path / f"a{suffix}", **({"lossless": True} if suffix == ".webp" else {}))
    read = read_upright(path)
    assert (read.dtype, read.shape) == (np.uint8, (24, 40, 3))
    assert read.flags.writeable
    with Image.open(path) as image:
        np.testing.assert_array_equal(read, np.asarray(image.convert("RGB")))
    if suffix != ".jpg":
        np.testing.assert_array_equal(read, NOISE)
    assert upright_size(path) == (40, 24)


def test_the_content_says_what_a_picture_is_and_not_its_name(tmp_path):
    path = saved(tmp_path / "a.png").rename(tmp_path / "a.jpg")
    np.testing.assert_array_equal(read_upright(path), NOISE)
    saved(tmp_path / "b.gif").rename(tmp_path / "b.jpg")
    assert read_upright(tmp_path / "b.jpg") is None


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_stand_upright(tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / f"a{suffix}", exif=exif.tobytes())
    with Image.open(path) as image:
        upright = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    np.testing.assert_array_equal(read_upright(path), upright)
    assert upright_size(path) == upright.shape[1::-1]


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0nothing", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff"]
)
def test_a_picture_whose_exif_does_not_read_is_taken_as_it_is(tmp_path, exif):
    assert read_upright(saved(tmp_path / "a.jpg", exif=exif)).shape == NOISE.shape


def test_every_kind_of_pixel_becomes_rgb_of_8_bits(tmp_path):
    grey16 = (np.arange(24 * 40, dtype=np.uint16) * 60).reshape(24, 40)
    read = read_upright(saved(tmp_path / "16.png", Image.fromarray(grey16)))
    np.testing.assert_array_equal(read, np.repeat((grey16 >> 8).astype(np.uint8)[..., None], 3, 2))
    for mode in ("1", "L", "P", "LA", "RGBA"):
        converted = Image.fromarray(NOISE).convert(mode)
        read = read_upright(saved(tmp_path / f"{mode}.png", converted))
        np.testing.assert_array_equal(read, np.asarray(converted.convert("RGB")))
    assert (
        read_upright(saved(tmp_path / "c.jpg", Image.fromarray(NOISE).convert("CMYK"))).shape == NOISE.shape
    )


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp"])
def test_a_picture_without_its_end_does_not_decode(tmp_path, suffix):
    path = cut_short(saved(tmp_path / f"a{suffix}"))
    assert read_upright(path) is None
    path.write_bytes(b"")
    assert upright_size(path) is None
    assert read_upright(path) is None


def claiming(size, kind):
    """The beginning of a picture that claims a size; its pixels are not there."""
    width, height = size
    if kind == "png":
        whole = io.BytesIO()
        Image.fromarray(NOISE).save(whole, "png")
        header = whole.getvalue()[12:16] + struct.pack(">II", width, height) + whole.getvalue()[24:29]
        return whole.getvalue()[:12] + header + struct.pack(">I", zlib.crc32(header)) + whole.getvalue()[33:]
    if kind == "bmp":
        whole = io.BytesIO()
        Image.fromarray(NOISE).save(whole, "bmp")
        return whole.getvalue()[:18] + struct.pack("<ii", width, height) + whole.getvalue()[26:]
    if kind == "jpg":
        whole = io.BytesIO()
        Image.fromarray(NOISE).save(whole, "jpeg")
        place = whole.getvalue().index(b"\xff\xc0") + 5
        return whole.getvalue()[:place] + struct.pack(">HH", height, width) + whole.getvalue()[place + 4 :]
    if kind == "VP8X":
        sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        return b"RIFF\x40\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + sizes
    if kind == "VP8L":
        bits = ((width - 1) | (height - 1) << 14).to_bytes(4, "little")
        return b"RIFF\x40\0\0\0WEBPVP8L\x0a\0\0\0\x2f" + bits + bytes(9)
    return b"RIFF\x40\0\0\0WEBPVP8 \x0a\0\0\0\0\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height)


@pytest.mark.parametrize("kind", ["png", "bmp", "jpg", "VP8X", "VP8L", "VP8 "])
def test_too_many_pixels_are_refused_by_the_header_alone(tmp_path, monkeypatch, kind):
    (tmp_path / "bomb.jpg").write_bytes(claiming((12_000, 12_000), kind))
    message = r"^decode: image 'bomb\.jpg' has 12000x12000 pixels; allowed: 40 million\. Scale it down$"
    monkeypatch.setattr(Image.Image, "load", lambda _: pytest.fail("decoded"))
    monkeypatch.setattr(picture.WebPImageFile, "_open", lambda _: pytest.fail("decoded"))
    for look in (upright_size, read_upright):
        with pytest.raises(ClipError, match=message):
            look(tmp_path / "bomb.jpg")

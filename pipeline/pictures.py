"""Directories of images: which files are frames, in which order, and their size in bytes.

Imports only the standard library and `errors`, so that every module can import it at no cost.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pipeline.errors import ClipError, printable, some

PICTURE_SUFFIXES = frozenset([".bmp", ".jpeg", ".jpg", ".png", ".webp"])
"""Suffixes of images in a clip's directory, in lower case."""
SINGLE_PICTURE_SUFFIXES = PICTURE_SUFFIXES | {".tif", ".tiff"}
"""Suffixes of images that `cli.py faces` reads; OpenCV decodes TIFF too."""
VIDEO_SUFFIXES = frozenset(
    [
        ".3gp", ".avi", ".flv", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv",
        ".ts", ".vob", ".webm", ".wmv",
    ]
)  # fmt: skip
"""Suffixes of videos in a directory, in lower case; a file that is named is read with any suffix."""
MAX_FILES = 100_000
"""Most files in one directory, of any kind. An hour at 25 frames/s is 90,000."""

_DIGITS = re.compile("[0-9]+")


@dataclass(frozen=True, kw_only=True)
class PictureFolder:
    """Directory of images.

    Attributes:
        path: The directory.
        names: Names of its images, 2.jpg before 10.jpg.
        others: Names of all other entries, which are ignored.
    """

    path: Path
    names: tuple[str, ...]
    others: tuple[str, ...]

    @classmethod
    def at(cls, path: Path, inside: Path | None = None) -> "PictureFolder":
        """List a directory. No image is opened.

        An image is a regular file with one of PICTURE_SUFFIXES whose name does not begin with a dot.

        Args:
            path: The directory.
            inside: Directory that links must not leave; None for `path`.

        Raises:
            ClipError: (stage ``open``) It cannot be listed, has more than MAX_FILES files, or contains a
                link to a file outside of `inside`.
        """
        try:
            with os.scandir(path) as scan:
                entries = list(islice(scan, MAX_FILES + 1))
            found = {entry.name: entry for entry in entries if _is_picture(entry)}
        except (OSError, ValueError) as error:
            raise ClipError("open", f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
        if len(entries) > MAX_FILES:
            raise ClipError("open", f"more than {MAX_FILES} files in the directory, the most that is allowed")
        _refuse_ways_out([entry for entry in found.values() if entry.is_symlink()], inside or path)
        return cls(
            path=path,
            names=tuple(sorted(found, key=natural_key)),
            others=tuple(sorted(entry.name for entry in entries if entry.name not in found)),
        )


def num_bytes_of(folder: Path) -> int:
    """Return the bytes of all images of a directory. Raises OSError if it cannot be listed."""
    with os.scandir(folder) as scan:
        return sum(entry.stat().st_size for entry in islice(scan, MAX_FILES) if _is_picture(entry))


def holds_picture(folder: Path) -> bool:
    """Return whether a directory contains an image. Raises OSError if it cannot be listed."""
    with os.scandir(folder) as scan:
        return any(_is_picture(entry) for entry in islice(scan, MAX_FILES))


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Return a sort key that puts 2 before 10. Names with equal numbers are sorted by their spelling."""
    parts = re.split(r"([0-9]+)", name)
    return [int(part) if place % 2 else part for place, part in enumerate(parts)], name


def numbers_of(names: Sequence[str], kind: str) -> dict[str, int | str]:
    """Find the frame number in the name of every image of a directory; it also matches face crops to frames.

    It is the last number that differs in all names: 12 in ``00012.jpg``, in ``clip3_00012.jpg`` and,
    beside ``0013_face0.jpg``, in ``0012_face0.jpg``.

    Args:
        names: File names of images.
        kind: Noun for the images in the plural, for messages.

    Returns:
        The number by name, in the order of `names`; the name without its suffix if no name has a number.

    Raises:
        ClipError: The names are of several series (``img_1.jpg`` and ``mask_1.png``), or no number
            differs in all of them (``1.jpg`` and ``001.png``), so that they have no order.
    """
    stems = [Path(name).stem.lower() for name in names]
    series: dict[str, str] = {}
    for stem, name in zip(stems, names, strict=True):
        series.setdefault(_DIGITS.sub("#", stem), name)
    if "#" not in "".join(series):
        return _each_once(names, stems, kind)
    if len(series) > 1:
        raise ClipError(
            "open",
            f"{kind} of {len(series)} series of names, such as {shown(list(series.values()))}; one series is "
            "expected, in which a number differs. Move masks, flow and copies to a directory of their own",
        )
    columns = list(zip(*([int(number) for number in _DIGITS.findall(stem)] for stem in stems), strict=True))
    differing = [column for column in columns if len(set(column)) == len(names)]
    return _each_once(names, (differing or columns)[-1], kind)


def _each_once(names: Sequence[str], numbers: Sequence[int | str], kind: str) -> dict[str, int | str]:
    """Return the number by name. Raises ClipError if two names have the same number."""
    by_number: dict[int | str, str] = {}
    for name, number in zip(names, numbers, strict=True):
        other = by_number.setdefault(number, name)
        if other != name:
            raise ClipError(
                "open",
                f"two {kind} are number {shown([str(number)])}: {shown([other, name])}; each number is "
                "expected once. Keep one of the two, or give each a number of its own",
            )
    return dict(zip(names, numbers, strict=True))


def shown(names: Sequence[str]) -> str:
    """Return the first names for a message, on one line."""
    return some(list(map(printable, names)))


def _is_picture(entry: "os.DirEntry[str]") -> bool:
    if entry.name.startswith(".") or os.path.splitext(entry.name)[1].lower() not in PICTURE_SUFFIXES:  # noqa: PTH122
        return False
    return entry.is_file()


def _refuse_ways_out(links: Sequence["os.DirEntry[str]"], inside: Path) -> None:
    if not links:
        return
    home = os.path.realpath(inside).rstrip("/") + "/"
    for link in links:
        if not (real := os.path.realpath(link.path)).startswith(home):
            where = shown([real])
            raise ClipError(
                "open", f"'{shown([link.name])}' is a link out of the dataset, to '{where}'; copy the file"
            )

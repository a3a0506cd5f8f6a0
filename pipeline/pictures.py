"""Folders of pictures: which files count, in which order, and how large they are together.

Imports nothing but the standard library, so that whatever has to know it stays light.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pipeline.errors import ClipError, printable, some

PICTURE_SUFFIXES = frozenset([".bmp", ".jpeg", ".jpg", ".png", ".webp"])
"""Images that a clip's folder may hold, in lower case."""
SINGLE_PICTURE_SUFFIXES = PICTURE_SUFFIXES | {".tif", ".tiff"}
"""Images that `cli.py faces` reads one by one: OpenCV decodes TIFF too."""
MAX_FILES = 100_000
"""In one folder, of whatever kind: an hour at 25 pictures a second is 90,000."""

_DIGITS = re.compile("[0-9]+")


@dataclass(frozen=True, kw_only=True)
class PictureFolder:
    """A folder as it lies on disk. names: of its pictures, 2.jpg before 10.jpg. others: left alone."""

    path: Path
    names: tuple[str, ...]
    others: tuple[str, ...]

    @classmethod
    def at(cls, path: Path, inside: Path | None = None) -> "PictureFolder":
        """List a folder; no picture is opened.

        A picture is an ordinary file with one of PICTURE_SUFFIXES whose name does not begin with a dot.
        inside: the folder that links must not leave; None for the folder itself. Raises ClipError (stage
        ``open``) for what cannot be listed, for more than MAX_FILES files and for a link that leads out.
        """
        try:
            with os.scandir(path) as scan:
                entries = list(islice(scan, MAX_FILES + 1))
            found = {entry.name: entry for entry in entries if _is_picture(entry)}
        except (OSError, ValueError) as error:
            raise ClipError("open", f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
        if len(entries) > MAX_FILES:
            raise ClipError("open", f"more than {MAX_FILES} files in the folder, the most that is allowed")
        _refuse_ways_out([entry for entry in found.values() if entry.is_symlink()], inside or path)
        return cls(
            path=path,
            names=tuple(sorted(found, key=natural_key)),
            others=tuple(sorted(entry.name for entry in entries if entry.name not in found)),
        )


def num_bytes_of(folder: Path) -> int:
    """Bytes of a folder's pictures together, 0 without any. Raises OSError where it cannot be listed."""
    with os.scandir(folder) as scan:
        return sum(entry.stat().st_size for entry in islice(scan, MAX_FILES) if _is_picture(entry))


def holds_picture(folder: Path) -> bool:
    """Return whether a folder has a picture. Raises OSError where it cannot be listed."""
    with os.scandir(folder) as scan:
        return any(_is_picture(entry) for entry in islice(scan, MAX_FILES))


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Sorts 2 before 10: numbers by their value; names that then are equal, by how they are written."""
    parts = re.split(r"([0-9]+)", name)
    return [int(part) if place % 2 else part for place, part in enumerate(parts)], name


def numbers_of(names: Sequence[str], kind: str) -> dict[str, int | str]:
    """Find the number in the name of every picture of a folder, which orders them and matches face crops.

    It is the last number that is another one in each name: 12 of ``00012.jpg``, of ``clip3_00012.jpg`` and,
    beside ``0013_face0.jpg``, of ``0012_face0.jpg``.

    Args:
        names: File names of pictures.
        kind: What the pictures are, in the plural, for messages.

    Returns:
        The number by name, in the order of `names`; the name without its suffix where no name has a number.

    Raises:
        ClipError: If the names are of several series (``img_1.jpg`` and ``mask_1.png``), or if no number
            differs in all of them (``1.jpg`` and ``001.png``), so that they give no order.
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
            "expected, in which a number differs. Move masks, flow and copies to a folder of their own",
        )
    columns = list(zip(*([int(number) for number in _DIGITS.findall(stem)] for stem in stems), strict=True))
    differing = [column for column in columns if len(set(column)) == len(names)]
    return _each_once(names, (differing or columns)[-1], kind)


def _each_once(names: Sequence[str], numbers: Sequence[int | str], kind: str) -> dict[str, int | str]:
    """The number by name. Raises ClipError where two names have the same."""
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
    """Some names for a message: the first ones, on one line."""
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
                "open", f"'{shown([link.name])}' is a link out of the data set, to '{where}'; copy the file"
            )

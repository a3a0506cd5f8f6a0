"""What lies on disk in the places of clips, without opening any: kinds, sizes, numbers of pictures."""

import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

from pipeline.errors import ClipError
from pipeline.pictures import PictureFolder, numbers_of

_THREADS = 8
_AHEAD, _PART = 256, 8
"""Items on their way, and those that a thread takes at a time, because one costs less than its handover."""

_T = TypeVar("_T")
_U = TypeVar("_U")


@dataclass(frozen=True, kw_only=True)
class Lying:
    """What lies in a clip's place. form: ``file``, ``folder``, ``link`` (dangling), ``other``, ``nothing``.

    inode: device and number of the file or folder, alike for all links to it. num_bytes: of a file. pictures:
    of a folder, names in order of their numbers. num_gaps: numbers that are missing between a folder's first
    picture and its last. unclear: why the names give no order; empty where they do. A folder that cannot be
    listed is ``other``.
    """

    form: str
    inode: tuple[int, int] | None = None
    num_bytes: int = 0
    pictures: tuple[str, ...] = ()
    num_gaps: int = 0
    unclear: str = ""


def survey(root: Path, paths: Mapping[str, str], on_clip: Callable[[], None]) -> dict[str, Lying]:
    """What lies at every clip's path below `root`; several are looked at at a time."""
    found = {}
    for (clip_id, _), lying in side_by_side(lambda item: look_at(root / item[1]), paths.items()):
        found[clip_id] = lying
        on_clip()
    return found


def side_by_side(work: Callable[[_T], _U], items: Iterable[_T]) -> Iterator[tuple[_T, _U]]:
    """Each item and what `work` makes of it, in order; in threads, with few items on their way."""
    unread = iter(items)
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="doctor") as pool:
        while batch := list(islice(unread, _AHEAD)):
            parts = [batch[start : start + _PART] for start in range(0, len(batch), _PART)]
            done = pool.map(lambda part: [work(item) for item in part], parts)
            yield from zip(batch, chain.from_iterable(done), strict=True)


def look_at(path: Path) -> Lying:
    """What lies at a path; a link counts as what it leads to."""
    try:
        found = path.stat()
        if stat.S_ISREG(found.st_mode):
            return Lying(form="file", inode=(found.st_dev, found.st_ino), num_bytes=found.st_size)
        if stat.S_ISDIR(found.st_mode):
            return replace(_folder(path), inode=(found.st_dev, found.st_ino))
    except FileNotFoundError:
        return Lying(form="link" if path.is_symlink() else "nothing")
    except (OSError, ValueError, ClipError):
        return Lying(form="other" if path.is_symlink() or path.is_dir() else "nothing")
    return Lying(form="other")


def _folder(path: Path) -> Lying:
    names = PictureFolder.at(path, path.parent).names
    try:
        found = numbers_of(names, "pictures").values()
    except ClipError as error:
        return Lying(form="folder", pictures=names, unclear=error.reason)
    numbers = {number for number in found if isinstance(number, int)}
    gaps = max(numbers) - min(numbers) + 1 - len(numbers) if numbers else 0
    return Lying(form="folder", pictures=names, num_gaps=gaps)

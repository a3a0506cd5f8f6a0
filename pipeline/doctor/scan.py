"""Files and folders at the paths of clips: kinds, sizes, numbers of images. None is opened."""

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
class OnDisk:
    """What is at a clip's path. form: ``file``, ``folder``, ``link`` (dangling), ``other``, ``nothing``.

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


def scan_files(root: Path, paths: Mapping[str, str], on_clip: Callable[[], None]) -> dict[str, OnDisk]:
    """Find what is at every clip's path below `root`, several paths at a time."""
    found = {}
    for (clip_id, _), on_disk in side_by_side(lambda item: look_at(root / item[1]), paths.items()):
        found[clip_id] = on_disk
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


def look_at(path: Path) -> OnDisk:
    """Find what is at a path; a link counts as what it leads to."""
    try:
        found = path.stat()
        if stat.S_ISREG(found.st_mode):
            return OnDisk(form="file", inode=(found.st_dev, found.st_ino), num_bytes=found.st_size)
        if stat.S_ISDIR(found.st_mode):
            return replace(_folder(path), inode=(found.st_dev, found.st_ino))
    except FileNotFoundError:
        return OnDisk(form="link" if path.is_symlink() else "nothing")
    except (OSError, ValueError, ClipError):
        return OnDisk(form="other" if path.is_symlink() or path.is_dir() else "nothing")
    return OnDisk(form="other")


def _folder(path: Path) -> OnDisk:
    names = PictureFolder.at(path, path.parent).names
    try:
        found = numbers_of(names, "pictures").values()
    except ClipError as error:
        return OnDisk(form="folder", pictures=names, unclear=error.reason)
    numbers = {number for number in found if isinstance(number, int)}
    gaps = max(numbers) - min(numbers) + 1 - len(numbers) if numbers else 0
    return OnDisk(form="folder", pictures=names, num_gaps=gaps)

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
"""Items in flight, and items per task, because a task for one item costs more than the item."""

_T = TypeVar("_T")
_U = TypeVar("_U")


@dataclass(frozen=True, kw_only=True)
class OnDisk:
    """File or directory at a clip's path.

    Attributes:
        form: ``file``, ``folder``, ``link`` (dangling), ``nothing``, or ``other``, also for a directory that
            cannot be listed.
        inode: Device and number of the file or directory, the same for all links to it.
        num_bytes: Size of a file.
        pictures: Names of a directory's pictures, in order of their numbers.
        num_gaps: Numbers that are missing between the first image and the last.
        unclear: Why the names give no order; empty if they do.
    """

    form: str
    inode: tuple[int, int] | None = None
    num_bytes: int = 0
    pictures: tuple[str, ...] = ()
    num_gaps: int = 0
    unclear: str = ""


def scan_files(root: Path, paths: Mapping[str, str], on_clip: Callable[[], None]) -> dict[str, OnDisk]:
    """Examine the paths of clips in several threads.

    Args:
        root: Directory of the dataset.
        paths: Path of each clip relative to the root, by clip id.
        on_clip: Called after each path.

    Returns:
        File or directory at each path, by clip id.
    """
    found = {}
    for (clip_id, _), on_disk in side_by_side(lambda item: look_at(root / item[1]), paths.items()):
        found[clip_id] = on_disk
        on_clip()
    return found


def side_by_side(work: Callable[[_T], _U], items: Iterable[_T]) -> Iterator[tuple[_T, _U]]:
    """Yield each item and the result of `work` for it, in order. Threads process few items at a time."""
    unread = iter(items)
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="doctor") as pool:
        while batch := list(islice(unread, _AHEAD)):
            parts = [batch[start : start + _PART] for start in range(0, len(batch), _PART)]
            done = pool.map(lambda part: [work(item) for item in part], parts)
            yield from zip(batch, chain.from_iterable(done), strict=True)


def look_at(path: Path) -> OnDisk:
    """Examine a path. A link counts as its target."""
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
        found = numbers_of(names, "images").values()
    except ClipError as error:
        return OnDisk(form="folder", pictures=names, unclear=error.reason)
    numbers = {number for number in found if isinstance(number, int)}
    gaps = max(numbers) - min(numbers) + 1 - len(numbers) if numbers else 0
    return OnDisk(form="folder", pictures=names, num_gaps=gaps)

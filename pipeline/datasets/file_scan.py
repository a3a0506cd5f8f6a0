"""Clips of a dataset, found by the names of files and directories. No file is opened."""

import os
import re
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path

from pipeline.datasets.limits import MAX_ROWS, Folder
from pipeline.errors import DatasetError, printable, some
from pipeline.pictures import VIDEO_SUFFIXES

_NUMBERED = re.compile(r"(?:.*[/\\])?(\d{1,9})(?:\.[A-Za-z0-9]{1,4})?[/\\]*", re.DOTALL)

_MOST_NAMES = 5
_MOST_CHILDREN = 100
"""Directories in a wrong root that are searched for the right one."""


class Tree:
    """Search for clips by name.

    Args:
        root: Directory of the dataset.
        clip_id_of: Returns the clip id of a path, None if it is no clip.

    Attributes:
        strangers: Files and directories that were found where clips are, and are no clips.
        twice: By clip id, two files of one form.
    """

    def __init__(self, root: Path, clip_id_of: Callable[[str], str | None]) -> None:
        self._root = root
        self._folder = Folder(root)
        self._clip_id_of = clip_id_of
        self._num_seen = 0
        self.strangers: list[str] = []
        self.twice: dict[str, tuple[str, str]] = {}

    def clips(self, place: str, depth: int = 1) -> tuple[dict[str, str], dict[str, str]]:
        """Find the videos and the directories that are clips, `depth` levels below `place`: path by clip id.

        Raises DatasetError for a link that leads out of the root, and for more than MAX_ROWS files.
        """
        videos: dict[str, str] = {}
        folders: dict[str, str] = {}
        for path, is_folder in self._at(place, depth):
            clip_id = self._clip_id_of(path)
            is_video = not is_folder and os.path.splitext(path)[1].lower() in VIDEO_SUFFIXES  # noqa: PTH122 - of many
            if clip_id is None or not (is_folder or is_video):
                self.strangers.append(printable(path))
                continue
            found = folders if is_folder else videos
            if clip_id in found:
                self.twice[clip_id] = (found[clip_id], path)
            found.setdefault(clip_id, path)
        return videos, folders

    def _at(self, place: str, depth: int) -> Iterator[tuple[str, bool]]:
        """Yield each path `depth` levels below, and whether it is a directory, sorted by name."""
        if not (self._root / place).is_dir():
            return
        self._require_inside(place)
        entries = self._folder.entries(place)
        self._num_seen += len(entries)
        if self._num_seen > MAX_ROWS:
            msg = f"'{self._root}' holds more than {MAX_ROWS} files, the most that is allowed."
            raise DatasetError(msg)
        for entry in entries:
            path = f"{place}/{entry.name}"
            if entry.name.startswith("."):
                continue
            if entry.is_symlink():
                self._require_inside(path)
            if depth > 1 and entry.is_dir():
                yield from self._at(path, depth - 1)
            elif depth > 1 or not (entry.is_dir() or entry.is_file()):
                self.strangers.append(printable(path))
            else:
                yield path, entry.is_dir()

    def _require_inside(self, path: str) -> None:
        if (elsewhere := self._folder.way_out(path)) is not None:
            msg = (
                f"'{printable(str(self._root / path))}' is a link out of '{self._root}', to "
                f"'{printable(elsewhere)}'; only the root itself may be a link. Give the directory that "
                "holds all files, or a link to it, by --root."
            )
            raise DatasetError(msg)


def numbered_clip_id(text: str) -> str | None:
    """Return the id of a clip whose name is a number, with five digits or more; None for any other name.

    ``7``, ``00007``, ``00007.mp4`` and ``/anywhere/00007/`` are the clip 00007. Numbers may exceed the
    number of clips of a dataset.
    """
    found = _NUMBERED.fullmatch(text)
    return f"{int(found[1]):05d}" if found else None


def require_root(title: str, root: Path, places: list[str]) -> None:
    """Check that a root has one of a dataset's directories.

    Args:
        title: Name of the dataset, for the message.
        root: Directory that the user gave.
        places: Patterns of paths below the root, such as ``Clip/original/<number>.mp4``.

    Raises:
        DatasetError: There is none of them. The message shows the contents of the root.
    """
    if not root.is_dir():
        msg = f"--root '{root}' is not a directory; the directory that holds {title} is needed."
        raise DatasetError(msg)
    firsts = sorted({fixed_part(place) for place in places})
    if _holds(root, firsts):
        return
    children = sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    better = [root / name for name in children[:_MOST_CHILDREN] if _holds(root / name, firsts)]
    for above in root.absolute().parents[:2]:
        here = root.absolute().relative_to(above).as_posix()
        if any(place.startswith(f"{here}/") or place == here for place in firsts) and _holds(above, firsts):
            better.append(above)
    there = some(sorted(path.name for path in root.iterdir()), _MOST_NAMES) or "nothing"
    remedy = f"Give --root '{better[0]}'." if better else "Give --root the directory that holds them."
    msg = (
        f"No {title} at '{root}': looked for {', '.join(firsts)}; there: {printable(there)}. "
        f"{printable(remedy)}"
    )
    raise DatasetError(msg)


def fixed_part(place: str) -> str:
    """Return the directories that a pattern of paths begins with: a/b of a/b/<number>.mp4."""
    return "/".join(takewhile(lambda part: not set(part) & set("<*"), place.split("/")))


def _holds(folder: Path, places: list[str]) -> bool:
    return any((folder / place).is_dir() for place in places)

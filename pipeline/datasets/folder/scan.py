"""Scan of a directory tree for clips: video files, and directories that hold pictures. No file is opened."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.datasets.limits import MAX_ROWS, Folder
from pipeline.datasets.names import fits_one_line
from pipeline.errors import DatasetError, printable
from pipeline.pictures import PICTURE_SUFFIXES, VIDEO_SUFFIXES

MAX_LEVELS = 8
"""Directories above a clip. The deepest layout that is read, split/class/group/clip, has three."""

_LITTER = frozenset(
    ("__macosx", "thumbs.db", "desktop.ini", "@eadir", "$recycle.bin", "system volume information")
)
"""Files and directories of operating systems, in lower case. Hidden ones are skipped by their dot."""

_NO_CLIPS = ("~$", "._")
"""First characters of files that Office (locks) and macOS (attributes) write next to a file."""

_CLOUD = ".icloud"
"""Suffix of the hidden file that macOS writes in place of a file that is only in iCloud."""


@dataclass(kw_only=True)
class Scan:
    """Contents of a directory tree, as sorted paths relative to its root, with '/'.

    Attributes:
        videos: Files with one of VIDEO_SUFFIXES.
        frames: Directories that hold pictures and no video.
        others: Other files, such as unfinished downloads (.part), and lock files of other programs.
        unfetched: Links to files that are not there, and placeholders of files in a cloud.
        empty: Directories without a clip in them or below.
    """

    videos: list[str] = field(default_factory=list)
    frames: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    unfetched: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)


def find_clips(root: Path) -> Scan:
    """List the clips below `root`. Hidden files and files of operating systems are skipped.

    Raises:
        DatasetError: A directory cannot be listed, a link leads out of the root or to a directory that holds
            the link, a clip's path is not plain text, or there are more clips or levels than allowed.
    """
    return _Scanner(root).result


class _Scanner:
    """Scan of a directory tree."""

    def __init__(self, root: Path) -> None:
        self.result = Scan()
        self._root, self._folder, self._num_directories = root, Folder(root), 0
        self._visit("", ())

    def _visit(self, place: str, above: Sequence[str]) -> bool:
        """Scan a directory, and return whether a clip is in it or below. above: real paths of its parents."""
        real = os.path.realpath(self._root / place)
        if real in above:
            msg = f"'{printable(place)}' is a link to a directory that holds it; remove the link."
            raise DatasetError(msg)
        self._num_directories += 1
        directories, videos, pictures, others = self._listed(place)
        is_clip = bool(pictures) and not videos and bool(place)
        if not is_clip:
            others += pictures
        self.result.videos += videos
        self.result.frames += [place] if is_clip else []
        self.result.others += sorted(others)
        self._require_bounds(place, len(above))
        self._require_texts([*videos, *([place] if is_clip else [])])
        below = [self._visit(name, (*above, real)) for name in directories]
        has_clip = bool(videos) or is_clip or any(below)
        if not has_clip and place:
            self.result.empty.append(place)
        return has_clip

    def _listed(self, place: str) -> tuple[list[str], list[str], list[str], list[str]]:
        """Return the directories, videos, pictures and other files of one directory."""
        directories: list[str] = []
        videos: list[str] = []
        pictures: list[str] = []
        others: list[str] = []
        for entry in self._folder.entries(place):
            path = f"{place}/{entry.name}" if place else entry.name
            if entry.name.startswith(_NO_CLIPS) and not entry.is_dir():
                others.append(path)
                continue
            if entry.name.startswith(".") and entry.name.endswith(_CLOUD):
                self.result.unfetched.append(path)
                continue
            if entry.name.startswith(".") or entry.name.lower() in _LITTER:
                continue
            if entry.is_symlink():
                self._require_inside(path)
            suffix = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122 - of many
            if entry.is_dir():
                directories.append(path)
            elif entry.is_symlink() and not Path(self._root, path).exists():
                self.result.unfetched.append(path)
            elif not entry.is_file():
                others.append(path)
            elif suffix in VIDEO_SUFFIXES:
                videos.append(path)
            elif suffix in PICTURE_SUFFIXES:
                pictures.append(path)
            else:
                others.append(path)
        return directories, videos, pictures, others

    def _require_bounds(self, place: str, depth: int) -> None:
        if depth > MAX_LEVELS:
            msg = (
                f"'{printable(place)}' is more than {MAX_LEVELS} directories below '{self._root}', the "
                "most that is allowed; give a --root further down."
            )
            raise DatasetError(msg)
        if max(self._num_directories, len(self.result.videos)) > MAX_ROWS:
            msg = f"'{self._root}' holds more than {MAX_ROWS} clips, the most allowed; split it."
            raise DatasetError(msg)

    def _require_inside(self, path: str) -> None:
        if (elsewhere := self._folder.way_out(path)) is not None:
            msg = (
                f"'{printable(str(self._root / path))}' is a link out of '{self._root}', to "
                f"'{printable(elsewhere)}'; copy its target into the directory."
            )
            raise DatasetError(msg)

    def _require_texts(self, paths: Sequence[str]) -> None:
        for path in paths:
            if not fits_one_line(path):
                msg = f"{str(self._root / path)!r} has a name that is not plain text in UTF-8; rename it."
                raise DatasetError(msg)

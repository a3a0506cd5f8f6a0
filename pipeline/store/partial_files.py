"""Removal of half-written files of killed processes, once they are too old for a running writer."""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

from pipeline.errors import FileError
from pipeline.own_dir import OwnDir

_ABANDONED_SECONDS = 3600.0


def remove_beside(path: Path, suffix: str) -> None:
    """Remove partial files named ``.NAME.*SUFFIX`` beside `path`. Links are not followed."""
    folder, names = OwnDir.of(path.parent), list[str]()
    with contextlib.suppress(OSError):  # a folder that cannot be listed may still be written
        names = os.listdir(path.parent)  # noqa: PTH208 - names alone: the folder may hold many others
    for name in names:
        if name.startswith(f".{path.name}.") and name.endswith(suffix):
            with contextlib.suppress(FileError):
                _remove_old(folder, name)


def remove_below(folder: OwnDir, suffix: str, is_wanted: Callable[[str], bool] = lambda _: True) -> None:
    """Remove partial files in a directory of this program and in those below it, if it exists.

    Args:
        folder: The directory.
        suffix: End of the names of partial files.
        is_wanted: Returns whether an entry of the directory, given by name, is examined. By default, all are.

    Raises:
        FileError: A link is in the place of the directory or of one above it.
    """
    if not folder.is_dir():
        return
    for name, kind in folder.entries().items():
        if not is_wanted(name):
            continue
        if kind == "directory":
            remove_below(folder / name, suffix)
        elif name.endswith(suffix):
            _remove_old(folder, name)


def is_abandoned(path: Path) -> bool:
    """Return whether a half-written file or directory is too old for a running writer; False if gone."""
    try:
        return path.stat(follow_symlinks=False).st_mtime < time.time() - _ABANDONED_SECONDS
    except FileNotFoundError:
        return False


def _remove_old(folder: OwnDir, name: str) -> None:
    if not is_abandoned(folder.path / name):
        return
    if folder.kind(name) == "directory":
        (folder / name).remove_tree()
    else:
        folder.remove_file(name)

"""What killed processes left half written: removed once it is too old for anybody to be writing it."""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

from pipeline.errors import FileError
from pipeline.own_dir import OwnDir

_LITTER_SECONDS = 3600.0


def sweep_beside(path: Path, suffix: str) -> None:
    """Remove litter beside `path`: `.NAME.` and anything, up to the suffix. Links are not followed."""
    folder, names = OwnDir.of(path.parent), list[str]()
    with contextlib.suppress(OSError):  # a folder that cannot be listed may still be written
        names = os.listdir(path.parent)  # noqa: PTH208 - names alone: the folder may hold many others
    for name in names:
        if name.startswith(f".{path.name}.") and name.endswith(suffix):
            with contextlib.suppress(FileError):
                _remove_old(folder, name)


def sweep_below(folder: OwnDir, suffix: str, is_wanted: Callable[[str], bool] = lambda _: True) -> None:
    """Remove litter with the suffix in a folder of ours and in those in it, if it is there.

    is_wanted: by its name, whether something in the folder is looked at. Raises FileError for a link in the
    place of the folder or of one above it.
    """
    if not folder.is_dir():
        return
    for name, kind in folder.entries().items():
        if not is_wanted(name):
            continue
        if kind == "directory":
            sweep_below(folder / name, suffix)
        elif name.endswith(suffix):
            _remove_old(folder, name)


def is_litter(path: Path) -> bool:
    """Whether a half-written file or folder is too old for anybody to be at it; False once it is gone."""
    try:
        return path.stat(follow_symlinks=False).st_mtime < time.time() - _LITTER_SECONDS
    except FileNotFoundError:
        return False


def _remove_old(folder: OwnDir, name: str) -> None:
    if not is_litter(folder.path / name):
        return
    if folder.kind(name) == "directory":
        (folder / name).remove_tree()
    else:
        folder.remove_file(name)

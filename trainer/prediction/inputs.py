"""Paths that a user names -> videos and directories of images to predict, each with a name for its output."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ClipError, ConfigError, counted
from pipeline.pictures import VIDEO_SUFFIXES, PictureFolder
from trainer.prediction.stored import PROGRESS_FILE

ANNOTATED_FILE = "annotated.mp4"
"""The annotated video of a prediction."""
_MOST_SOURCES = 100_000


@dataclass(frozen=True, kw_only=True)
class Input:
    """A source to predict.

    Attributes:
        path: The video, or the directory of images.
        name: Path of its output below the output directory, such as ``interviews/anna``. It is unique.
    """

    path: Path
    name: str


def find_inputs(paths: Sequence[Path]) -> tuple[list[Input], bool]:
    """Return the sources that paths name.

    A directory is searched for videos, recursively, in sorted order, without the annotated videos of
    predictions in it. A directory without videos that has images is one source itself.

    Args:
        paths: Videos and directories.

    Returns:
        The sources, and whether they are a collection: several paths, or a directory of videos.

    Raises:
        ConfigError: A path does not exist, or a directory has neither videos nor images.
    """
    found: list[tuple[Path, Path]] = []  # path, path without suffix below the named one
    is_collection = len(paths) > 1
    for path in paths:
        if not path.exists():
            msg = f"Nothing is at '{path}'; give a video, a directory of videos, or a directory of images."
            raise ConfigError(msg)
        if not path.is_dir():
            found.append((path, Path(path.name)))
            continue
        videos = list(_videos_below(path))
        if videos:
            is_collection = True
            found += [(video, video.relative_to(path)) for video in videos]
        elif _has_images(path):
            found.append((path, Path(path.resolve().name)))
        else:
            msg = (
                f"'{path}' has neither videos ({' '.join(sorted(VIDEO_SUFFIXES))}) nor images; name a video "
                "with another suffix by its own path."
            )
            raise ConfigError(msg)
    if len(found) > _MOST_SOURCES:
        msg = f"{counted(len(found), 'video')} at once; allowed: {_MOST_SOURCES}. Name a part of them."
        raise ConfigError(msg)
    return _named(found), is_collection


def _videos_below(directory: Path) -> Iterator[Path]:
    for above, directories, files in os.walk(directory):
        directories.sort()
        for name in sorted(files):
            path = Path(above, name)
            if name == ANNOTATED_FILE and PROGRESS_FILE in files:
                continue
            if not name.startswith(".") and path.suffix.lower() in VIDEO_SUFFIXES and path.is_file():
                yield path


def _has_images(directory: Path) -> bool:
    try:
        return bool(PictureFolder.at(directory).names)
    except ClipError:
        return False


def _named(found: Sequence[tuple[Path, Path]]) -> list[Input]:
    """Name sources by their paths without suffix; with it, and with a number, where names would be equal."""
    short = Counter(below.with_suffix("").as_posix() for _, below in found)
    names = [
        (below if short[below.with_suffix("").as_posix()] > 1 else below.with_suffix("")).as_posix()
        for _, below in found
    ]
    repeated, numbers = Counter(names), Counter[str]()
    taken = {name for name in names if repeated[name] == 1}
    inputs = []
    for (path, _), name in zip(found, names, strict=True):
        unique = name
        while repeated[name] > 1 and (unique == name or unique in taken):
            numbers[name] += 1
            unique = f"{name}-{numbers[name]}"
        taken.add(unique)
        inputs.append(Input(path=path, name=unique))
    return inputs

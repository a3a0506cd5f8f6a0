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
_RESERVED = frozenset(["index.html", "index.json", "labels.json", "labelled.csv", "labels.png"])
"""Files above the predictions of a collection."""


@dataclass(frozen=True, kw_only=True)
class Input:
    """A source to predict.

    Attributes:
        path: The video, or the directory of images.
        name: Path of its output below the output directory, such as ``interviews/anna``. It is unique, and
            no part of another one's path.
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
    """Name sources by their paths without suffix; with it, and with a number, where names would collide.

    Names collide if they are equal, if one is a directory of the path of another, so that the files of one
    prediction would be in the directory of another one, or if the name is that of a file above all of them.
    """
    belows = [below for _, below in found]
    names = [below.with_suffix("").as_posix() for below in belows]
    while True:
        raised = [
            below.as_posix() if collides else name
            for below, name, collides in zip(belows, names, _collisions(names), strict=True)
        ]
        if raised == names:
            break
        names = raised
    collisions = _collisions(names)
    taken = {name for name, collides in zip(names, collisions, strict=True) if not collides}
    above = {parent for name in taken for parent in _parents(name)}
    numbers = Counter[str]()
    inputs = []
    for (path, _), name, collides in zip(found, names, collisions, strict=True):
        unique = name
        while collides and (
            unique == name or unique in taken or unique in above or taken.intersection(_parents(unique))
        ):
            numbers[name] += 1
            unique = f"{name}-{numbers[name]}"
        taken.add(unique)
        above.update(_parents(unique))
        inputs.append(Input(path=path, name=unique))
    return inputs


def _collisions(names: Sequence[str]) -> list[bool]:
    """Return whether each name equals another one, is a directory of one, or is reserved."""
    counts, above = Counter(names), {parent for name in names for parent in _parents(name)}
    return [counts[name] > 1 or name in above or name in _RESERVED for name in names]


def _parents(name: str) -> list[str]:
    """Return the directories of a name, without the output directory itself."""
    return [parent.as_posix() for parent in Path(name).parents[:-1]]

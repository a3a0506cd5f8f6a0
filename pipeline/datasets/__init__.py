"""Data sets as they lie on disk, each read into one `DatasetIndex`.

``manifest``   a CSV or JSONL list of a user's own clips
``rows``       the rows of such a list
``folder``     ``class/*.mp4``, or files that are named after their class
``synthetic``  drawn clips with a known answer
``emotions``   the polarity of a class name
``names``      which texts can be names
``bounds``     how much a set may say, and where its files may lie

A new data set is one module with a `read(root) -> DatasetIndex` and one line in `READERS`.
"""

import dataclasses
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import cast

from pipeline.errors import ConfigError, DatasetError
from pipeline.types import DatasetIndex

READERS: Mapping[str, str] = {
    "manifest": "pipeline.datasets.manifest",
    "folder": "pipeline.datasets.folder",
    "synthetic": "pipeline.datasets.manifest",
}
"""Data set -> the module that reads it; a synthetic set brings a manifest."""

PLANNED = ("dfew", "ferv39k", "mafw")
"""Official sets that have no reader yet."""


def read_dataset(name: str, root: Path) -> DatasetIndex:
    """Read the data set `name` that lies at `root`.

    Raises ConfigError for an unknown name and DatasetError for a root that cannot be read.
    """
    if name in PLANNED:
        msg = (
            f"--dataset {name}: the official sets are not read yet; allowed now: {', '.join(READERS)}. "
            f"A manifest of {name}'s clips (--dataset manifest) works today."
        )
        raise DatasetError(msg)
    if name not in READERS:
        msg = f"--dataset is '{name}'; allowed: {', '.join(READERS)}."
        raise ConfigError(msg)
    if not root.exists():
        msg = (
            f"No data set at '{root}'; give --root PATH, or set $OUS_DATA to the folder that holds '{name}' "
            f"(without it, data/{name} is looked for)."
        )
        raise DatasetError(msg)
    read = cast(Callable[[Path], DatasetIndex], import_module(READERS[name]).read)
    return dataclasses.replace(read(root), name=name, source=root)

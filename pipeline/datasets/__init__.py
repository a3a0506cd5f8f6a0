"""Datasets on disk, each read into one `DatasetIndex`.

``dfew`` ``ferv39k`` ``mafw``  published datasets, each one `OfficialSet`
``official_reader``            types of these three, and the reader of their lists
``build_index``                one index from lists, files and votes
``official_counts``            published classes, counts and label orders
``list_files``                 choice of the lists to read, with fold and split
``list_names``                 fold and split by the names of files and directories
``families``                   rejection of several families of lists in one directory
``list_parser``                parser of lists, which recognises formats by content
``label_encoding``             meaning of the integers of a list
``label_counts``               counts of labels, compared with the published ones
``file_scan``                  clips below a root directory, found by name
``votes``                      votes of the annotators, from a workbook
``manifest``                   CSV or JSONL list of a user's own clips
``rows``                       rows of such a list
``text_files``                 its encoding and its column separator
``manifest_rows``              the clips that its rows name
``manifest_paths``             its paths, as other systems write them
``provided_boxes``             its face boxes
``polarities``                 a user's map of polarities
``folder``                     directories of clips without a list, by their layout
``lone_classes``               classes that look like names of clips
``near_names``                 class names that are probably misspelt
``missing_training``           folds and classes without training clips
``synthetic``                  drawn clips with a known answer
``emotions``                   names of classes and their polarity
``splits``                     words for train, validation and test
``spelling``                   spellings of one name, and texts that are no name
``other_names``                an index under the names of a cache
``names``                      texts that can be names
``page``                       the README's table of datasets
``limits``                     limits on the size of lists and the place of files

A new dataset is one module with a `read(root, options) -> DatasetIndex` and its name in `Dataset` of
`pipeline.choices`; docs/adding-a-dataset.md shows one.
"""

import dataclasses
import os
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import cast, get_args

from pipeline.choices import Dataset
from pipeline.errors import ConfigError, DatasetError
from pipeline.types import DatasetIndex, ReadOptions

READERS: Mapping[str, str] = {
    **{name: f"pipeline.datasets.{name}" for name in get_args(Dataset)},
    "synthetic": "pipeline.datasets.manifest",
}
"""Dataset -> the module that reads it. A synthetic dataset has a manifest."""

_DEFAULTS = ReadOptions()
_FLAGS = {
    "lists": "--lists",
    "label_order": "--label-order",
    "all_clips": "--all-clips",
    "source": "--source",
}


def read_dataset(name: str, root: Path, options: ReadOptions = _DEFAULTS) -> DatasetIndex:
    """Read a dataset into one index.

    Args:
        name: One of READERS.
        root: Directory of the dataset. For a manifest, the file or its directory.
        options: The user's choice of lists, label order and form of clips, for published datasets.

    Raises:
        ConfigError: The name is unknown, or an option is set that the dataset does not have.
        DatasetError: The root does not exist or cannot be read.
    """
    if name not in READERS:
        msg = f"--dataset is '{name}'; allowed: {', '.join(READERS)}."
        raise ConfigError(msg)
    if not root.exists():
        msg = (
            f"No dataset at '{root}'; give --root PATH, or set $OUS_DATA to the directory that holds "
            f"'{name}' (the default is data/{name})."
        )
        raise DatasetError(msg)
    module = import_module(READERS[name])
    for option, flag in _FLAGS.items():
        if option not in module.OPTIONS and getattr(options, option) != getattr(_DEFAULTS, option):
            known = ", ".join(_FLAGS[one] for one in module.OPTIONS) or "no such option"
            msg = f"{flag} does not apply to --dataset {name}; allowed: {known}. Leave it out."
            raise ConfigError(msg)
    options = dataclasses.replace(options, lists=tuple(os.path.abspath(path) for path in options.lists))  # noqa: PTH100 - keeps links
    read = cast(Callable[[Path, ReadOptions], DatasetIndex], module.read)
    return dataclasses.replace(read(root, options), name=name, source=root, options=options)

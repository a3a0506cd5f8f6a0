"""Data sets as they lie on disk, each read into one `DatasetIndex`.

``dfew`` ``ferv39k`` ``mafw``  the owners' trees, each one `OfficialSet`
``official_reader``            what their readers share: their lists, as written
``build_index``                lists, tree and votes put together into one index
``official_counts``            what the authors publish of a data set
``list_files``                 which lists are read, of which fold and split
``list_names``                 the fold and split that names of files and directories show
``families``                   families of lists in one directory, of which one is read
``list_parser``                a list that circulates, recognised by what it holds
``label_encoding``             what the integers of a list mean
``label_counts``               how often a list has each label, beside the published counts
``file_scan``                  the files of a tree, by name
``votes``                      the annotators' votes, from a workbook
``manifest``                   a CSV or JSONL list of a user's own clips
``rows``                       the rows of such a list
``text_files``                 its encoding, and how its columns are separated
``manifest_paths``             its paths, as other systems write them
``given_boxes``                its face boxes
``polarities``                 a user's map of polarities
``folder``                     directories of clips without a list, by their layout
``lone_classes``               classes that look like names of clips
``near_names``                 class names that are probably misspelt
``untrained``                  folds and classes that are measured and not trained
``synthetic``                  drawn clips with a known answer
``emotions``                   names of classes and their polarity
``splits``                     words for train, validation and test
``spelling``                   which texts are one name, and which are none
``other_names``                an index under the names of a cache
``names``                      which texts can be names
``page``                       the README's table of data sets
``limits``                     how much a set may hold, and where its files may be

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
    """Read the data set `name` that lies at `root`.

    Raises ConfigError for an unknown name, or an option that this data set does not know (its module's
    OPTIONS), and DatasetError for a root that cannot be read.
    """
    if name not in READERS:
        msg = f"--dataset is '{name}'; allowed: {', '.join(READERS)}."
        raise ConfigError(msg)
    if not root.exists():
        msg = (
            f"No data set at '{root}'; give --root PATH, or set $OUS_DATA to the folder that holds '{name}' "
            f"(without it, data/{name} is looked for)."
        )
        raise DatasetError(msg)
    module = import_module(READERS[name])
    for option, flag in _FLAGS.items():
        if option not in module.OPTIONS and getattr(options, option) != getattr(_DEFAULTS, option):
            known = ", ".join(_FLAGS[one] for one in module.OPTIONS) or "none of the kind"
            msg = f"{flag} means nothing for --dataset {name}; allowed: {known}. Leave it out."
            raise ConfigError(msg)
    options = dataclasses.replace(options, lists=tuple(os.path.abspath(path) for path in options.lists))  # noqa: PTH100 - keeps links
    read = cast(Callable[[Path, ReadOptions], DatasetIndex], module.read)
    return dataclasses.replace(read(root, options), name=name, source=root, options=options)

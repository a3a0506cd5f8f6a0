"""Words for the splits of a dataset, in lists, in names of files and in directories."""

from collections.abc import Mapping

from pipeline.types import Split

SPLIT_OF: Mapping[str, Split] = {
    "train": Split.TRAIN, "training": Split.TRAIN,
    "val": Split.VALIDATION, "valid": Split.VALIDATION, "validation": Split.VALIDATION,
    "dev": Split.VALIDATION, "devel": Split.VALIDATION, "development": Split.VALIDATION,
    "test": Split.TEST, "testing": Split.TEST,
}  # fmt: skip
"""Word in lower case -> the split that it means."""

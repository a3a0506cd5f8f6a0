"""Files of published weights: their list, download, checks and reading.

``catalogue``  published files that are fetched and checked, and the directory of weights
``download``   locate, download and check a published file
``limits``     limits on the size of a file and of its unpacked content, checked before it is unpacked
``kinds``      kind of a file that contains no weights: a web page, a pickled module, a Git LFS pointer
``values``     check for trained values: finite, and no matrix of zeros
``tensors``    the detector's tensors, read without running code
"""

from pipeline.weights.catalogue import (
    PUBLISHED,
    SHA256_DIGITS,
    WEIGHTS_DIR,
    PublishedFile,
    published,
    weights_dir,
)
from pipeline.weights.download import Fetched, fetch, is_here, locate, obtain, verify_file
from pipeline.weights.kinds import is_safetensors, refuse_other_kinds, unreadable
from pipeline.weights.limits import require_unpacked_size
from pipeline.weights.tensors import load_state_dict
from pipeline.weights.values import UNFINISHED, find_untrained_values, unfinished_beside

__all__ = [
    "PUBLISHED",
    "SHA256_DIGITS",
    "UNFINISHED",
    "WEIGHTS_DIR",
    "Fetched",
    "PublishedFile",
    "fetch",
    "find_untrained_values",
    "is_here",
    "is_safetensors",
    "load_state_dict",
    "locate",
    "obtain",
    "published",
    "refuse_other_kinds",
    "require_unpacked_size",
    "unfinished_beside",
    "unreadable",
    "verify_file",
    "weights_dir",
]

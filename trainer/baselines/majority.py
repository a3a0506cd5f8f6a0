"""Training labels -> the most frequent class, for every clip: the floor of every result.

Letters: N clips; C classes.
"""

import numpy as np

from pipeline.types import Ints


def most_frequent(label_N: Ints, num_classes: int) -> int:
    """Return the most frequent class of N clips; of several, the first in the order of the labels."""
    return int(np.bincount(label_N, minlength=num_classes).argmax())

"""Training clips -> quartiles of their lengths in seconds: the tempo that a model has learnt.

Letters: N clips; T frames of a view.
"""

from collections.abc import Sequence

import numpy as np

from pipeline.store.reader import FeatureCache
from pipeline.types import Bools, Floats, Ints

_QUARTILES = (25, 50, 75)
_DECIMALS = 6


def length_quartiles(clips: Sequence[tuple[FeatureCache, Ints]]) -> tuple[float, ...]:
    """Return the 25%, 50% and 75% quantiles of the lengths of clips, in seconds; empty if none has times.

    `clips` are open caches, each with the rows of its clips.
    """
    length_N = np.concatenate(
        [
            lengths(cache.read("frame_seconds")[row_N, 0], cache.read("frame_valid")[row_N, 0])
            for cache, row_N in clips
        ]
    )
    known = length_N[np.isfinite(length_N) & (length_N > 0)]
    if not len(known):
        return ()
    return tuple(float(value) for value in np.percentile(known, _QUARTILES).round(_DECIMALS))


def lengths(seconds_NT: Floats, valid_NT: Bools) -> Floats:
    """Return the lengths of clips [N] in seconds, NaN where unknown.

    The v valid frames are at equal distances, each in the middle of an equal part of the clip, which is
    therefore v / (v - 1) times as long as the time from the first to the last of them. One frame, and the
    images of a directory, have no length.

    Args:
        seconds_NT: Times of the frames; NaN for the images of a directory.
        valid_NT: True for valid frames, which come first.
    """
    num_N = valid_NT.sum(axis=1)
    last_N = np.maximum(num_N - 1, 0)
    span_N = seconds_NT[np.arange(len(seconds_NT)), last_N] - seconds_NT[:, 0]
    length_N: Floats = np.where(num_N >= 2, span_N * num_N / np.maximum(last_N, 1), np.nan)
    return length_N

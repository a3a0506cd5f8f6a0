"""Check features for NaN and infinity when they are read.

A model would predict the first class for them, and its loss would become NaN. No extraction stores such
values (`pipeline.process`), so that they are damage. `cache repair` finds the same damage.

Letters: N clips; X numbers of a clip.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pipeline.errors import CacheError, counted, some
from pipeline.program import command
from pipeline.store.reader import FeatureCache
from pipeline.types import Bools, Ints

_CLIPS_AT_ONCE = 64
_WITHOUT_SIGN, _INFINITY = 0x7FFF, 0x7C00
"""Bits of a float16: all but its sign, and the smallest pattern of infinity or NaN (IEEE 754)."""


def require_finite(features: Mapping[str, torch.Tensor], cache: FeatureCache, row_N: Ints) -> None:
    """Raise CacheError, naming clips and arrays, if features are NaN or infinite.

    Args:
        features: [N, ...] by name of the cache's array, in host memory: its float16 values, or means of them
            in float32.
        cache: The cache, for the message.
        row_N: Rows of the clips in the cache.
    """
    bad = {name: ~_are_finite(value_NX.flatten(1).numpy()) for name, value_NX in features.items()}
    bad_N = np.stack(list(bad.values())).any(axis=0)
    if not bad_N.any():
        return
    rows = np.unique(row_N[bad_N])
    ids = [f"'{clip_id}'" for clip_id in cache.read("clip_id")[rows].tolist()]
    arrays = ", ".join(name for name, is_bad_N in bad.items() if is_bad_N.any())
    repair = f"`{command('cache', 'repair', cache.place)}` computes them again."
    if cache.place.is_hdf5:
        repair = "repair the cache from which it was exported, and export that again."
    msg = (
        f"{cache.place}: features of {counted(len(ids), 'clip')} hold NaN or infinity: {some(ids)} "
        f"({arrays}). `{command('cache', 'verify', cache.place)}` lists all damage; {repair}"
    )
    raise CacheError(msg)


def _are_finite(value_NX: npt.NDArray[Any]) -> Bools:
    """Return whether the features of each clip are finite [N].

    float16 is checked by its exponent, because `numpy.isfinite` takes 18 times as long. Means are checked by
    their sum, which cannot overflow in float32.
    """
    if value_NX.dtype != np.float16:
        return np.asarray(np.isfinite(value_NX.sum(axis=1)))
    starts = range(0, len(value_NX), _CLIPS_AT_ONCE)
    parts = (value_NX[start : start + _CLIPS_AT_ONCE].view(np.uint16) for start in starts)
    return np.concatenate([(bits_NX & _WITHOUT_SIGN).max(axis=1) < _INFINITY for bits_NX in parts])

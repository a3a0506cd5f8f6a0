"""Features that are NaN or infinite: found as they are read, and rejected with the names of their clips.

A model would answer them with the first class, and train on them to NaN. No extraction stores them
(`pipeline.process`), so that they are damage. `cache repair` finds the same damage.

Letters: N clips; X the dimensions of their features.
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
"""Bits of a float16: all but its sign, and the least of a value that is infinite or NaN (IEEE 754)."""


def require_finite(features: Mapping[str, torch.Tensor], cache: FeatureCache, row_N: Ints) -> None:
    """Raise CacheError, naming clips and arrays, where features hold NaN or infinity.

    features: [N, ...] of each array of the cache, in host memory: its float16 values, or means of them in
    float32. row_N: the clips' rows in the cache.
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
        repair = "repair the cache that it was exported from, and export that again."
    msg = (
        f"{cache.place}: features of {counted(len(ids), 'clip')} hold NaN or infinity: {some(ids)} "
        f"({arrays}). `{command('cache', 'verify', cache.place)}` lists what else is wrong; {repair}"
    )
    raise CacheError(msg)


def _are_finite(value_NX: npt.NDArray[Any]) -> Bools:
    """Whether each clip's features are finite, in one pass on one thread.

    float16 by the exponent: `numpy.isfinite` takes eighteen times as long. Means of such values by their sum,
    which cannot overflow in float32.
    """
    if value_NX.dtype != np.float16:
        return np.asarray(np.isfinite(value_NX.sum(axis=1)))
    starts = range(0, len(value_NX), _CLIPS_AT_ONCE)
    parts = (value_NX[start : start + _CLIPS_AT_ONCE].view(np.uint16) for start in starts)
    return np.concatenate([(bits_NX & _WITHOUT_SIGN).max(axis=1) < _INFINITY for bits_NX in parts])

"""Features that are NaN or infinite: found as they are read, and rejected with the names of their clips.

A model would answer them with the first class, and train on them to NaN. No extraction stores them
(`pipeline.process`), so that they are damage. `cache repair` finds the same damage.

Letters: N clips; X the dimensions of their features.
"""

from collections.abc import Sequence

import numpy as np
import torch

from pipeline.errors import CacheError, counted, some
from pipeline.program import command
from pipeline.store.reader import FeatureCache
from pipeline.types import Ints

NotFinite = tuple[str, int]
"""An array of the cache, and the place in memory of a clip for which it holds NaN or infinity."""


def not_finite(name: str, value_NX: torch.Tensor, place_N: torch.Tensor) -> list[NotFinite]:
    """Find the clips whose features hold NaN or infinity.

    They are found by their sum, in one pass: in float32 a sum of float16 values, or of means of such values,
    cannot overflow.
    """
    sum_N = value_NX.flatten(1).sum(dim=1, dtype=torch.float32)
    return [(name, place) for place in place_N[~sum_N.isfinite()].tolist()]


def require_finite(found: Sequence[NotFinite], cache: FeatureCache, row_N: Ints) -> None:
    """Raise CacheError, naming clips and arrays, where any were found.

    row_N: the row in the cache of the clip at each place in memory.
    """
    if not found:
        return
    rows = np.unique(row_N[[place for _, place in found]])
    ids = [f"'{clip_id}'" for clip_id in cache.read("clip_id")[rows].tolist()]
    arrays = ", ".join(sorted({name for name, _ in found}))
    repair = f"`{command('cache', 'repair', cache.place)}` computes them again."
    if cache.place.is_hdf5:
        repair = "repair the cache that it was exported from, and export that again."
    msg = (
        f"{cache.place}: features of {counted(len(ids), 'clip')} hold NaN or infinity: {some(ids)} "
        f"({arrays}). `{command('cache', 'verify', cache.place)}` lists what else is wrong; {repair}"
    )
    raise CacheError(msg)

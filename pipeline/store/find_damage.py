"""Search for damaged blocks: chunks that cannot be read or are missing, features that are not finite."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import CacheDamagedError
from pipeline.store.reader import FeatureCache
from pipeline.store.schema import BY_NAME, ArraySpec
from pipeline.types import Status

_READERS = 4


@dataclass(frozen=True, kw_only=True)
class Damage:
    """Damaged block with the clips `start` to `end` - 1. troubles: one text per array and problem."""

    start: int
    end: int
    troubles: tuple[str, ...]

    def __str__(self) -> str:
        return f"clips {self.start} to {self.end - 1}: {'; '.join(self.troubles)}"


def damaged_blocks(cache: FeatureCache, on_block: Callable[[], None] | None = None) -> list[Damage]:
    """Find every block with a chunk that cannot be read, or that is missing although its clips are finished.

    `cache verify` checks values. Here the only wrong values are features of finished clips that are NaN or
    infinite. on_block: called after each block.

    Raises CacheError if the clip table is damaged, because no block can replace it.
    """
    for spec in cache.meta.arrays():
        if not spec.per_block:
            cache.read(spec.name)
    found: list[Damage] = []
    with ThreadPoolExecutor(_READERS) as pool:
        for damage in pool.map(
            lambda start: _look_at(cache, start), range(0, cache.meta.num_clips, cache.meta.block_clips)
        ):
            found += [damage] if damage.troubles else []
            if on_block is not None:
                on_block()
    return found


def _look_at(cache: FeatureCache, start: int) -> Damage:
    end = min(start + cache.meta.block_clips, cache.meta.num_clips)
    rows, troubles = {}, []
    for spec in cache.meta.arrays():
        if not spec.per_block:
            continue
        try:
            rows[spec.name] = cache.read(spec.name, start, end)
        except CacheDamagedError:
            troubles.append(f"{spec.name} cannot be read")
    if "status" in rows:
        missing = _missing(cache, rows)
        troubles += [f"{name} is missing" for name in missing]
        troubles += [f"{name} holds NaN or infinity" for name in _not_finite(rows) if name not in missing]
    return Damage(start=start, end=end, troubles=tuple(troubles))


def _not_finite(rows: dict[str, npt.NDArray[Any]]) -> list[str]:
    """Return the features that are not finite for a clip that is done."""
    done = np.isin(rows["status"], (Status.DONE, Status.DONE_WITHOUT_FACE))
    return [
        name
        for name, value in rows.items()
        if BY_NAME[name].is_feature and not np.isfinite(value[done]).all()
    ]


def _missing(cache: FeatureCache, rows: dict[str, npt.NDArray[Any]]) -> list[str]:
    """Return the arrays that hold only fill values for a clip whose status requires others."""
    status = rows["status"]
    done = (status == Status.DONE) | (status == Status.DONE_WITHOUT_FACE)
    face = status == Status.DONE
    box = face & (not cache.meta.takes_crops)
    needed = {"done": done, "face": face, "box": box, "failed": status == Status.FAILED}
    return [
        spec.name
        for spec in cache.meta.arrays()
        if spec.name in rows
        and spec.never_empty in needed
        and (needed[spec.never_empty] & _is_empty(rows[spec.name], spec)).any()
    ]


def _is_empty(value: npt.NDArray[Any], spec: ArraySpec) -> npt.NDArray[np.bool_]:
    """Return for each clip whether it holds only the fill value, by the first number for encoder output."""
    flat = value.reshape(len(value), -1)
    if spec.is_feature:
        flat = flat[:, :1]
    empty = np.isnan(flat) if spec.fill != spec.fill else flat == spec.fill  # noqa: PLR0124 - NaN is not itself
    return np.asarray(empty.all(axis=1))

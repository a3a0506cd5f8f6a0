"""Tracklets and detections assigned to each other at the least total cost (pure).

Letters: K detections of a frame; M tracklets.
"""

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from pipeline.boxes import iou_of
from pipeline.types import Floats

_FORBIDDEN = 1e6


def assign(cost_MK: Floats, new_cost: float) -> dict[int, int]:
    """Return the detection of each tracklet that has one, at the least total cost (Hungarian method).

    A tracklet or a detection without a partner costs half of `new_cost`.
    """
    m, k = cost_MK.shape
    if not np.isfinite(cost_MK).any():
        return {}
    square = np.full((m + k, m + k), _FORBIDDEN)
    square[:m, :k] = np.where(np.isfinite(cost_MK), cost_MK, _FORBIDDEN)
    square[np.arange(m), k + np.arange(m)] = new_cost / 2
    square[m + np.arange(k), np.arange(k)] = new_cost / 2
    square[m:, k:] = 0
    rows, columns = linear_sum_assignment(square)
    return {
        int(row): int(column)
        for row, column in zip(rows, columns, strict=True)
        if row < m and column < k and np.isfinite(cost_MK[row, column])
    }


def margin_of(cost_MK: Floats, pairs: dict[int, int], m: int, new_cost: float) -> float:
    """Return how much more the next best assignment costs in which tracklet `m` has another detection.

    Assignments that exchange two partners are compared. Infinite if no other person could be meant.
    """
    k = pairs[m]
    held = {face: other for other, face in pairs.items()}
    best = np.inf
    for other in range(len(cost_MK)):
        if other != m and other not in pairs:
            best = min(best, cost_MK[other, k] - cost_MK[m, k])
    for face in range(cost_MK.shape[1]):
        if face == k or not np.isfinite(cost_MK[m, face]):
            continue
        taken = held.get(face)
        if taken is None:
            best = min(best, cost_MK[m, face] - cost_MK[m, k])
        else:
            before = cost_MK[m, k] + cost_MK[taken, face]
            best = min(best, cost_MK[m, face] + min(cost_MK[taken, k], new_cost) - before)
    for other, face in pairs.items():
        if other != m and np.isfinite(cost_MK[other, k]):
            after = cost_MK[other, k] + min(cost_MK[m, face], new_cost)
            best = min(best, after - cost_MK[m, k] - cost_MK[other, face])
    return max(0.0, float(best))


def overlaps_none(box_K4: Floats, limit: float) -> npt.NDArray[np.bool_]:
    """Return whether each box overlaps every other by no more than an intersection over union."""
    iou_KK = iou_of(box_K4, box_K4)
    np.fill_diagonal(iou_KK, 0)
    return np.asarray((iou_KK <= limit).all(axis=1))

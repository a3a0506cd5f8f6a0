"""Geometry of bounding boxes: side, centre, overlap.

Letters: N, M boxes, each x0, y0, x1, y1 in pixels.
"""

import numpy as np
import numpy.typing as npt

Boxes = npt.NDArray[np.floating]


def side_of(box_N4: Boxes) -> Boxes:
    """Return the sides of boxes, [N] in pixels: the square roots of their areas."""
    return np.sqrt((box_N4[:, 2] - box_N4[:, 0]) * (box_N4[:, 3] - box_N4[:, 1]))


def centre_of(box_N4: Boxes) -> Boxes:
    """Return the centres of boxes, [N, 2] in pixels."""
    return (box_N4[:, :2] + box_N4[:, 2:]) / box_N4.dtype.type(2)


def iou_of(one_N4: Boxes, other_M4: Boxes) -> npt.NDArray[np.float64]:
    """Return intersection over union of every pair of boxes, float64 [N, M]; all boxes have an area."""
    one, other = one_N4.astype(np.float64)[:, None], other_M4.astype(np.float64)[None]
    edges = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    shared = np.maximum(edges, 0).prod(axis=-1)
    area_N1 = (one[..., 2:] - one[..., :2]).prod(axis=-1)
    area_1M = (other[..., 2:] - other[..., :2]).prod(axis=-1)
    overlap: npt.NDArray[np.float64] = shared / (area_N1 + area_1M - shared)
    return overlap

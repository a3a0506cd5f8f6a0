"""Looks of faces: a descriptor of each detected face, which distinguishes people. Pure numpy and OpenCV.

Letters: K faces on a frame; D length of a descriptor; H, W frame.
"""

import cv2
import numpy as np

from pipeline.types import Bytes, Floats

_CROP_PX, _PATCH_PX, _BINS = 48, 12, 16
_INNER = slice(4, 44)
_PARTS, _BLUR = 4, 1.5
"""Parts of a bin in each direction, and the deviation in parts by which counts are spread.

So a small shift of flat colours, as in drawn films, does not move all of them into another bin.
"""
_COLOUR_RANGE = (90, 166)
"""Range of OpenCV's 8-bit a and b of CIELAB that faces and hair have; 128 is grey."""
_PATCH_WEIGHT = 0.1
"""Weight of the patch's squared distance. Colours distinguish people on one screen best; the patch decides
where colours are alike."""
_GREY_BINS, _GREY_SHARE, _GREY_PATCH_WEIGHT = slice(7, 9), 0.95, 0.5
"""Bins around grey, in a and in b; the share of a face's pixels in them from which it is black and white; and
the weight of the patch of such a face. The colours of all these faces are the same. With the other weight,
77 % of the pairs of two people on 19 videos were nearer than 0.45, in colour 2 %."""

LOOK_WIDTH = _BINS**2 + 3 * _PATCH_PX**2
"""D: length of a descriptor."""


def looks_of(rgb_HWC: Bytes, box_K4: Floats) -> Floats:
    """Describe the look of each face by its colours and its coarse pattern.

    The colours are a histogram over a and b of CIELAB (square roots, so that distances are Hellinger's), the
    pattern is the face as 12 x 12 pixels, without its mean and of length 1. The Euclidean distance of two
    descriptors is below 1.8. `looks` in benchmarks/results/tracking.json has its percentiles for faces of one
    person and of two people of a clip.

    Args:
        rgb_HWC: The frame, uint8 [H, W, 3].
        box_K4: Boxes x0, y0, x1, y1 in pixels, [K, 4].

    Returns:
        Descriptors, float32 [K, D].
    """
    looks = [look_of(square_of(rgb_HWC, box)) for box in box_K4]
    return np.stack(looks) if looks else np.empty((0, LOOK_WIDTH), np.float32)


def square_of(rgb_HWC: Bytes, box_xyxy_px: Floats) -> Bytes:
    """Return the square around a box, as 48 x 48 pixels; pixels outside the frame repeat its edge."""
    height, width, _ = rgb_HWC.shape
    x0, y0, x1, y1 = (float(edge) for edge in box_xyxy_px)
    side = max(1, round(max(x1 - x0, y1 - y0)))
    left, top = round((x0 + x1 - side) / 2), round((y0 + y1 - side) / 2)
    before_x, before_y = max(0, -left), max(0, -top)
    after_x, after_y = max(0, left + side - width), max(0, top + side - height)
    square = rgb_HWC[top + before_y : top + side - after_y, left + before_x : left + side - after_x]
    if before_x or before_y or after_x or after_y:
        edges = (before_y, after_y, before_x, after_x)
        square = np.asarray(cv2.copyMakeBorder(square, *edges, cv2.BORDER_REPLICATE), np.uint8)
    return np.asarray(cv2.resize(square, (_CROP_PX, _CROP_PX), interpolation=cv2.INTER_AREA), np.uint8)


def look_of(crop: Bytes) -> Floats:
    """Describe the look of one face, float32 [D], from the square around its box, uint8 [48, 48, 3]."""
    lab = cv2.cvtColor(crop, cv2.COLOR_RGB2LAB)
    fine = cv2.calcHist([lab], [1, 2], None, 2 * [_PARTS * _BINS], 2 * _COLOUR_RANGE)
    fine = cv2.GaussianBlur(fine, (0, 0), _BLUR, borderType=cv2.BORDER_CONSTANT)
    counts = fine.reshape(_BINS, _PARTS, _BINS, _PARTS).sum(axis=(1, 3)).ravel()
    colours = np.sqrt(counts / max(1.0, float(counts.sum())))
    inner = np.ascontiguousarray(crop[_INNER, _INNER], dtype=np.float32)
    patch = cv2.resize(inner, (_PATCH_PX, _PATCH_PX), interpolation=cv2.INTER_AREA).ravel()
    patch = patch - patch.mean()
    length = float(np.linalg.norm(patch))
    grey = counts.reshape(_BINS, _BINS)[_GREY_BINS, _GREY_BINS].sum()
    weight = _GREY_PATCH_WEIGHT if grey >= _GREY_SHARE * crop.shape[0] * crop.shape[1] else _PATCH_WEIGHT
    look = np.concatenate([colours, np.sqrt(weight) * patch / max(length, 1e-6)])
    return look.astype(np.float32)

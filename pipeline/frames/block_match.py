"""Comparison of two small grey pictures: is most of one of them found again in the other?

A camera or a person that moves shifts a picture, and a light changes its brightness and contrast, but its
texture stays. Therefore blocks are matched by their normalised correlation, which neither brightness nor
contrast changes, at shifted places.

Letters: H, W small picture.
"""

import cv2
import numpy as np

from pipeline.types import Bytes

_SIDE_PX = 16
_SEARCH_PX = 4
"""Largest shift of a block besides the shift of the whole picture."""
_LEAST_CORRELATION = 0.9
_LEAST_CONTRAST = 4.0
"""Least standard deviation of a block, in grey levels; plain areas match everywhere."""
_PLAIN_CONTRAST = 1.0
"""Standard deviation of an area, in grey levels, below which it contains no block."""
_LEAST_BLOCKS = 2
_LEAST_SHIFT_CORRELATION = 0.5
"""Least correlation of the pictures' middles from which a shift of the whole picture is tried."""

Shift = tuple[int, int]


def is_found_again(one_HW: Bytes, other_HW: Bytes, least: float) -> bool:
    """Return whether at least a fraction of the blocks of one picture is in the other one, in either order.

    A person who comes in front of a background hides blocks of the first picture, but the second picture
    then still has blocks of the first. A person who leaves is the reverse.

    Args:
        one_HW: Grey picture, uint8.
        other_HW: Grey picture of the same size.
        least: Least fraction of the blocks, 0 to 1.
    """
    return fraction_found(one_HW, other_HW) >= least or fraction_found(other_HW, one_HW) >= least


def fraction_found(one_HW: Bytes, other_HW: Bytes) -> float:
    """Return the fraction of the textured blocks of one picture that are in the other one.

    It is 0 if fewer than two textured blocks could be in the other picture.

    Args:
        one_HW: Grey picture, uint8.
        other_HW: Grey picture of the same size.
    """
    height, width = one_HW.shape
    shifts = _shifts(one_HW, other_HW)
    num_blocks = num_found = 0
    for top in range(0, height - _SIDE_PX + 1, _SIDE_PX):
        for left in range(0, width - _SIDE_PX + 1, _SIDE_PX):
            block = one_HW[top : top + _SIDE_PX, left : left + _SIDE_PX]
            if float(block.std()) < _LEAST_CONTRAST:
                continue
            best = [_correlation(block, other_HW, top + dy, left + dx) for dx, dy in shifts]
            num_blocks += max(best) > -1.0
            num_found += max(best) >= _LEAST_CORRELATION
    return num_found / num_blocks if num_blocks >= _LEAST_BLOCKS else 0.0


def _shifts(one_HW: Bytes, other_HW: Bytes) -> list[Shift]:
    """Return no shift, and the shift of the picture's middle if it is found elsewhere, as (x, y)."""
    height, width = one_HW.shape
    top, left = height // 4, width // 4
    middle = one_HW[top : height - top, left : width - left]
    found = cv2.matchTemplate(other_HW, middle, cv2.TM_CCOEFF_NORMED)
    _, correlation, _, (x, y) = cv2.minMaxLoc(found)
    shift = (x - left, y - top)
    return [(0, 0)] if correlation < _LEAST_SHIFT_CORRELATION or shift == (0, 0) else [(0, 0), shift]


def _correlation(block: Bytes, picture_HW: Bytes, top: int, left: int) -> float:
    """Return the largest correlation of a block near a place, -1 if the place is outside of the picture."""
    height, width = picture_HW.shape
    reach = _SIDE_PX + _SEARCH_PX
    area = picture_HW[
        max(0, top - _SEARCH_PX) : max(0, min(height, top + reach)),
        max(0, left - _SEARCH_PX) : max(0, min(width, left + reach)),
    ]
    if min(area.shape) < _SIDE_PX:
        return -1.0
    if float(area.std()) < _PLAIN_CONTRAST:
        return 0.0  # OpenCV's correlation with plain pixels is rounding error divided by rounding error
    return float(np.max(cv2.matchTemplate(area, block, cv2.TM_CCOEFF_NORMED)))

"""Drawing with anti-aliased shapes at fractional pixels, on pictures of any number of channels."""

from collections.abc import Sequence
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.types import Bytes

Points: TypeAlias = npt.NDArray[np.float64]
Colour: TypeAlias = Sequence[float]

_SHIFT = 4
_ONE = 1 << _SHIFT


def fill(picture: Bytes, points_px: Points, colour: Colour) -> None:
    """Fill the polygon [N, 2] (x, y) in place."""
    cv2.fillPoly(picture, [_fixed(points_px)], tuple(colour), cv2.LINE_AA, _SHIFT)


def line(picture: Bytes, points_px: Points, colour: Colour, width_px: float) -> None:
    """Draw the open polyline [N, 2] in place."""
    thick = max(round(width_px), 1)
    cv2.polylines(picture, [_fixed(points_px)], False, tuple(colour), thick, cv2.LINE_AA, _SHIFT)


def disc(
    picture: Bytes,
    centre_px: tuple[float, float],
    radii_px: tuple[float, float],
    colour: Colour,
    angle_degrees: float = 0.0,
) -> None:
    """Fill an ellipse of the RGB picture [H, W, 3] in place; radii across and along, then turned."""
    cv2.ellipse(
        picture,
        _pair(centre_px),
        _pair(radii_px),
        angle_degrees,
        0.0,
        360.0,
        tuple(colour),
        cv2.FILLED,
        cv2.LINE_AA,
        _SHIFT,
    )


def box(picture: Bytes, corner_px: tuple[float, float], size_px: tuple[float, float], colour: Colour) -> None:
    """Fill an upright rectangle of the RGB picture [H, W, 3] in place; (x, y) of its upper left corner."""
    (x, y), (w, h) = corner_px, size_px
    fill(picture, np.array([(x, y), (x + w, y), (x + w, y + h), (x, y + h)]), colour)


def ramp(height: int, width: int, stops: Sequence[tuple[float, Colour]]) -> Bytes:
    """A picture [height, width, 3] whose colour runs from top to bottom through `stops`."""
    places = [place for place, _ in stops]
    rows = np.stack(
        [np.interp(np.linspace(0, 1, height), places, [c[i] for _, c in stops]) for i in range(3)], axis=-1
    )
    return np.repeat(rows.round().astype(np.uint8)[:, None], width, axis=1)


def mixed(first: Colour, second: Colour, share: float) -> tuple[float, float, float]:
    """The colour that lies `share` of the way from the first to the second."""
    red, green, blue = ((1.0 - share) * a + share * b for a, b in zip(first, second, strict=True))
    return red, green, blue


def _fixed(points_px: Points) -> npt.NDArray[np.int32]:
    return np.round(points_px * _ONE).astype(np.int32)


def _pair(values: tuple[float, float]) -> tuple[int, int]:
    return round(values[0] * _ONE), round(values[1] * _ONE)

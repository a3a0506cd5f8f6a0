"""Anti-aliased shapes at fractional pixels, drawn on images of any number of channels."""

from collections.abc import Sequence
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.types import Bytes

Points: TypeAlias = npt.NDArray[np.float64]
Colour: TypeAlias = Sequence[float]
"""One value from 0 to 255 per channel of the image."""

_SHIFT = 4
_ONE = 1 << _SHIFT


def fill(picture: Bytes, points_px: Points, colour: Colour) -> None:
    """Fill a polygon.

    Args:
        picture: Image, uint8 [H, W] or [H, W, channels], changed in place.
        points_px: Corners (x, y) in pixels, [N, 2].
        colour: One value from 0 to 255 per channel.
    """
    cv2.fillPoly(picture, [_fixed(points_px)], tuple(colour), cv2.LINE_AA, _SHIFT)


def line(picture: Bytes, points_px: Points, colour: Colour, width_px: float) -> None:
    """Draw an open polyline.

    Args:
        picture: Image, uint8 [H, W] or [H, W, channels], changed in place.
        points_px: Corners (x, y) in pixels, [N, 2].
        colour: One value from 0 to 255 per channel.
        width_px: Width of the line, rounded to whole pixels, at least 1.
    """
    thick = max(round(width_px), 1)
    cv2.polylines(picture, [_fixed(points_px)], False, tuple(colour), thick, cv2.LINE_AA, _SHIFT)


def disc(
    picture: Bytes,
    centre_px: tuple[float, float],
    radii_px: tuple[float, float],
    colour: Colour,
    angle_degrees: float = 0.0,
) -> None:
    """Fill an ellipse.

    Args:
        picture: Image, uint8 [H, W] or [H, W, channels], changed in place.
        centre_px: Centre (x, y).
        radii_px: Half axes (x, y) before the rotation.
        colour: One value from 0 to 255 per channel.
        angle_degrees: Rotation, clockwise.
    """
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
    """Fill an upright rectangle.

    Args:
        picture: Image, uint8 [H, W] or [H, W, channels], changed in place.
        corner_px: Upper left corner (x, y).
        size_px: Width and height.
        colour: One value from 0 to 255 per channel.
    """
    (x, y), (w, h) = corner_px, size_px
    fill(picture, np.array([(x, y), (x + w, y), (x + w, y + h), (x, y + h)]), colour)


def ramp(height: int, width: int, stops: Sequence[tuple[float, Colour]]) -> Bytes:
    """Return an image with a vertical gradient, uint8 [height, width, 3].

    Args:
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        stops: Heights as fractions from the top, ascending, each with its RGB colour.
    """
    places = [place for place, _ in stops]
    rows = np.stack(
        [np.interp(np.linspace(0, 1, height), places, [c[i] for _, c in stops]) for i in range(3)], axis=-1
    )
    return np.repeat(rows.round().astype(np.uint8)[:, None], width, axis=1)


def mixed(first: Colour, second: Colour, share: float) -> tuple[float, float, float]:
    """Return the linear mix of two RGB colours.

    Args:
        first: Colour at `share` 0.
        second: Colour at `share` 1.
        share: Fraction of the second colour, 0 to 1.
    """
    red, green, blue = ((1.0 - share) * a + share * b for a, b in zip(first, second, strict=True))
    return red, green, blue


def _fixed(points_px: Points) -> npt.NDArray[np.int32]:
    return np.round(points_px * _ONE).astype(np.int32)


def _pair(values: tuple[float, float]) -> tuple[int, int]:
    return round(values[0] * _ONE), round(values[1] * _ONE)

"""A person's picture: the torso, and the head pasted over it, on canvases finer than the frame."""

import cv2
import numpy as np

from pipeline.datasets.synthetic import brush
from pipeline.datasets.synthetic.appearance import Appearance
from pipeline.datasets.synthetic.brush import Points
from pipeline.datasets.synthetic.canvas import HEIGHT, LEFT, TOP, WIDTH
from pipeline.datasets.synthetic.expressions import Expression
from pipeline.datasets.synthetic.heads import Head
from pipeline.types import Bytes

FINE = 2
"""Pixels of the fine canvases per pixel of the frame."""


def head_rgba(head: Head, expression: Expression) -> Bytes:
    """Return the fine canvas of a head, colour times opacity, and opacity, uint8 [h, w, 4]."""
    alpha = head.alpha_HW[..., None].astype(np.float32) / 255.0
    return np.asarray(np.round(np.dstack([head.show(expression) * alpha, head.alpha_HW])), np.uint8)


def paste_head(picture: Bytes, rgba: Bytes, centre_px: Points, angle_degrees: float) -> None:
    """Draw a head over an image, in place.

    Args:
        picture: RGB image of the frame, uint8 [H, W, 3].
        rgba: Fine canvas of the head, colour times opacity, and opacity, uint8 [h, w, 4].
        centre_px: Place of the root of the nose on the frame (x, y).
        angle_degrees: Rotation about it, counter-clockwise.
    """
    height, width = rgba.shape[0] // FINE, rgba.shape[1] // FINE
    nose = np.array([-LEFT / WIDTH * rgba.shape[1], -TOP / HEIGHT * rgba.shape[0]])
    corner = np.round(centre_px - nose / FINE).astype(int)
    turn = cv2.getRotationMatrix2D((float(nose[0]), float(nose[1])), angle_degrees, 1.0)
    turn[:, 2] += FINE * (centre_px - corner) - nose
    moved = cv2.warpAffine(rgba, turn, (width * FINE, height * FINE))
    small = np.asarray(cv2.resize(moved, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    region = picture[corner[1] : corner[1] + height, corner[0] : corner[0] + width]
    clear = 255 - tripled(small[..., 3])
    region[:] = cv2.add(cv2.multiply(region, clear, scale=1.0 / 255.0), small[..., :3])


def draw_torso(colour: Bytes, opacity: Bytes, who: Appearance, middle_px: Points, unit_px: float) -> None:
    """Draw neck and shoulders, down to the lower edge of the frame, in place on the fine canvases.

    Args:
        colour: RGB, uint8 [2 H, 2 W, 3] for a frame [H, W].
        opacity: Opacity from 0 to 255, uint8 [2 H, 2 W].
        who: The person.
        middle_px: Mean place of the root of the nose on the frame (x, y), [2].
        unit_px: Half the height of the face on the frame.
    """
    unit = unit_px * FINE
    middle = middle_px * FINE
    foot = float(colour.shape[0] - middle[1]) / unit + 0.1

    def at(points: list[tuple[float, float]]) -> Points:
        return np.asarray(middle + unit * np.array(points))

    shirt = [(0.30, 1.12), (0.75, 1.22), (1.12, 1.42), (1.25, 1.80), (1.30, foot)]
    collar = [(-0.30, 1.12), (-0.16, 1.34), (0.0, 1.42), (0.16, 1.34)]
    outline = at([(-x, y) for x, y in shirt[::-1]] + collar[1:] + shirt)
    neck = at([(-0.30, 0.6), (0.30, 0.6), (0.33, 1.16), (0.0, 1.48), (-0.33, 1.16)])
    for shape, paint in ((neck, who.darker(0.22)), (outline, who.clothes)):
        brush.fill(colour, shape, paint)
        brush.fill(opacity, shape, (255.0,))
    x, y = at([(0.0, 0.92)])[0]
    brush.disc(colour, (x, y), (0.34 * unit, 0.24 * unit), who.darker(0.38))
    brush.line(colour, at(collar), brush.mixed(who.clothes, (0, 0, 0), 0.35), 0.03 * unit)


def tripled(mask_HW: Bytes) -> Bytes:
    """Return a mask [H, W] as three equal channels, [H, W, 3]."""
    return np.ascontiguousarray(np.repeat(mask_HW[..., None], 3, axis=2))

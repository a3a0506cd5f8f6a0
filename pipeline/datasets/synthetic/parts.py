"""Moving parts of a face: eyes, brows, nose and mouth, drawn per frame on its canvas."""

import numpy as np

from pipeline.datasets.synthetic import brush
from pipeline.datasets.synthetic.appearance import Appearance
from pipeline.datasets.synthetic.brush import Points
from pipeline.datasets.synthetic.canvas import Canvas
from pipeline.datasets.synthetic.expressions import Expression
from pipeline.types import Bytes

_T = np.linspace(-1.0, 1.0, 17)
_ARCH = 1.0 - _T**2
_MIDDLE = len(_T) // 2
_SIDES = (-1.0, 1.0)


def draw_parts(picture: Bytes, canvas: Canvas, who: Appearance, e: Expression) -> None:
    """Draw the moving parts over the skin.

    Args:
        picture: RGB image of the canvas, uint8 [H, W, 3], changed in place.
        canvas: Conversion from units of the face to pixels.
        who: The person.
        e: Positions of the parts.
    """
    shift = 0.05 * e.head_pitch
    _mouth(picture, canvas, who, e, shift)
    for side in _SIDES:
        _eye(picture, canvas, who, e, side, shift)
        _brow(picture, canvas, who, e, side, shift)
    _nose(picture, canvas, who, e, shift)


def _eye(picture: Bytes, canvas: Canvas, who: Appearance, e: Expression, side: float, shift: float) -> None:
    s = canvas.scale
    x, y, half = side * who.eye_gap, -0.12 + shift, 0.165 * who.eye_size
    openness = max(1.0 + 0.75 * e.eye_open - 0.25 * e.squint, 0.05)
    xs = x + half * _T
    upper = y - 0.105 * who.eye_size * openness * _ARCH
    lower = y + 0.065 * who.eye_size * (min(openness, 1.35) - 1.5 * e.squint) * _ARCH
    lower = np.maximum(lower, upper + 0.012)
    lid = canvas.px(np.r_[xs, xs[::-1]], np.r_[upper, lower[::-1]])
    x0, y0 = np.floor(lid.min(axis=0)).astype(int) - 2
    x1, y1 = np.ceil(lid.max(axis=0)).astype(int) + 3
    inside = np.zeros((y1 - y0, x1 - x0), np.uint8)
    brush.fill(inside, lid - (x0, y0), (255.0,))
    centre = canvas.px(x + 0.07 * e.gaze, y - 0.015 + 0.03 * e.head_pitch) - (x0, y0)
    ball = _eyeball(inside.shape, centre, 0.085 * who.eye_size * s, who)
    region = picture[y0:y1, x0:x1]
    weight = inside[..., None].astype(np.float32) / 255.0
    region[:] = np.round(region + weight * (ball.astype(np.float32) - region)).astype(np.uint8)
    brush.line(picture, canvas.px(xs, upper), (30, 18, 16), 0.045 * s)
    brush.line(picture, canvas.px(xs, lower), who.darker(0.55), 0.018 * s)


def _eyeball(shape: tuple[int, ...], centre_px: Points, radius_px: float, who: Appearance) -> Bytes:
    ball = np.full((*shape, 3), (238, 234, 230), np.uint8)
    (x, y), r = centre_px, radius_px
    brush.disc(ball, (x, y), (r, r), who.iris)
    brush.disc(ball, (x, y), (0.5 * r, 0.5 * r), (12, 10, 10))
    brush.disc(ball, (x + 0.35 * r, y - 0.4 * r), (0.22 * r, 0.22 * r), (255, 255, 255))
    return ball


def _brow(picture: Bytes, canvas: Canvas, who: Appearance, e: Expression, side: float, shift: float) -> None:
    inner = -0.36 - 0.10 * e.brow_raise - 0.12 * e.brow_slant + shift
    outer = -0.35 - 0.10 * e.brow_raise + 0.09 * e.brow_slant + shift
    t = np.linspace(0.0, 1.0, 9)
    xs = side * (who.eye_gap - 0.19 - 0.05 * e.brow_knit + t * (0.42 + 0.02 * e.brow_knit))
    ys = inner + (outer - inner) * t - 0.05 * (1.0 + 0.6 * max(e.brow_raise, 0.0)) * np.sin(np.pi * t)
    thick = who.brow_width * (1.0 - 0.65 * t**2)
    edge = canvas.px(np.r_[xs, xs[::-1]], np.r_[ys - thick / 2, (ys + thick / 2)[::-1]])
    brush.fill(picture, edge, brush.mixed(who.hair, (24, 14, 10), 0.55))


def _nose(picture: Bytes, canvas: Canvas, who: Appearance, e: Expression, shift: float) -> None:
    s = canvas.scale
    y = who.nose_length + shift * 0.6 - 0.04 * e.nose_wrinkle
    wide = 0.085 + 0.02 * e.nose_wrinkle
    for side in _SIDES:
        x, at = canvas.px(side * wide, y + 0.03)
        brush.disc(picture, (x, at), (0.035 * s, 0.02 * s), who.darker(0.72), side * -15)
        wing = canvas.px(side * (wide + 0.05 + 0.02 * _ARCH), y + 0.01 + 0.06 * _T)
        brush.line(picture, wing, who.darker(0.35), 0.018 * s)


def _mouth(picture: Bytes, canvas: Canvas, who: Appearance, e: Expression, shift: float) -> None:
    s, opened = canvas.scale, max(e.mouth_open, 0.0)
    half = who.mouth_size * (1.0 + 0.42 * e.mouth_width)
    bow = np.abs(_ARCH) ** 0.6
    corners = -0.13 * e.mouth_curve * (_T**2 - 0.35)
    lift = 0.10 * e.sneer * (0.6 + 0.4 * _T)
    middle = who.mouth_y + shift + corners
    upper = middle - bow * (0.05 * opened + lift)
    lower = middle + bow * (0.20 * opened - 0.3 * lift) + 0.004
    xs = half * _T
    above = upper - who.lip * bow * (1.0 + 0.15 * np.cos(6 * _T))
    below = lower + 1.35 * who.lip * bow
    lips = canvas.px(np.r_[1.06 * xs, 1.06 * xs[::-1]], np.r_[above, below[::-1]])
    brush.fill(picture, lips, brush.mixed(who.darker(0.28), (176, 52, 60), 0.5))
    brush.fill(picture, canvas.px(np.r_[xs, xs[::-1]], np.r_[upper, lower[::-1]]), (62, 16, 22))
    if opened * e.teeth > 0.05:
        _teeth(picture, canvas, e, xs, upper, lower)
    if e.tongue > 0.05:
        foot = float(lower[_MIDDLE])
        x, y = canvas.px(0.0, foot + 0.02 * e.tongue)
        brush.disc(picture, (x, y), (0.5 * half * s, 0.13 * e.tongue * s), (206, 92, 104))
        brush.line(picture, canvas.px([0.0, 0.0], [foot - 0.05, foot + 0.07]), (164, 62, 76), 0.02 * s)
    brush.line(picture, canvas.px(xs, upper), who.darker(0.75), 0.018 * s)


def _teeth(picture: Bytes, canvas: Canvas, e: Expression, xs: Points, upper: Points, lower: Points) -> None:
    """Draw the upper teeth up to strength 1, and beyond it the lower teeth too."""
    span, kept = lower - upper, slice(1, -1)
    above = upper + span * 0.55 * min(e.teeth, 1.0)
    below = lower - span * 0.42 * max(e.teeth - 1.0, 0.0)
    across = 0.94 * np.r_[xs[kept], xs[kept][::-1]]
    for near, far in ((upper, above), (lower, below)):
        if np.abs(near - far).max() > 0.012:
            row = canvas.px(across, np.r_[near[kept], far[kept][::-1]])
            brush.fill(picture, row, (246, 242, 232))
    if e.teeth > 1.2:
        for k in (4, 6, 8, 10, 12):
            gap = canvas.px([xs[k], xs[k]], [upper[k], lower[k]])
            brush.line(picture, gap, (150, 130, 126), 0.012 * canvas.scale)

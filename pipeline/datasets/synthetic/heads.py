"""A head: skin, hair and shading are drawn once per clip, creases and moving parts per frame.

The Haar cascade finds a drawn face by its shading: dark eye sockets, bright cheeks, a bright bridge of the
nose, and dark hair around the face.
"""

import cv2
import numpy as np

from pipeline.datasets.synthetic import brush
from pipeline.datasets.synthetic.appearance import Appearance
from pipeline.datasets.synthetic.brush import Points
from pipeline.datasets.synthetic.canvas import Canvas
from pipeline.datasets.synthetic.expressions import Expression
from pipeline.datasets.synthetic.parts import draw_parts
from pipeline.types import Bytes, Floats

_SIDES = (-1.0, 1.0)
_FAINT = 0.01
_TURN = 0.2
"""Shift of the middle of the face at gaze 1, in units."""


class Head:
    """One person's head on its own canvas, drawn with any expression.

    alpha_HW: opacity of the canvas, 0 to 255, the same for every expression.
    """

    def __init__(self, appearance: Appearance, scale: float) -> None:
        self._who = appearance
        self._canvas = Canvas(scale=scale)
        face_HW, self.alpha_HW, self._skin_HW3 = _resting(self._canvas, appearance)
        self._creases = _creases(self._canvas, appearance, face_HW)

    def show(self, expression: Expression) -> Bytes:
        """Draw the head with an expression, RGB uint8 [H, W, 3] of the canvas."""
        total = self._skin_HW3.copy()
        for part, crease in self._creases.items():
            amount = float(getattr(expression, part))
            if abs(amount) > _FAINT:
                cv2.scaleAdd(crease, amount, total, total)
        picture = np.asarray(cv2.convertScaleAbs(np.maximum(total, 0.0)), np.uint8)
        draw_parts(picture, self._canvas, self._who, expression)
        return _turned(picture, self._canvas, self._who, expression.gaze) if expression.gaze else picture


def _outline(canvas: Canvas, who: Appearance, beyond: float = 0.0) -> Points:
    a = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    y = np.sin(a)
    narrow = 1.0 - who.jaw * np.clip(y, 0, 1) ** 2
    x = (who.half_width + beyond) * np.sign(np.cos(a)) * np.abs(np.cos(a)) ** 0.9 * narrow
    return canvas.px(x, 0.03 + y * (0.97 + beyond))


def _turned(picture: Bytes, canvas: Canvas, who: Appearance, gaze: float) -> Bytes:
    """Return the face turned to a side: its middle moves, its outline stays."""
    share_1W = np.clip(1.0 - (canvas.x_1W / who.half_width) ** 2, 0.0, 1.0)
    columns_1W = np.arange(canvas.shape[1], dtype=np.float32) - gaze * _TURN * canvas.scale * share_1W
    x_HW = np.repeat(columns_1W.astype(np.float32), canvas.shape[0], axis=0)
    y_HW = np.repeat(np.arange(canvas.shape[0], dtype=np.float32)[:, None], canvas.shape[1], axis=1)
    return np.asarray(cv2.remap(picture, x_HW, y_HW, cv2.INTER_LINEAR), np.uint8)


def _resting(canvas: Canvas, who: Appearance) -> tuple[Floats, Bytes, Floats]:
    """Return a mask of bare skin, 0 to 1, the opacity, 0 to 255, and the colours of the resting head."""
    picture = np.zeros((*canvas.shape, 3), np.uint8)
    picture[:] = np.round(who.hair).astype(np.uint8)
    alpha, face = np.zeros(canvas.shape, np.uint8), np.zeros(canvas.shape, np.uint8)
    _hair_behind(alpha, canvas, who)
    for side in _SIDES:
        x, y = canvas.px(side * (who.half_width + 0.01), 0.10)
        size = (0.10 * canvas.scale, 0.19 * canvas.scale)
        brush.disc(picture, (x, y), size, who.darker(0.18))
        brush.disc(alpha, (x, y), size, (255.0,))
    brush.fill(face, _outline(canvas, who), (255.0,))
    alpha = np.maximum(alpha, face)
    soft_HW = cv2.GaussianBlur(face, (0, 0), 0.02 * canvas.scale).astype(np.float32) / 255.0
    skin = np.asarray(who.skin, np.float32) * _shading(canvas, who)[..., None]
    shaded = picture + soft_HW[..., None] * (skin - picture)
    hair_HW = _hair_in_front(canvas, who)
    sheen = 1.0 + 0.35 * canvas.glow(0.25 * who.light, -0.9, 0.5, 0.2)
    hair = np.asarray(who.hair, np.float32) * sheen[..., None]
    colours = shaded + hair_HW[..., None] * (hair - shaded)
    alpha = np.maximum(alpha, np.round(255.0 * hair_HW).astype(np.uint8))
    return soft_HW * (1.0 - hair_HW), alpha, np.ascontiguousarray(colours, dtype=np.float32)


def _shading(canvas: Canvas, who: Appearance) -> Floats:
    """Return the brightness of every place of the face, about 1."""
    edge = (canvas.x_1W / who.half_width) ** 2 + (canvas.y_H1 / 1.02) ** 2
    light = 0.98 - 0.26 * np.clip(edge, 0, 1.2) ** 2.5 + 0.05 * who.light * canvas.x_1W
    spots = [
        (0.12, 0.0, -0.52, 0.42, 0.20),  # forehead
        (0.22, 0.0, 0.06, 0.075, 0.30),  # bridge of the nose
        (0.10, 0.0, who.nose_length - 0.03, 0.10, 0.07),  # tip
        (-0.20, 0.0, who.nose_length + 0.09, 0.14, 0.04),  # under it
        (-0.14, 0.0, who.mouth_y + 0.15, 0.18, 0.05),  # under the lip
        (0.08, 0.0, 0.87, 0.20, 0.10),  # chin
    ]
    for side in _SIDES:
        spots += [
            (-0.40, side * who.eye_gap, -0.15, 0.21, 0.13),  # eye socket
            (0.13, side * 0.40, 0.28, 0.20, 0.17),  # cheek
            (-0.13, side * 0.13, 0.12, 0.05, 0.22),  # beside the nose
        ]
    return np.asarray(light + canvas.glows(spots), dtype=np.float32)


def _hair_behind(alpha: Bytes, canvas: Canvas, who: Appearance) -> None:
    cap = _outline(canvas, who, who.hair_style.beyond)
    cap[:, 1] = np.minimum(cap[:, 1], canvas.px(0.0, who.hair_style.back_to)[1])
    brush.fill(alpha, cap, (255.0,))


def _hair_in_front(canvas: Canvas, who: Appearance) -> Floats:
    """Return the opacity of the hair over the forehead and the temples, 0 to 1."""
    style, x, y = who.hair_style, canvas.x_1W, canvas.y_H1
    mask = np.zeros(canvas.shape, np.uint8)
    brush.fill(mask, _outline(canvas, who, style.beyond), (255.0,))
    line = who.hairline + style.lean * x + 0.4 * np.abs(x) ** 3
    over_forehead = np.clip((line - y) / 0.03, 0.0, 1.0)
    over_temples = (np.abs(x) > who.half_width - 0.01) & (y < style.sides_to)
    opacity = np.maximum(over_forehead, over_temples.astype(np.float32)) * (mask.astype(np.float32) / 255.0)
    return np.asarray(cv2.GaussianBlur(opacity.astype(np.float32), (0, 0), 0.015 * canvas.scale), np.float32)


def _creases(canvas: Canvas, who: Appearance, face_HW: Floats) -> dict[str, Floats]:
    """Return the colour that each part of an expression adds to the resting skin at strength 1, [H, W, 3]."""
    skin = np.asarray(who.skin, np.float32)
    folds = [(0.30, s * 0.33, 0.44, 0.035, 0.16) for s in _SIDES]
    folds += [(-0.21, s * 0.44, 0.24, 0.17, 0.13) for s in _SIDES]
    ridge = [(0.34, s * 0.09, 0.07 * k, 0.10, 0.018) for s in _SIDES for k in (-1, 0, 1)]
    furrow = [(0.40, s * 0.05, -0.30, 0.022, 0.10) for s in _SIDES]
    rows = [(0.13, 0.0, -0.56 + 0.08 * k, 0.34, 0.014) for k in (-1, 0, 1)]
    tears = canvas.glows([(1.0, s * who.eye_gap * 1.05, 0.24, 0.03, 0.20) for s in _SIDES])

    def darkened(depth_HW: Floats) -> Floats:
        return np.ascontiguousarray((face_HW * depth_HW)[..., None] * -skin)

    def tinted(red: float, green: float, blue: float) -> Floats:
        return np.ascontiguousarray(face_HW[..., None] * np.array((red, green, blue), np.float32))

    shine = (face_HW * tears)[..., None] * (0.25 * skin + np.array((0, 16, 50), np.float32))
    return {
        "cheek": darkened(canvas.glows(folds)),
        "brow_knit": darkened(canvas.glows(furrow)),
        "nose_wrinkle": darkened(canvas.glows(ridge)),
        "brow_raise": darkened(canvas.glows(rows)),
        "tears": np.ascontiguousarray(shine),
        "flush": tinted(14.0, -26.0, -26.0),
        "pale": tinted(-18.0, 2.0, 34.0),
        "warm": tinted(16.0, 8.0, -24.0),
        "green": tinted(-26.0, 4.0, -28.0),
    }

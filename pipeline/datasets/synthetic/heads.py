"""A person: what stays (skin, hair, shading) is drawn once, what moves is drawn per frame.

Lengths are in units of half the height of the face; the origin is the root of the nose, x to
the right, y down. `scale` is pixels per unit on the working canvas, which is twice as fine as
the picture.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.datasets.synthetic import brush
from pipeline.datasets.synthetic.brush import Points
from pipeline.datasets.synthetic.expressions import Expression
from pipeline.types import Bytes, Floats

LEFT, TOP, WIDTH, HEIGHT = -1.1, -1.3, 2.2, 2.6
"""The canvas in units: its upper left corner and its size."""

_SKINS = ((250, 214, 186), (236, 188, 152), (214, 160, 120), (176, 122, 86), (138, 92, 66))
_HAIRS = ((28, 22, 20), (60, 38, 26), (104, 66, 36), (168, 118, 62), (120, 116, 114), (92, 38, 24))
_CLOTHES = ((70, 90, 120), (120, 70, 70), (70, 110, 90), (96, 84, 116), (120, 106, 76), (60, 66, 76))
_HAIR_TO_SKIN = 0.42
"""Hair is this much darker than skin at least: Haar's cascade needs the forehead to stand out."""

_T = np.linspace(-1.0, 1.0, 17)
_ARCH = 1.0 - _T**2


@dataclass(frozen=True, kw_only=True)
class Identity:
    """How a person looks, apart from what the face does."""

    skin: tuple[float, float, float]
    hair: tuple[float, float, float]
    clothes: tuple[float, float, float]
    iris: tuple[float, float, float]
    half_width: float
    jaw: float
    eye_gap: float
    eye_size: float
    brow_width: float
    nose_length: float
    mouth_y: float
    mouth_size: float
    lip: float
    hairline: float
    hair_style: int
    light: float

    @classmethod
    def drawn_from(cls, rng: np.random.Generator) -> "Identity":
        """A person by chance."""
        tone = float(rng.uniform(0.0, len(_SKINS) - 1))
        low = min(int(tone), len(_SKINS) - 2)
        skin = brush.mixed(_SKINS[low], _SKINS[low + 1], tone - low)
        hair = brush.mixed(_HAIRS[int(rng.integers(len(_HAIRS)))], (60, 46, 40), float(rng.uniform(0, 0.3)))
        fade = min(1.0, _HAIR_TO_SKIN * sum(skin) / sum(hair))
        clothes = _CLOTHES[int(rng.integers(len(_CLOTHES)))]
        eyes = ((60, 42, 30), (52, 84, 110), (62, 92, 60), (86, 62, 34))
        return cls(
            skin=skin, hair=brush.mixed((0, 0, 0), hair, fade),
            clothes=brush.mixed(clothes, (128, 128, 128), float(rng.uniform(0, 0.5))),
            iris=eyes[int(rng.integers(len(eyes)))],
            half_width=float(rng.uniform(0.715, 0.745)), jaw=float(rng.uniform(0.20, 0.30)),
            eye_gap=float(rng.uniform(0.315, 0.345)), eye_size=float(rng.uniform(1.08, 1.22)),
            brow_width=float(rng.uniform(0.05, 0.085)), nose_length=float(rng.uniform(0.30, 0.38)),
            mouth_y=float(rng.uniform(0.60, 0.63)), mouth_size=float(rng.uniform(0.31, 0.35)),
            lip=float(rng.uniform(0.035, 0.06)), hairline=float(rng.uniform(-0.76, -0.70)),
            hair_style=int(rng.integers(4)), light=float(rng.uniform(-1, 1)),
        )

    def darker(self, share: float) -> tuple[float, float, float]:
        """The skin's colour in shadow."""
        return brush.mixed(self.skin, (44, 14, 10), share)


class Head:
    """One person's head on a canvas of its own, ready to take on expressions.

    alpha_HW: opacity of the canvas, 0 to 255, the same for every expression.
    """

    def __init__(self, identity: Identity, scale: float) -> None:
        self.identity = identity
        self.scale = scale
        self.shape = (round(HEIGHT * scale), round(WIDTH * scale))
        x = (np.arange(self.shape[1], dtype=np.float32) + 0.5) / scale + LEFT
        y = (np.arange(self.shape[0], dtype=np.float32) + 0.5) / scale + TOP
        self._x, self._y = x[None], y[:, None]
        face_HW, self.alpha_HW, self._base = self._resting(identity)
        self._deltas = self._creases(face_HW)

    def px(self, x: npt.ArrayLike, y: npt.ArrayLike) -> Points:
        """Points in units as pixels of the canvas, [N, 2]."""
        xs, ys = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float))
        return np.stack([(xs - LEFT) * self.scale, (ys - TOP) * self.scale], axis=-1)

    def show(self, e: Expression) -> Bytes:
        """The head with this expression: RGB uint8 of the canvas."""
        total = self._base.copy()
        for name, delta in self._deltas.items():
            amount = float(getattr(e, name))
            if abs(amount) > 0.01:
                cv2.scaleAdd(delta, amount, total, total)
        picture: Bytes = cv2.convertScaleAbs(cv2.max(total, 0.0))
        shift = 0.05 * e.head_pitch
        self._mouth(picture, e, shift)
        for side in (-1.0, 1.0):
            self._eye(picture, e, side, shift)
            self._brow(picture, e, side, shift)
        self._nose(picture, e, shift)
        return picture

    # -- what stays ---------------------------------------------------------------------------

    def _outline(self, grow: float = 0.0) -> Points:
        a = np.linspace(0, 2 * np.pi, 72, endpoint=False)
        y = np.sin(a)
        narrow = 1.0 - self.identity.jaw * np.clip(y, 0, 1) ** 2
        x = (self.identity.half_width + grow) * np.sign(np.cos(a)) * np.abs(np.cos(a)) ** 0.9 * narrow
        return self.px(x, 0.03 + y * (0.97 + grow))

    def _glow(self, x: float, y: float, across: float, along: float) -> Floats:
        spread = ((self._x - x) / across) ** 2 + ((self._y - y) / along) ** 2
        return np.asarray(np.exp(-spread), dtype=np.float32)

    def _resting(self, who: Identity) -> tuple[Floats, Bytes, Floats]:
        picture = np.zeros((*self.shape, 3), np.uint8)
        picture[:] = np.round(who.hair).astype(np.uint8)
        alpha = np.zeros(self.shape, np.uint8)
        face = np.zeros(self.shape, np.uint8)
        self._hair_behind(alpha)
        for side in (-1.0, 1.0):
            ear = self.px(side * (who.half_width + 0.01), 0.10)
            for target, colour in ((picture, who.darker(0.18)), (alpha, (255.0,))):
                brush.disc(target, (ear[0], ear[1]), (0.10 * self.scale, 0.19 * self.scale), colour)
        brush.fill(face, self._outline(), (255.0,))
        alpha = np.maximum(alpha, face)
        soft = cv2.GaussianBlur(face, (0, 0), 0.02 * self.scale).astype(np.float32) / 255.0
        skin = np.asarray(who.skin, np.float32) * self._shading(who)[..., None]
        shaded = picture + soft[..., None] * (skin - picture)
        hair = self._hair_in_front(who)[..., None]
        sheen = np.asarray(who.hair, np.float32) * (1.0 + 0.35 * self._glow(0.25 * who.light, -0.9, 0.5, 0.2))[..., None]
        base = shaded + hair * (sheen - shaded)
        alpha = np.maximum(alpha, np.round(255.0 * hair[..., 0]).astype(np.uint8))
        return soft * (1.0 - hair[..., 0]), alpha, np.ascontiguousarray(base, dtype=np.float32)

    def _shading(self, who: Identity) -> Floats:
        edge = (self._x / who.half_width) ** 2 + (self._y / 1.02) ** 2
        light = 0.98 - 0.26 * np.clip(edge, 0, 1.2) ** 2.5 + 0.05 * who.light * self._x
        for side in (-1.0, 1.0):
            light -= 0.40 * self._glow(side * who.eye_gap, -0.15, 0.21, 0.13)
            light += 0.13 * self._glow(side * 0.40, 0.28, 0.20, 0.17)
            light -= 0.13 * self._glow(side * 0.13, 0.12, 0.05, 0.22)
        light += 0.12 * self._glow(0.0, -0.52, 0.42, 0.20)
        light += 0.22 * self._glow(0.0, 0.06, 0.075, 0.30)
        light += 0.10 * self._glow(0.0, who.nose_length - 0.03, 0.10, 0.07)
        light -= 0.20 * self._glow(0.0, who.nose_length + 0.09, 0.14, 0.04)
        light -= 0.14 * self._glow(0.0, who.mouth_y + 0.15, 0.18, 0.05)
        light += 0.08 * self._glow(0.0, 0.87, 0.20, 0.10)
        return np.asarray(light, dtype=np.float32)

    def _hair_behind(self, alpha: Bytes) -> None:
        style = self.identity.hair_style
        grow = (0.09, 0.11, 0.12, 0.08)[style]
        cap = self._outline(grow)
        cap[:, 1] = np.minimum(cap[:, 1], self.px(0.0, (0.45, 0.95, 0.7, 0.25)[style])[1])
        brush.fill(alpha, cap, (255.0,))

    def _hair_in_front(self, who: Identity) -> Floats:
        """Opacity of the hair over the forehead and temples."""
        mask = np.zeros(self.shape, np.uint8)
        brush.fill(mask, self._outline((0.09, 0.11, 0.12, 0.08)[who.hair_style]), (255.0,))
        lean = (0.0, 0.18, -0.15, 0.0)[who.hair_style]
        line = who.hairline + lean * self._x + 0.4 * np.abs(self._x) ** 3
        temple = np.abs(self._x) > who.half_width - 0.01
        below = np.clip((line - self._y) / 0.03, 0.0, 1.0)
        sides = temple & (self._y < (0.40, 1.0, 0.65, 0.20)[who.hair_style])
        opacity = np.maximum(below, sides.astype(np.float32)) * (mask.astype(np.float32) / 255.0)
        return np.asarray(cv2.GaussianBlur(opacity.astype(np.float32), (0, 0), 0.015 * self.scale), np.float32)

    def _creases(self, face_HW: Floats) -> dict[str, Floats]:
        """What an expression's part adds to the resting skin, [H, W, 3] per unit of strength."""
        who = self.identity
        dark = np.asarray(who.skin, np.float32) * -1.0
        glow = self._glow

        def shade(parts: Floats) -> Floats:
            return np.ascontiguousarray((face_HW * parts)[..., None] * dark)

        def tint(red: float, green: float, blue: float) -> Floats:
            return np.ascontiguousarray(face_HW[..., None] * np.array((red, green, blue), np.float32))

        folds = sum((glow(s * 0.33, 0.44, 0.035, 0.16) - 0.7 * glow(s * 0.44, 0.24, 0.17, 0.13)
                     for s in (-1.0, 1.0)), start=np.zeros(self.shape, np.float32))
        furrow = glow(-0.05, -0.30, 0.022, 0.10) + glow(0.05, -0.30, 0.022, 0.10)
        ridge = sum((glow(s * 0.09, 0.0 + 0.07 * k, 0.10, 0.018) for s in (-1.0, 1.0) for k in (-1, 0, 1)),
                    start=np.zeros(self.shape, np.float32))
        rows = sum((glow(0.0, -0.56 + 0.08 * k, 0.34, 0.014) for k in (-1, 0, 1)),
                   start=np.zeros(self.shape, np.float32))
        wet = sum((glow(s * who.eye_gap * 1.05, 0.24, 0.03, 0.20) for s in (-1.0, 1.0)),
                  start=np.zeros(self.shape, np.float32))
        return {
            "cheek": shade(0.30 * folds), "brow_knit": shade(0.40 * furrow),
            "nose_wrinkle": shade(0.34 * ridge), "brow_raise": shade(0.13 * rows),
            "tears": shade(-0.25 * wet) + (face_HW * wet)[..., None] * np.array((0, 16, 50), np.float32),
            "flush": tint(14.0, -26.0, -26.0), "pale": tint(-18.0, 2.0, 34.0), "green": tint(-26.0, 4.0, -28.0),
        }

    # -- what moves ---------------------------------------------------------------------------

    def _eye(self, picture: Bytes, e: Expression, side: float, shift: float) -> None:
        who, s = self.identity, self.scale
        x, y, half = side * who.eye_gap, -0.12 + shift, 0.165 * who.eye_size
        openness = max(1.0 + 0.75 * e.eye_open - 0.25 * e.squint, 0.05)
        xs = x + half * _T
        upper = y - 0.105 * who.eye_size * openness * _ARCH
        lower = y + 0.065 * who.eye_size * (min(openness, 1.35) - 1.5 * e.squint) * _ARCH
        lower = np.maximum(lower, upper + 0.012)
        lid = self.px(np.r_[xs, xs[::-1]], np.r_[upper, lower[::-1]])
        x0, y0 = np.floor(lid.min(axis=0)).astype(int) - 2
        x1, y1 = np.ceil(lid.max(axis=0)).astype(int) + 3
        inside = np.zeros((y1 - y0, x1 - x0), np.uint8)
        brush.fill(inside, lid - (x0, y0), (255.0,))
        ball = np.full((*inside.shape, 3), (238, 234, 230), np.uint8)
        cx, cy = self.px(x, y - 0.015 + 0.03 * e.head_pitch) - (x0, y0)
        radius = 0.085 * who.eye_size * s
        brush.disc(ball, (cx, cy), (radius, radius), who.iris)
        brush.disc(ball, (cx, cy), (0.5 * radius, 0.5 * radius), (12, 10, 10))
        brush.disc(ball, (cx + 0.35 * radius, cy - 0.4 * radius), (0.22 * radius, 0.22 * radius), (255, 255, 255))
        region = picture[y0:y1, x0:x1]
        weight = inside[..., None].astype(np.float32) / 255.0
        region[:] = np.round(region + weight * (ball.astype(np.float32) - region)).astype(np.uint8)
        brush.line(picture, self.px(xs, upper), (30, 18, 16), 0.045 * s)
        brush.line(picture, self.px(xs, lower), who.darker(0.55), 0.018 * s)

    def _brow(self, picture: Bytes, e: Expression, side: float, shift: float) -> None:
        who = self.identity
        inner = -0.36 - 0.10 * e.brow_raise - 0.12 * e.brow_slant + shift
        outer = -0.35 - 0.10 * e.brow_raise + 0.09 * e.brow_slant + shift
        t = np.linspace(0.0, 1.0, 9)
        xs = side * (who.eye_gap - 0.19 - 0.05 * e.brow_knit + t * (0.42 + 0.02 * e.brow_knit))
        ys = inner + (outer - inner) * t - 0.05 * (1.0 + 0.6 * max(e.brow_raise, 0.0)) * np.sin(np.pi * t)
        thick = who.brow_width * (1.0 - 0.65 * t**2)
        edge = self.px(np.r_[xs, xs[::-1]], np.r_[ys - thick / 2, (ys + thick / 2)[::-1]])
        brush.fill(picture, edge, brush.mixed(who.hair, (24, 14, 10), 0.55))

    def _nose(self, picture: Bytes, e: Expression, shift: float) -> None:
        y = self.identity.nose_length + shift * 0.6 - 0.04 * e.nose_wrinkle
        wide = 0.085 + 0.02 * e.nose_wrinkle
        for side in (-1.0, 1.0):
            x, at = self.px(side * wide, y + 0.03)
            brush.disc(picture, (x, at), (0.035 * self.scale, 0.02 * self.scale), self.identity.darker(0.72), side * -15)
            curve = self.px(side * (wide + 0.05 + 0.02 * _ARCH), y + 0.01 + 0.06 * _T)
            brush.line(picture, curve, self.identity.darker(0.35), 0.018 * self.scale)

    def _mouth(self, picture: Bytes, e: Expression, shift: float) -> None:
        who, s = self.identity, self.scale
        half = who.mouth_size * (1.0 + 0.42 * e.mouth_width)
        opened = max(e.mouth_open, 0.0)
        bow = np.abs(_ARCH) ** 0.6
        corners = -0.13 * e.mouth_curve * (_T**2 - 0.35)
        lift = 0.10 * e.sneer * (0.6 + 0.4 * _T)
        middle = who.mouth_y + shift + corners
        upper = middle - bow * (0.05 * opened + lift)
        lower = middle + bow * (0.20 * opened - 0.3 * lift) + 0.004
        xs = half * _T
        red = brush.mixed(who.darker(0.28), (176, 52, 60), 0.5)
        out_x = np.r_[1.06 * xs, 1.06 * xs[::-1]]
        lips = np.r_[upper - who.lip * bow * (1.0 + 0.15 * np.cos(6 * _T)), (lower + 1.35 * who.lip * bow)[::-1]]
        brush.fill(picture, self.px(out_x, lips), red)
        inner = self.px(np.r_[xs, xs[::-1]], np.r_[upper, lower[::-1]])
        brush.fill(picture, inner, (62, 16, 22))
        if opened * e.teeth > 0.05:
            self._teeth(picture, e, xs, upper, lower)
        if e.tongue > 0.05:
            x, y = self.px(0.0, float(lower[8]) + 0.02 * e.tongue)
            brush.disc(picture, (x, y), (0.5 * half * s, 0.13 * e.tongue * s), (206, 92, 104))
            brush.line(picture, self.px([0.0, 0.0], [lower[8] - 0.05, lower[8] + 0.07]), (164, 62, 76), 0.02 * s)
        brush.line(picture, self.px(xs, upper), who.darker(0.75), 0.018 * s)

    def _teeth(self, picture: Bytes, e: Expression, xs: Points, upper: Points, lower: Points) -> None:
        """Upper teeth up to strength 1; beyond it the lower row rises to meet them."""
        span, kept = lower - upper, slice(1, -1)
        above = upper + span * 0.55 * min(e.teeth, 1.0)
        below = lower - span * 0.42 * max(e.teeth - 1.0, 0.0)
        for near, far in ((upper, above), (lower, below)):
            if np.abs(near - far).max() > 0.012:
                edge = np.r_[near[kept], far[kept][::-1]]
                brush.fill(picture, self.px(0.94 * np.r_[xs[kept], xs[kept][::-1]], edge), (246, 242, 232))
        if e.teeth > 1.2:
            for k in (4, 6, 8, 10, 12):
                brush.line(picture, self.px([xs[k], xs[k]], [upper[k], lower[k]]), (150, 130, 126), 0.012 * self.scale)

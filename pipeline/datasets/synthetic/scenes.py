"""Moving scenes of three kinds, two settings each: what lies still is drawn once per clip.

Positive: a sunny meadow, a party. Neutral: an office, a grey street. Negative: a storm at
night, a burning ruin. Colours, objects, their places and speeds are by chance.
"""

from collections.abc import Callable

import cv2
import numpy as np

from pipeline.datasets.synthetic import brush
from pipeline.datasets.synthetic.brush import Colour, Points
from pipeline.types import Bytes, Floats

_BRIGHT = ((235, 64, 72), (250, 176, 40), (70, 160, 235), (245, 110, 170), (120, 200, 80), (250, 225, 70))

Painter = Callable[[Bytes, float], None]


class Scene:
    """One scene: a still background, wider than the picture, and things that move before it."""

    def __init__(self, kind: str, height: int, width: int, rng: np.random.Generator) -> None:
        self.height, self.width = height, width
        self._pan_px_per_second = float(rng.choice((-1, 1)) * rng.uniform(3.0, 8.0)) * height / 288
        self._margin = round(0.2 * width)
        settings = _SETTINGS[kind]
        self._ground, self._movers = settings[int(rng.integers(len(settings)))](
            height, width + 2 * self._margin, rng
        )
        cast = np.diag(rng.uniform(0.93, 1.05, 3))
        self._ground = np.asarray(cv2.transform(cv2.GaussianBlur(self._ground, (0, 0), 0.006 * height), cast), np.uint8)
        self._gain = float(rng.uniform(0.92, 1.06))

    def draw(self, seconds: float) -> Bytes:
        """The scene at a time: RGB uint8 [height, width, 3]."""
        pan = min(max(self._pan_px_per_second * seconds, -self._margin), self._margin)
        shift = np.array([[1.0, 0.0, -self._margin - pan], [0.0, 1.0, 0.0]])
        picture = np.asarray(cv2.warpAffine(self._ground, shift, (self.width, self.height)), np.uint8)
        for paint in self._movers:
            paint(picture, seconds)
        return np.asarray(cv2.convertScaleAbs(picture, alpha=self._gain), np.uint8)


def _hills(picture: Bytes, base: float, swing: float, colour: Colour, rng: np.random.Generator) -> None:
    height, width = picture.shape[:2]
    x = np.linspace(0, width, 60)
    waves = sum(
        (np.sin(x * rng.uniform(0.5, 2.0) * 2 * np.pi / width * k + rng.uniform(0, 6.3)) / k for k in (1, 2, 3)),
        start=np.zeros_like(x),
    )
    y = height * (base + swing * waves)
    brush.fill(picture, np.stack([np.r_[x, width, 0], np.r_[y, height, height]], axis=-1), colour)


def _drifting(shape: tuple[int, int], count: int, speed: tuple[float, float],
              rng: np.random.Generator) -> Callable[[float], Points]:
    """Places in pixels of `count` things that drift, wrapping round, as a function of time.

    speed: mean velocity (x, y) in heights per second.
    """
    height, width = shape
    size = np.array([width * 1.2, height * 1.2])
    start = rng.uniform(0, 1, (count, 2)) * size
    velocity = np.array(speed) * height * rng.uniform(0.6, 1.4, (count, 1))
    return lambda seconds: (start + velocity * seconds) % size - 0.1 * size


def _view(height: int, wide: int) -> tuple[int, int]:
    return height, round(wide / 1.4)


def _meadow(height: int, width: int, rng: np.random.Generator) -> tuple[Bytes, list[Painter]]:
    warm = float(rng.uniform(0, 1))
    top, low = brush.mixed((70, 150, 240), (110, 190, 250), warm), brush.mixed((200, 232, 255), (255, 236, 200), warm)
    ground = brush.ramp(height, width, ((0.0, top), (0.65, low), (1.0, low)))
    sun = (float(rng.uniform(0.1, 0.9)) * width, float(rng.uniform(0.10, 0.25)) * height)
    for radius, share in ((0.34, 0.25), (0.22, 0.35), (0.12, 1.0)):
        layer = ground.copy()
        brush.disc(layer, sun, (radius * height, radius * height), (255, 244, 170))
        ground = np.asarray(cv2.addWeighted(layer, share, ground, 1 - share, 0), np.uint8)
    for base, colour in ((0.60, (132, 200, 110)), (0.70, (104, 184, 78)), (0.82, (84, 168, 60))):
        _hills(ground, base, 0.035, colour, rng)
    for _ in range(130):
        x, y = rng.uniform(0, width), height * rng.uniform(0.80, 1.0)
        radius = height * rng.uniform(0.004, 0.012)
        brush.disc(ground, (x, y), (radius, radius), _BRIGHT[int(rng.integers(len(_BRIGHT)))])
    clouds = _drifting(_view(height, width), 6, (0.06, 0.0), rng)
    balloons, colours = _drifting(_view(height, width), 7, (0.01, -0.16), rng), rng.permutation(len(_BRIGHT))
    size = height * rng.uniform(0.035, 0.06)

    def sky(picture: Bytes, seconds: float) -> None:
        for x, y in clouds(seconds):
            y = 0.32 * y + 0.04 * height
            for dx, dy, r in ((-0.09, 0.01, 0.05), (0.0, -0.01, 0.07), (0.09, 0.012, 0.045)):
                brush.disc(picture, (x + dx * height, y + dy * height), (r * 1.3 * height, r * 0.7 * height), (255, 255, 255))

    return ground, [sky, _balloons(balloons, colours, size)]


def _balloons(places: Callable[[float], Points], colours: Points, size: float) -> Painter:
    def paint(picture: Bytes, seconds: float) -> None:
        for number, (x, y) in enumerate(places(seconds)):
            sway = 0.3 * size * np.sin(2.0 * seconds + number)
            colour = _BRIGHT[int(colours[number % len(colours)])]
            string = np.array([(x + sway, y + size), (x + 0.3 * sway, y + 2.0 * size), (x, y + 3.0 * size)])
            brush.line(picture, string, (240, 240, 240), 1.0)
            brush.disc(picture, (x + sway, y), (0.85 * size, 1.1 * size), colour)
            shine = (x + sway - 0.3 * size, y - 0.4 * size)
            brush.disc(picture, shine, (0.2 * size, 0.28 * size), brush.mixed(colour, (255, 255, 255), 0.7))

    return paint


def _party(height: int, width: int, rng: np.random.Generator) -> tuple[Bytes, list[Painter]]:
    wall = ((255, 214, 150), (255, 190, 170), (255, 226, 130), (250, 200, 210))[int(rng.integers(4))]
    ground = brush.ramp(height, width, ((0.0, brush.mixed(wall, (255, 255, 255), 0.45)), (0.8, wall), (0.8, (214, 150, 96)), (1.0, (190, 122, 76))))
    x = np.linspace(0, width, 40)
    y = height * (0.03 + 0.05 * np.abs(np.sin(x / width * np.pi * 4)))
    brush.line(ground, np.stack([x, y], axis=-1), (180, 120, 90), 1.5)
    for k in range(39):
        flag = np.array([(x[k] + 1, y[k]), (x[k + 1] - 1, y[k + 1]), (x[k : k + 2].mean(), y[k] + 0.05 * height)])
        brush.fill(ground, flag, _BRIGHT[k % len(_BRIGHT)])
    confetti, balloons = _drifting(_view(height, width), 90, (0.02, 0.30), rng), _drifting(_view(height, width), 6, (0.0, -0.10), rng)
    colours, spin = rng.permutation(len(_BRIGHT)), rng.uniform(0, 180, 90)
    size = height * rng.uniform(0.05, 0.075)

    def rain(picture: Bytes, seconds: float) -> None:
        for number, (x, y) in enumerate(confetti(seconds)):
            brush.disc(picture, (x, y), (0.013 * height, 0.007 * height), _BRIGHT[number % len(_BRIGHT)],
                       float(spin[number] + 200 * seconds))

    return ground, [rain, _balloons(balloons, colours, size)]


def _office(height: int, width: int, rng: np.random.Generator) -> tuple[Bytes, list[Painter]]:
    grey = float(rng.uniform(168, 200))
    wall = (grey, grey - 3, grey - 10)
    ground = brush.ramp(height, width, ((0.0, wall), (0.84, brush.mixed(wall, (120, 118, 114), 0.2)), (0.84, (128, 122, 114)), (1.0, (112, 108, 102))))
    for _ in range(int(rng.integers(3, 5))):
        x, y, w = rng.uniform(0, width), height * rng.choice((0.3, 0.52, 0.72)), height * rng.uniform(0.4, 0.7)
        place = x
        while place < x + w - 0.05 * height:
            book, tall = height * rng.uniform(0.02, 0.045), height * rng.uniform(0.08, 0.14)
            tone = rng.uniform(90, 165)
            brush.box(ground, (place, y - tall), (book, tall), (tone, tone, tone - 8))
            place += book + 1.0
        brush.box(ground, (x, y), (w, 0.022 * height), (110, 100, 90))
    x, w = rng.uniform(0, 0.8) * width, 0.36 * height
    brush.box(ground, (x, 0.10 * height), (w, 0.45 * height), (206, 212, 214))
    for k in range(9):
        brush.box(ground, (x, (0.10 + 0.05 * k) * height), (w, 0.02 * height), (184, 186, 186))
    blinds, clock = _drifting(_view(height, width), 3, (0.10, 0.0), rng), rng.uniform(0.1, 0.9) * width / 1.4
    pace = float(rng.uniform(0.8, 2.0))

    def life(picture: Bytes, seconds: float) -> None:
        for x, y in blinds(seconds):
            brush.box(picture, (x, 0.84 * height), (0.16 * height, 0.16 * height), (134 + 6 * np.sin(y), 130, 124))
        centre, radius = (clock, 0.10 * height), 0.065 * height
        brush.disc(picture, centre, (radius, radius), (226, 226, 224))
        for speed, length in ((pace, 0.8), (pace / 12, 0.5)):
            tip = (clock + radius * length * np.sin(speed * seconds), 0.10 * height - radius * length * np.cos(speed * seconds))
            brush.line(picture, np.array([centre, tip]), (70, 70, 70), 1.5)

    return ground, [life]


def _street(height: int, width: int, rng: np.random.Generator) -> tuple[Bytes, list[Painter]]:
    sky = float(rng.uniform(186, 210))
    ground = brush.ramp(height, width, ((0.0, (sky, sky, sky + 4)), (1.0, (sky - 14, sky - 14, sky - 12))))
    x = 0.0
    while x < width:
        w, top, tone = height * rng.uniform(0.25, 0.5), height * rng.uniform(0.10, 0.45), float(rng.uniform(128, 168))
        brush.box(ground, (x, top), (w, height), (tone, tone - 3, tone - 8))
        for row in np.arange(top + 0.05 * height, 0.72 * height, 0.10 * height):
            for column in np.arange(x + 0.04 * height, x + w - 0.06 * height, 0.10 * height):
                brush.box(ground, (column, row), (0.05 * height, 0.06 * height), (tone + 16, tone + 19, tone + 22))
        x += w + 1.0
    brush.box(ground, (0, 0.80 * height), (width, height), (138, 138, 138))
    brush.box(ground, (0, 0.86 * height), (width, height), (112, 112, 114))
    cars, tones = _drifting(_view(height, width), 3, (0.35, 0.0), rng), rng.uniform(90, 200, 3)

    def traffic(picture: Bytes, seconds: float) -> None:
        for (x, _), tone in zip(cars(seconds), tones, strict=True):
            y, u = 0.87 * height, 0.05 * height
            brush.box(picture, (x + u, y - u), (2.4 * u, 1.2 * u), (tone - 14, tone - 12, tone - 8))
            brush.box(picture, (x, y), (4.6 * u, 1.1 * u), (tone, tone, tone + 3))
            for wheel in (1.0, 3.6):
                brush.disc(picture, (x + wheel * u, y + 1.1 * u), (0.45 * u, 0.45 * u), (50, 50, 50))

    return ground, [traffic]


def _storm(height: int, width: int, rng: np.random.Generator) -> tuple[Bytes, list[Painter]]:
    tint = float(rng.uniform(0, 1))
    ground = brush.ramp(height, width, ((0.0, (10, 12, 22)), (0.7, brush.mixed((36, 42, 66), (44, 40, 60), tint)), (1.0, (20, 22, 30))))
    for _ in range(14):
        x, y = rng.uniform(0, width), height * rng.uniform(0.0, 0.3)
        tone = rng.uniform(16, 40)
        brush.disc(ground, (x, y), (height * rng.uniform(0.15, 0.35), height * rng.uniform(0.04, 0.10)), (tone, tone, tone + 10))
    ground = np.asarray(cv2.GaussianBlur(ground, (0, 0), 0.02 * height), np.uint8)
    for base, colour in ((0.72, (18, 20, 28)), (0.84, (10, 11, 15))):
        _hills(ground, base, 0.04, colour, rng)
    for _ in range(int(rng.integers(4, 7))):
        _bare_tree(ground, (rng.uniform(0, width), 0.88 * height), -90 + rng.uniform(-8, 8), height * rng.uniform(0.12, 0.18), 4, rng)
    drops = _drifting(_view(height, width), 150, (-0.35, 2.2), rng)
    flashes = rng.uniform(0.1, 1.0, 2) + np.arange(2)
    bolt = np.cumsum(rng.uniform(-1, 1, (7, 1)) * [[0.05 * height]], axis=0)[:, 0] + rng.uniform(0.1, 0.9) * width / 1.4
    bolt_px = np.stack([bolt, np.linspace(0.02, 0.62, 7) * height], axis=-1)

    def weather(picture: Bytes, seconds: float) -> None:
        if np.any((seconds >= flashes) & (seconds < flashes + 0.18)):
            np.copyto(picture, cv2.convertScaleAbs(picture, alpha=1.5, beta=34))
            brush.line(picture, bolt_px, (232, 234, 255), 2.5)
        for x, y in drops(seconds):
            brush.line(picture, np.array([(x, y), (x - 0.012 * height, y + 0.075 * height)]), (112, 120, 146), 1.0)

    return ground, [weather]


def _bare_tree(picture: Bytes, root: tuple[float, float], angle: float, length: float, depth: int,
               rng: np.random.Generator) -> None:
    turn = np.deg2rad(angle)
    tip = (root[0] + length * float(np.cos(turn)), root[1] + length * float(np.sin(turn)))
    brush.line(picture, np.array([root, tip]), (6, 6, 8), 1.2 * depth)
    if depth > 1:
        for lean in (-28.0, 24.0):
            _bare_tree(picture, tip, angle + lean * rng.uniform(0.6, 1.4), 0.74 * length, depth - 1, rng)


def _ruin(height: int, width: int, rng: np.random.Generator) -> tuple[Bytes, list[Painter]]:
    ground = brush.ramp(height, width, ((0.0, (20, 8, 10)), (0.6, (70, 20, 14)), (0.85, (130, 44, 16)), (1.0, (40, 14, 10))))
    x = 0.0
    while x < width:
        w, top = height * rng.uniform(0.12, 0.3), height * rng.uniform(0.3, 0.7)
        jag = np.array([(x, height), (x, top), (x + 0.3 * w, top + 0.06 * height), (x + 0.55 * w, top - 0.04 * height),
                        (x + 0.8 * w, top + 0.08 * height), (x + w, top), (x + w, height)])
        brush.fill(ground, jag, (14, 8, 8))
        x += w * rng.uniform(1.1, 1.6)
    embers, smoke = _drifting(_view(height, width), 70, (0.05, -0.5), rng), _drifting(_view(height, width), 7, (0.04, -0.12), rng)
    tongues, beat = rng.uniform(0, width / 1.4, 12), rng.uniform(0, 6.3, 12)

    def fire(picture: Bytes, seconds: float) -> None:
        for x, y in smoke(seconds):
            brush.disc(picture, (x, 0.5 * y), (0.20 * height, 0.08 * height), (30, 18, 18))
        for x, phase in zip(tongues, beat, strict=True):
            tall = height * (0.16 + 0.07 * np.sin(9 * seconds + phase))
            lean = 0.03 * height * np.sin(6 * seconds + 2 * phase)
            for share, colour in ((1.0, (190, 50, 12)), (0.6, (240, 130, 24))):
                brush.fill(picture, _flame(x, 0.99 * height, tall * share, lean), colour)
        for x, y in embers(seconds):
            brush.disc(picture, (x, y), (0.005 * height, 0.005 * height), (255, 150, 50))

    return ground, [fire]


def _flame(x: float, foot: float, tall: float, lean: float) -> Floats:
    t = np.linspace(0, 1, 10)
    half = 0.28 * tall * np.sin(np.pi * np.clip(t * 0.85 + 0.15, 0, 1))
    middle, y = x + lean * t**2, foot - tall * t
    return np.stack([np.r_[middle - half, (middle + half)[::-1]], np.r_[y, y[::-1]]], axis=-1)


_SETTINGS = {
    "positive": (_meadow, _party),
    "neutral": (_office, _street),
    "negative": (_storm, _ruin),
}

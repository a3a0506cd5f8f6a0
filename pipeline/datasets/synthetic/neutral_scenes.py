"""Neutral scenes: an office and a street, both in muted tones."""

import numpy as np

from pipeline.datasets.synthetic import brush
from pipeline.datasets.synthetic.scene_parts import SceneSize, Setting
from pipeline.types import Bytes


def office(scene_size: SceneSize, rng: np.random.Generator) -> Setting:
    """Draw shelves and a window with blinds. A clock runs, and patches of light cross the floor."""
    height, wide = scene_size.height, scene_size.wide
    grey = float(rng.uniform(168, 200))
    wall = (grey, grey - 3, grey - 10)
    floor = brush.mixed(wall, (120, 118, 114), 0.2)
    stops = ((0.0, wall), (0.84, floor), (0.84, (128, 122, 114)), (1.0, (112, 108, 102)))
    ground = brush.ramp(height, wide, stops)
    for _ in range(int(rng.integers(3, 5))):
        _shelf(ground, rng)
    left, pane = rng.uniform(0, 0.8) * wide, 0.36 * height
    brush.box(ground, (left, 0.10 * height), (pane, 0.45 * height), (206, 212, 214))
    for k in range(9):
        brush.box(ground, (left, (0.10 + 0.05 * k) * height), (pane, 0.02 * height), (184, 186, 186))
    patches = scene_size.drifting(3, (0.10, 0.0), rng)
    clock = (float(rng.uniform(0.1, 0.9)) * scene_size.width, 0.10 * height)
    pace, radius = float(rng.uniform(0.8, 2.0)), 0.065 * height

    def paint(picture: Bytes, seconds: float) -> None:
        for x, y in patches(seconds):
            tone = (134 + 6 * np.sin(y), 130, 124)
            brush.box(picture, (x, 0.84 * height), (0.16 * height, 0.16 * height), tone)
        brush.disc(picture, clock, (radius, radius), (226, 226, 224))
        for speed, length in ((pace, 0.8 * radius), (pace / 12, 0.5 * radius)):
            turn = speed * seconds
            tip = (clock[0] + length * np.sin(turn), clock[1] - length * np.cos(turn))
            brush.line(picture, np.array([clock, tip]), (70, 70, 70), 1.5)

    return ground, paint


def street(scene_size: SceneSize, rng: np.random.Generator) -> Setting:
    """Draw grey houses under a pale sky. Cars pass."""
    height, wide = scene_size.height, scene_size.wide
    sky = float(rng.uniform(186, 210))
    ground = brush.ramp(height, wide, ((0.0, (sky, sky, sky + 4)), (1.0, (sky - 14, sky - 14, sky - 12))))
    x = 0.0
    while x < wide:
        x += _house(ground, x, rng) + 1.0
    brush.box(ground, (0, 0.80 * height), (wide, height), (138, 138, 138))
    brush.box(ground, (0, 0.86 * height), (wide, height), (112, 112, 114))
    cars, tones = scene_size.drifting(3, (0.35, 0.0), rng), rng.uniform(90, 200, 3)

    def paint(picture: Bytes, seconds: float) -> None:
        y, u = 0.87 * height, 0.05 * height
        for (x, _), tone in zip(cars(seconds), tones, strict=True):
            brush.box(picture, (x + u, y - u), (2.4 * u, 1.2 * u), (tone - 14, tone - 12, tone - 8))
            brush.box(picture, (x, y), (4.6 * u, 1.1 * u), (tone, tone, tone + 3))
            for wheel in (1.0, 3.6):
                brush.disc(picture, (x + wheel * u, y + 1.1 * u), (0.45 * u, 0.45 * u), (50, 50, 50))

    return ground, paint


def _shelf(ground: Bytes, rng: np.random.Generator) -> None:
    height, wide = ground.shape[:2]
    x, y = rng.uniform(0, wide), height * rng.choice((0.3, 0.52, 0.72))
    length = height * rng.uniform(0.4, 0.7)
    place = x
    while place < x + length - 0.05 * height:
        thick, tall = height * rng.uniform(0.02, 0.045), height * rng.uniform(0.08, 0.14)
        tone = rng.uniform(90, 165)
        brush.box(ground, (place, y - tall), (thick, tall), (tone, tone, tone - 8))
        place += thick + 1.0
    brush.box(ground, (x, y), (length, 0.022 * height), (110, 100, 90))


def _house(ground: Bytes, x: float, rng: np.random.Generator) -> float:
    """Draw a house from `x` on, and return its width in pixels."""
    height = ground.shape[0]
    width, top = height * rng.uniform(0.25, 0.5), height * rng.uniform(0.10, 0.45)
    tone = float(rng.uniform(128, 168))
    brush.box(ground, (x, top), (width, height), (tone, tone - 3, tone - 8))
    for row in np.arange(top + 0.05 * height, 0.72 * height, 0.10 * height):
        for column in np.arange(x + 0.04 * height, x + width - 0.06 * height, 0.10 * height):
            size = (0.05 * height, 0.06 * height)
            brush.box(ground, (column, row), size, (tone + 16, tone + 19, tone + 22))
    return float(width)

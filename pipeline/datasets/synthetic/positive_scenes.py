"""Positive scenes: a sunny meadow and a party."""

from collections.abc import Callable

import cv2
import numpy as np

from pipeline.datasets.synthetic import brush
from pipeline.datasets.synthetic.brush import Colour, Points
from pipeline.datasets.synthetic.scene_parts import Painter, SceneSize, Setting, hills
from pipeline.types import Bytes

_COLOURS = ((235, 64, 72), (250, 176, 40), (70, 160, 235), (245, 110, 170), (120, 200, 80), (250, 225, 70))
_WALLS = ((255, 214, 150), (255, 190, 170), (255, 226, 130), (250, 200, 210))
_WHITE = (255, 255, 255)
_NUM_FLAGS = 39


def meadow(scene_size: SceneSize, rng: np.random.Generator) -> Setting:
    """Draw blue sky, a sun and green hills with flowers. Clouds pass and balloons rise."""
    height, wide = scene_size.height, scene_size.wide
    warm = float(rng.uniform(0, 1))
    top = brush.mixed((70, 150, 240), (110, 190, 250), warm)
    low = brush.mixed((200, 232, 255), (255, 236, 200), warm)
    ground = brush.ramp(height, wide, ((0.0, top), (0.65, low), (1.0, low)))
    sun = (float(rng.uniform(0.1, 0.9)) * wide, float(rng.uniform(0.10, 0.25)) * height)
    for radius, share in ((0.34, 0.25), (0.22, 0.35), (0.12, 1.0)):
        layer = ground.copy()
        brush.disc(layer, sun, (radius * height, radius * height), (255, 244, 170))
        ground = np.asarray(cv2.addWeighted(layer, share, ground, 1 - share, 0), np.uint8)
    for base, colour in ((0.60, (132, 200, 110)), (0.70, (104, 184, 78)), (0.82, (84, 168, 60))):
        hills(ground, base, 0.035, colour, rng)
    for _ in range(130):
        x, y = rng.uniform(0, wide), height * rng.uniform(0.80, 1.0)
        radius = height * rng.uniform(0.004, 0.012)
        brush.disc(ground, (x, y), (radius, radius), _COLOURS[int(rng.integers(len(_COLOURS)))])
    clouds, rising = scene_size.drifting(6, (0.06, 0.0), rng), scene_size.drifting(7, (0.01, -0.16), rng)
    balloons = _balloons(rising, _shuffled(rng), height * rng.uniform(0.035, 0.06))

    def paint(picture: Bytes, seconds: float) -> None:
        for x, y in clouds(seconds):
            for dx, dy, r in ((-0.09, 0.01, 0.05), (0.0, -0.01, 0.07), (0.09, 0.012, 0.045)):
                puff = (x + dx * height, 0.32 * y + (0.04 + dy) * height)
                brush.disc(picture, puff, (1.3 * r * height, 0.7 * r * height), _WHITE)
        balloons(picture, seconds)

    return ground, paint


def party(scene_size: SceneSize, rng: np.random.Generator) -> Setting:
    """Draw a wall in a warm colour with small flags. Confetti falls and balloons rise."""
    height, wide = scene_size.height, scene_size.wide
    wall = _WALLS[int(rng.integers(len(_WALLS)))]
    stops = (
        (0.0, brush.mixed(wall, _WHITE, 0.45)),
        (0.8, wall),
        (0.8, (214, 150, 96)),
        (1.0, (190, 122, 76)),
    )
    ground = brush.ramp(height, wide, stops)
    x = np.linspace(0, wide, _NUM_FLAGS + 1)
    y = height * (0.03 + 0.05 * np.abs(np.sin(x / wide * np.pi * 4)))
    brush.line(ground, np.stack([x, y], axis=-1), (180, 120, 90), 1.5)
    for k in range(_NUM_FLAGS):
        tip = (x[k : k + 2].mean(), y[k] + 0.05 * height)
        flag = np.array([(x[k] + 1, y[k]), (x[k + 1] - 1, y[k + 1]), tip])
        brush.fill(ground, flag, _COLOURS[k % len(_COLOURS)])
    falling, rising = scene_size.drifting(90, (0.02, 0.30), rng), scene_size.drifting(6, (0.0, -0.10), rng)
    colours, spin = _shuffled(rng), rng.uniform(0, 180, 90)
    balloons = _balloons(rising, colours, height * rng.uniform(0.05, 0.075))

    def paint(picture: Bytes, seconds: float) -> None:
        for number, (x, y) in enumerate(falling(seconds)):
            turn = float(spin[number] + 200 * seconds)
            colour = _COLOURS[number % len(_COLOURS)]
            brush.disc(picture, (x, y), (0.013 * height, 0.007 * height), colour, turn)
        balloons(picture, seconds)

    return ground, paint


def _shuffled(rng: np.random.Generator) -> list[Colour]:
    return [_COLOURS[int(k)] for k in rng.permutation(len(_COLOURS))]


def _balloons(places: Callable[[float], Points], colours: list[Colour], size_px: float) -> Painter:
    s = size_px

    def paint(picture: Bytes, seconds: float) -> None:
        for number, (x, y) in enumerate(places(seconds)):
            sway = 0.3 * s * np.sin(2.0 * seconds + number)
            colour = colours[number % len(colours)]
            string = np.array([(x + sway, y + s), (x + 0.3 * sway, y + 2.0 * s), (x, y + 3.0 * s)])
            brush.line(picture, string, (240, 240, 240), 1.0)
            brush.disc(picture, (x + sway, y), (0.85 * s, 1.1 * s), colour)
            shine = (x + sway - 0.3 * s, y - 0.4 * s)
            brush.disc(picture, shine, (0.2 * s, 0.28 * s), brush.mixed(colour, _WHITE, 0.7))

    return paint

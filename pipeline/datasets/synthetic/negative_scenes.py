"""Negative scenes: a storm at night and a burning ruin."""

import cv2
import numpy as np

from pipeline.datasets.synthetic import brush
from pipeline.datasets.synthetic.brush import Points
from pipeline.datasets.synthetic.scene_parts import SceneSize, Setting, hills
from pipeline.types import Bytes

_FLASH_SECONDS = 0.18


def storm(scene_size: SceneSize, rng: np.random.Generator) -> Setting:
    """Draw black hills and bare trees under dark clouds. Rain falls, and lightning strikes."""
    height, wide = scene_size.height, scene_size.wide
    horizon = brush.mixed((36, 42, 66), (44, 40, 60), float(rng.uniform(0, 1)))
    ground = brush.ramp(height, wide, ((0.0, (10, 12, 22)), (0.7, horizon), (1.0, (20, 22, 30))))
    for _ in range(14):
        x, y = rng.uniform(0, wide), height * rng.uniform(0.0, 0.3)
        tone = rng.uniform(16, 40)
        size = (height * rng.uniform(0.15, 0.35), height * rng.uniform(0.04, 0.10))
        brush.disc(ground, (x, y), size, (tone, tone, tone + 10))
    ground = np.asarray(cv2.GaussianBlur(ground, (0, 0), 0.02 * height), np.uint8)
    for base, colour in ((0.72, (18, 20, 28)), (0.84, (10, 11, 15))):
        hills(ground, base, 0.04, colour, rng)
    for _ in range(int(rng.integers(4, 7))):
        root = (rng.uniform(0, wide), 0.88 * height)
        _bare_tree(ground, root, -90 + rng.uniform(-8, 8), height * rng.uniform(0.12, 0.18), 4, rng)
    drops = scene_size.drifting(150, (-0.35, 2.2), rng)
    flashes = rng.uniform(0.1, 1.0, 2) + np.arange(2)
    steps = np.cumsum(rng.uniform(-1, 1, 7)) * 0.05 * height
    bolt = np.stack(
        [steps + rng.uniform(0.1, 0.9) * scene_size.width, np.linspace(0.02, 0.62, 7) * height], axis=-1
    )
    streak = np.array([-0.012, 0.075]) * height

    def paint(picture: Bytes, seconds: float) -> None:
        if np.any((seconds >= flashes) & (seconds < flashes + _FLASH_SECONDS)):
            np.copyto(picture, cv2.convertScaleAbs(picture, alpha=1.5, beta=34))
            brush.line(picture, bolt, (232, 234, 255), 2.5)
        for drop in drops(seconds):
            brush.line(picture, np.array([drop, drop + streak]), (112, 120, 146), 1.0)

    return ground, paint


def ruin(scene_size: SceneSize, rng: np.random.Generator) -> Setting:
    """Draw black walls before a red sky. Flames flicker, and embers and smoke rise."""
    height, wide = scene_size.height, scene_size.wide
    stops = ((0.0, (20, 8, 10)), (0.6, (70, 20, 14)), (0.85, (130, 44, 16)), (1.0, (40, 14, 10)))
    ground = brush.ramp(height, wide, stops)
    x = 0.0
    while x < wide:
        x += _broken_wall(ground, x, rng) * rng.uniform(1.1, 1.6)
    embers, smoke = scene_size.drifting(70, (0.05, -0.5), rng), scene_size.drifting(7, (0.04, -0.12), rng)
    places, beats = rng.uniform(0, scene_size.width, 12), rng.uniform(0, 6.3, 12)

    def paint(picture: Bytes, seconds: float) -> None:
        for x, y in smoke(seconds):
            brush.disc(picture, (x, 0.5 * y), (0.20 * height, 0.08 * height), (30, 18, 18))
        for x, beat in zip(places, beats, strict=True):
            tall = height * (0.16 + 0.07 * np.sin(9 * seconds + beat))
            lean = 0.03 * height * np.sin(6 * seconds + 2 * beat)
            for share, colour in ((1.0, (190, 50, 12)), (0.6, (240, 130, 24))):
                brush.fill(picture, _flame(x, 0.99 * height, tall * share, lean), colour)
        for x, y in embers(seconds):
            brush.disc(picture, (x, y), (0.005 * height, 0.005 * height), (255, 150, 50))

    return ground, paint


def _bare_tree(
    ground: Bytes,
    root: tuple[float, float],
    angle: float,
    length: float,
    depth: int,
    rng: np.random.Generator,
) -> None:
    turn = np.deg2rad(angle)
    tip = (root[0] + length * float(np.cos(turn)), root[1] + length * float(np.sin(turn)))
    brush.line(ground, np.array([root, tip]), (6, 6, 8), 1.2 * depth)
    if depth > 1:
        for lean in (-28.0, 24.0):
            _bare_tree(ground, tip, angle + lean * rng.uniform(0.6, 1.4), 0.74 * length, depth - 1, rng)


def _broken_wall(ground: Bytes, x: float, rng: np.random.Generator) -> float:
    """Draw a wall with a jagged top from `x` on, and return its width in pixels."""
    height = ground.shape[0]
    width, top = height * rng.uniform(0.12, 0.3), height * rng.uniform(0.3, 0.7)
    across = x + width * np.array([0.0, 0.0, 0.3, 0.55, 0.8, 1.0, 1.0])
    down = np.array([height, top, top, top, top, top, height])
    jag = height * np.array([0.0, 0.0, 0.06, -0.04, 0.08, 0.0, 0.0])
    brush.fill(ground, np.stack([across, down + jag], axis=-1), (14, 8, 8))
    return float(width)


def _flame(x: float, foot: float, tall: float, lean: float) -> Points:
    t = np.linspace(0, 1, 10)
    half = 0.28 * tall * np.sin(np.pi * np.clip(t * 0.85 + 0.15, 0, 1))
    middle, y = x + lean * t**2, foot - tall * t
    return np.stack([np.r_[middle - half, (middle + half)[::-1]], np.r_[y, y[::-1]]], axis=-1)

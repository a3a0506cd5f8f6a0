"""What the settings of the scenes share: a stage of a size, and things that drift over it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from pipeline.datasets.synthetic import brush
from pipeline.datasets.synthetic.brush import Colour, Points
from pipeline.types import Bytes

Painter: TypeAlias = Callable[[Bytes, float], None]
"""Draws what moves on a picture, in place, at a time in seconds."""

Setting: TypeAlias = tuple[Bytes, Painter]
"""The still ground [height, wide, 3], and what moves in front of it."""

_PAN_SHARE = 0.2


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The picture's size in pixels; the ground is wider, so that the camera can pan."""

    height: int
    width: int

    @property
    def margin(self) -> int:
        """How far the ground goes on beyond each side of the picture, pixels."""
        return round(_PAN_SHARE * self.width)

    @property
    def wide(self) -> int:
        """Width of the ground in pixels."""
        return self.width + 2 * self.margin

    def drifting(
        self, count: int, speed: tuple[float, float], rng: np.random.Generator
    ) -> Callable[[float], Points]:
        """Places in pixels, [count, 2], of things that drift and wrap round, as a function of time.

        speed: mean velocity (x, y) in heights per second.
        """
        size = np.array([self.width * 1.2, self.height * 1.2])
        start = rng.uniform(0, 1, (count, 2)) * size
        velocity = np.array(speed) * self.height * rng.uniform(0.6, 1.4, (count, 1))
        return lambda seconds: (start + velocity * seconds) % size - 0.1 * size


def hills(ground: Bytes, base: float, swing: float, colour: Colour, rng: np.random.Generator) -> None:
    """Draw a wavy horizon, filled down to the foot, in place.

    Args:
        ground: RGB picture [H, W, 3].
        base: Place of the horizon, a fraction of the height from the top.
        swing: Size of its waves, a fraction of the height.
        colour: RGB, 0 to 255.
        rng: Random generator of the waves.
    """
    height, wide = ground.shape[:2]
    x = np.linspace(0, wide, 60)
    waves = np.zeros_like(x)
    for k in (1, 2, 3):
        waves += np.sin(x * rng.uniform(0.5, 2.0) * 2 * np.pi / wide * k + rng.uniform(0, 6.3)) / k
    y = height * (base + swing * waves)
    brush.fill(ground, np.stack([np.r_[x, wide, 0], np.r_[y, height, height]], axis=-1), colour)

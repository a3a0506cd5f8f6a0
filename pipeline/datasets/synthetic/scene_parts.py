"""Common parts of the scenes: their size, drifting objects, and hills."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from pipeline.datasets.synthetic import brush
from pipeline.datasets.synthetic.brush import Colour, Points
from pipeline.types import Bytes

Painter: TypeAlias = Callable[[Bytes, float], None]
"""Draws the moving objects on an image, in place, at a time in seconds."""

Setting: TypeAlias = tuple[Bytes, Painter]
"""The still ground [height, wide, 3], and the painter of the objects in front of it."""

_PAN_SHARE = 0.2


@dataclass(frozen=True, kw_only=True)
class SceneSize:
    """Size of the frame in pixels. The ground is wider, so that the camera can pan."""

    height: int
    width: int

    @property
    def margin(self) -> int:
        """Width of the ground beyond each side of the frame, in pixels."""
        return round(_PAN_SHARE * self.width)

    @property
    def wide(self) -> int:
        """Width of the ground in pixels."""
        return self.width + 2 * self.margin

    def drifting(
        self, count: int, speed: tuple[float, float], rng: np.random.Generator
    ) -> Callable[[float], Points]:
        """Return the places of objects that drift and wrap around, as a function of the time in seconds.

        Args:
            count: Number of objects.
            speed: Mean velocity (x, y), in heights of the frame per second.
            rng: Random generator of first places and velocities.

        Returns:
            Function that returns the places (x, y) in pixels, [count, 2].
        """
        size = np.array([self.width * 1.2, self.height * 1.2])
        start = rng.uniform(0, 1, (count, 2)) * size
        velocity = np.array(speed) * self.height * rng.uniform(0.6, 1.4, (count, 1))
        return lambda seconds: (start + velocity * seconds) % size - 0.1 * size


def hills(ground: Bytes, base: float, swing: float, colour: Colour, rng: np.random.Generator) -> None:
    """Draw a wavy horizon, filled down to the lower edge.

    Args:
        ground: RGB image, uint8 [H, W, 3], changed in place.
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

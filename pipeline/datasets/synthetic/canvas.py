"""Canvas of a head, which converts units of the face to pixels.

A unit is half the height of the face. The origin is the root of the nose, with x to the right and y down.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.datasets.synthetic.brush import Points
from pipeline.types import Floats

LEFT, TOP, WIDTH, HEIGHT = -1.1, -1.3, 2.2, 2.6
"""Upper left corner and size of the canvas, in units."""


@dataclass(frozen=True, kw_only=True)
class Canvas:
    """Canvas of `scale` pixels per unit."""

    scale: float

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return round(HEIGHT * self.scale), round(WIDTH * self.scale)

    @property
    def x_1W(self) -> Floats:
        """Centres of the columns, in units, [1, W]."""
        return self._places(self.shape[1], LEFT)[None]

    @property
    def y_H1(self) -> Floats:
        """Centres of the rows, in units, [H, 1]."""
        return self._places(self.shape[0], TOP)[:, None]

    def px(self, x: npt.ArrayLike, y: npt.ArrayLike) -> Points:
        """Convert points in units to pixels (x, y), [..., 2]."""
        xs, ys = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float))
        return np.stack([(xs - LEFT) * self.scale, (ys - TOP) * self.scale], axis=-1)

    def glow(self, x: float, y: float, across: float, along: float) -> Floats:
        """Return a Gaussian spot exp(-(dx/across)^2 - (dy/along)^2), float32 [H, W].

        Args:
            x: Centre, in units.
            y: Centre, in units.
            across: Half width in x, in units.
            along: Half width in y, in units.
        """
        spread = ((self.x_1W - x) / across) ** 2 + ((self.y_H1 - y) / along) ** 2
        return np.asarray(np.exp(-spread), dtype=np.float32)

    def glows(self, spots: list[tuple[float, float, float, float, float]]) -> Floats:
        """Return the sum of Gaussian spots, [H, W], each (height, x, y, across, along) as for `glow`."""
        total = np.zeros(self.shape, np.float32)
        for height, x, y, across, along in spots:
            total += height * self.glow(x, y, across, along)
        return total

    def _places(self, count: int, first: float) -> Floats:
        return (np.arange(count, dtype=np.float32) + 0.5) / self.scale + np.float32(first)

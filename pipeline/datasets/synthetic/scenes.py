"""Moving scenes of three kinds. Colours, objects, their places and speeds are random."""

from collections.abc import Callable, Mapping

import cv2
import numpy as np

from pipeline.datasets.synthetic.negative_scenes import ruin, storm
from pipeline.datasets.synthetic.neutral_scenes import office, street
from pipeline.datasets.synthetic.positive_scenes import meadow, party
from pipeline.datasets.synthetic.scene_parts import SceneSize, Setting
from pipeline.types import Bytes

_SETTINGS: Mapping[str, tuple[Callable[[SceneSize, np.random.Generator], Setting], ...]] = {
    "positive": (meadow, party),
    "neutral": (office, street),
    "negative": (storm, ruin),
}
KINDS = tuple(_SETTINGS)

_REFERENCE_HEIGHT = 288
_BLUR = 0.006
"""Blur of the ground, a fraction of the height: out of focus, so that Haar finds fewer false faces."""


class Scene:
    """One scene: a still ground that is drawn once and pans slowly, with moving objects before it.

    Args:
        kind: One of KINDS.
        height: Height of frames in pixels.
        width: Width of frames in pixels.
        rng: Random generator of the scene.
    """

    def __init__(self, kind: str, height: int, width: int, rng: np.random.Generator) -> None:
        self._size = SceneSize(height=height, width=width)
        pan = float(rng.choice((-1, 1)) * rng.uniform(3.0, 8.0))
        self._pan_px_per_second = pan * height / _REFERENCE_HEIGHT
        settings = _SETTINGS[kind]
        ground, self._paint = settings[int(rng.integers(len(settings)))](self._size, rng)
        cast = np.diag(rng.uniform(0.93, 1.05, 3))
        soft = cv2.GaussianBlur(ground, (0, 0), _BLUR * height)
        self._ground = np.asarray(cv2.transform(soft, cast), np.uint8)
        self._gain = float(rng.uniform(0.92, 1.06))

    def draw(self, seconds: float) -> Bytes:
        """Draw the scene at a time in seconds, RGB uint8 [height, width, 3]."""
        margin = self._size.margin
        pan = min(max(self._pan_px_per_second * seconds, -margin), margin)
        shift = np.array([[1.0, 0.0, -margin - pan], [0.0, 1.0, 0.0]])
        size = (self._size.width, self._size.height)
        picture = np.asarray(cv2.warpAffine(self._ground, shift, size), np.uint8)
        self._paint(picture, seconds)
        return np.asarray(cv2.convertScaleAbs(picture, alpha=self._gain), np.uint8)

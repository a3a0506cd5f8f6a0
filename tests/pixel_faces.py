"""A detector whose faces depend on the pixels of a frame alone, and videos with two such people."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from pipeline.process import Models
from pipeline.types import Faces
from tests.long_videos import write_long
from tests.small_clips import small_models_with


class PixelDetector:
    """Finds two faces in every frame, at places that its pixels move by parts of a pixel."""

    weights_sha256, warnings = "0" * 64, ()

    def detect(self, frames_NHWC: torch.Tensor) -> list[Faces]:
        return [self._faces(rgb_HWC.cpu().numpy().astype(np.float64)) for rgb_HWC in frames_NHWC]

    @staticmethod
    def _faces(rgb_HWC: np.ndarray) -> Faces:
        x, y = rgb_HWC[..., 0].mean() % 3, rgb_HWC[..., 1].mean() % 3
        box = np.array([[5 + x, 9 + y, 37 + x, 45 + y], [80 - x, 20 + y, 107 - x, 53.3 + y]], np.float32)
        points = np.repeat(((box[:, :2] + box[:, 2:]) / 2)[:, None], 5, axis=1)
        return Faces(box_xyxy_px=box, score=np.array([0.9, 0.8], np.float32), landmark_xy_px=points)


def pixel_models(**settings: object) -> Models:
    """Small models with this detector."""
    models = small_models_with(**{"detector": {"name": "haar"}, **settings})
    return replace(models, face_detector=PixelDetector())


def two_people(path: Path, num_frames: int = 50) -> Path:
    """A video of two people at 10 frames/s, with a cut at frame 21."""
    return write_long(path, num_frames, cuts=(21,))

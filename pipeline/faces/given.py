"""Boxes, or ready face crops, that a data set brings along, in the place of a detector's finds."""

from typing import NoReturn

import numpy as np
import torch

from pipeline.errors import ConfigError
from pipeline.faces.detector import faces_in_picture, no_landmarks
from pipeline.types import Faces, Floats, GivenBoxes, Ints

GIVEN = {"boxes": "the boxes of a manifest", "crops": "ready face crops of a data set"}
"""Detectors without a model, and what they take."""
_NO_BOX = np.empty((0, 4), dtype=np.float32)


class GivenOnly:
    """A detector of GIVEN: the faces are there already, and come from `given_faces` or as pixels."""

    weights_sha256 = ""
    precision = "fp32"
    warnings = ()

    def __init__(self, name: str) -> None:
        self.name = name

    def detect(self, rgb_UHWC: torch.Tensor) -> NoReturn:
        """Raises ConfigError: there is nothing to detect faces with."""
        msg = (
            f"Detector '{self.name}' finds no faces on {len(rgb_UHWC)} frames: it only takes "
            f"{GIVEN[self.name]}. Choose another, such as --detector haar."
        )
        raise ConfigError(msg)


def given_faces(given: GivenBoxes | None, frame_index_U: Ints, height: int, width: int) -> list[Faces]:
    """The given boxes as faces of score 1 on the sampled frames, clipped to the picture.

    frame_index_U: [U] numbers of the sampled frames. A box without frame numbers holds for every
    frame, one with a number for that frame alone. Relative boxes are of the height and width in pixels.
    Without boxes no frame has a face.
    """
    if given is None:
        return [_faces(_NO_BOX, height, width) for _ in frame_index_U]
    box_K4 = given.box_xyxy_px(height, width)
    if given.frame_index is None:
        return [_faces(box_K4, height, width) for _ in frame_index_U]
    return [_faces(box_K4[given.frame_index == index], height, width) for index in frame_index_U]


def _faces(box_K4: Floats, height: int, width: int) -> Faces:
    score_K = np.ones(len(box_K4), dtype=np.float32)
    return faces_in_picture(box_K4, score_K, no_landmarks(len(box_K4)), height, width)

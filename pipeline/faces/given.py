"""Boxes, or ready face crops, that a data set brings along, in the place of a detector's finds."""

from typing import NoReturn

import numpy as np
import torch

from pipeline.errors import ConfigError
from pipeline.faces.detector import faces_in_picture, no_landmarks
from pipeline.types import Faces, GivenBoxes, Ints

GIVEN = {"boxes": "the boxes of a manifest", "crops": "ready face crops of a data set"}
"""Detectors without a model, and what they take."""


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
    frame, one with a number for that frame alone. Without boxes no frame has a face.
    """
    return [_on_frame(given, int(index), height, width) for index in frame_index_U]


def _on_frame(given: GivenBoxes | None, index: int, height: int, width: int) -> Faces:
    if given is None:
        box = np.empty((0, 4), dtype=np.float32)
    elif given.frame_index is None:
        box = given.box_xyxy_px
    else:
        box = given.box_xyxy_px[given.frame_index == index]
    return faces_in_picture(box, np.ones(len(box), dtype=np.float32), no_landmarks(len(box)), height, width)

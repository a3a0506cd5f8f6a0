"""Boxes, or ready face crops, that a data set brings along, in the place of a detector's finds."""

from typing import NoReturn

import numpy as np
import torch

from pipeline.errors import ClipError, ConfigError
from pipeline.faces.detector import faces_in_picture, no_landmarks
from pipeline.types import Faces, Floats, GivenBoxes, Ints

GIVEN = {"boxes": "the boxes of a manifest", "crops": "ready face crops of a data set"}
"""Detectors without a model, and what they take."""
MIN_SHARE_INSIDE = 0.5
"""A box with a smaller part of its area inside the frame is in another scale, or of another video. A face
that touches two edges of the frame has 56% inside after its box was enlarged twofold, as for crops."""

_REMEDY = (
    "Boxes in another scale (0 to 1000), of another resolution or of another video? Give pixels of the "
    "upright frame, or fractions of it with box_units relative"
)
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

    Raises:
        ClipError: Stage ``detect``, for boxes that are not of this frame (`stray_boxes`).
    """
    if given is None:
        return [_faces(_NO_BOX, height, width) for _ in frame_index_U]
    if stray := stray_boxes(given, height, width):
        raise ClipError("detect", f"{stray}. {_REMEDY}")
    box_K4 = given.box_xyxy_px(height, width)
    if given.frame_index is None:
        return [_faces(box_K4, height, width) for _ in frame_index_U]
    return [_faces(box_K4[given.frame_index == index], height, width) for index in frame_index_U]


def stray_boxes(given: GivenBoxes, height: int, width: int) -> str:
    """Return why the boxes of a clip are not of its frame of this size; empty where they can be.

    That is where most boxes have less than half of their area inside. A few of them do where a face leaves
    the frame.
    """
    box_K4 = given.box_xyxy_px(height, width).astype(np.float64)
    clipped_K4 = np.clip(box_K4, 0, [width, height, width, height])
    share_K = np.prod(clipped_K4[:, 2:] - clipped_K4[:, :2], axis=1) / np.prod(
        box_K4[:, 2:] - box_K4[:, :2], axis=1
    )
    stray_K = np.flatnonzero(share_K < MIN_SHARE_INSIDE)
    if 2 * len(stray_K) <= len(box_K4):
        return ""
    first = stray_K[0]
    box = ", ".join(f"{value:g}" for value in given.box_xyxy[first])
    many = f", as {len(stray_K) - 1} of the other {len(box_K4) - 1}" if len(box_K4) > 1 else ""
    units = "in fractions" if given.is_relative else "in pixels"
    return (
        f"given box {box} ({units}) has {share_K[first]:.0%} of its area inside the frame of {width}x{height}"
        f" pixels{many}; expected: {MIN_SHARE_INSIDE:.0%} or more"
    )


def _faces(box_K4: Floats, height: int, width: int) -> Faces:
    score_K = np.ones(len(box_K4), dtype=np.float32)
    return faces_in_picture(box_K4, score_K, no_landmarks(len(box_K4)), height, width)

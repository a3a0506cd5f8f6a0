"""Bounding boxes that the dataset provides, as faces of sampled frames."""

import numpy as np

from pipeline.errors import ClipError
from pipeline.faces.detector import faces_in_picture, no_landmarks
from pipeline.types import Faces, Floats, Ints, ProvidedBoxes

MIN_SHARE_INSIDE = 0.5
"""Smallest part of a box's area that is inside the frame; below it, the box is in another scale or of another
video. The box of a face that touches two edges of the frame has 56% inside if it was enlarged twofold."""

_REMEDY = (
    "Boxes in another scale (0 to 1000), of another resolution or of another video? Give pixels of the "
    "upright frame, or fractions of it with box_units relative"
)
_NO_BOX = np.empty((0, 4), dtype=np.float32)


def provided_faces(
    provided: ProvidedBoxes | None, frame_index_U: Ints, height: int, width: int
) -> list[Faces]:
    """Return the boxes of a clip as faces of score 1, clipped to the frame.

    Args:
        provided: The boxes. One without frame numbers is used for every frame, one with a number for that
            frame. None for no face on any frame.
        frame_index_U: [U] numbers of the sampled frames among the decoded ones.
        height: Height of the frames in pixels.
        width: Width of the frames in pixels.

    Returns:
        The faces of each sampled frame, U in all.

    Raises:
        ClipError: Stage ``detect``: the boxes are not of this frame (`stray_boxes`).
    """
    if provided is None:
        return [_faces(_NO_BOX, height, width) for _ in frame_index_U]
    if stray := stray_boxes(provided, height, width):
        raise ClipError("detect", f"{stray}. {_REMEDY}")
    box_K4 = provided.box_xyxy_px(height, width)
    if provided.frame_index is None:
        return [_faces(box_K4, height, width) for _ in frame_index_U]
    return [_faces(box_K4[provided.frame_index == index], height, width) for index in frame_index_U]


def stray_boxes(provided: ProvidedBoxes, height: int, width: int) -> str:
    """Return why the boxes of a clip cannot be of its frames, or an empty text if they can.

    They cannot if most of them have less than half of their area inside the frame. Where a face leaves the
    frame, a few of them do.

    Args:
        provided: The boxes of the clip, in pixels or in fractions of the frame.
        height: Height of the frames in pixels.
        width: Width of the frames in pixels.
    """
    box_K4 = provided.box_xyxy_px(height, width).astype(np.float64)
    clipped_K4 = np.clip(box_K4, 0, [width, height, width, height])
    share_K = np.prod(clipped_K4[:, 2:] - clipped_K4[:, :2], axis=1) / np.prod(
        box_K4[:, 2:] - box_K4[:, :2], axis=1
    )
    stray_K = np.flatnonzero(share_K < MIN_SHARE_INSIDE)
    if 2 * len(stray_K) <= len(box_K4):
        return ""
    first = stray_K[0]
    box = ", ".join(f"{value:g}" for value in provided.box_xyxy[first])
    many = f", as {len(stray_K) - 1} of the other {len(box_K4) - 1}" if len(box_K4) > 1 else ""
    units = "in fractions" if provided.is_relative else "in pixels"
    return (
        f"given box {box} ({units}) has {share_K[first]:.0%} of its area inside the frame of {width}x{height}"
        f" pixels{many}; expected: {MIN_SHARE_INSIDE:.0%} or more"
    )


def _faces(box_K4: Floats, height: int, width: int) -> Faces:
    score_K = np.ones(len(box_K4), dtype=np.float32)
    return faces_in_picture(box_K4, score_K, no_landmarks(len(box_K4)), height, width)

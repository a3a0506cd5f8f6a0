"""The faces of a clip: found on its frames, provided as crops, followed as one subject.

Letters: U sampled frames; K faces on a frame.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.types.arrays import Bools, Bytes, Floats, Ints
from pipeline.types.checks import require
from pipeline.types.frames import Frames
from pipeline.types.notes import Note, NoteKind


@dataclass(frozen=True, kw_only=True)
class Crops:
    """Face crops that a dataset provides for a clip's sampled frames."""

    pictures: tuple[Bytes, ...]
    """Each uint8 [h, w, 3], of its own size; none where the clip has no crop."""
    place_U: Ints
    """[U] place in `pictures` of every frame's crop; -1 in a clip without any."""
    found_U: Bools
    """[U], true where the crop is of that very frame, false where it is of a neighbour."""
    notes: tuple[Note, ...] = ()
    """Remarks for the user, such as crops that belong to no frame."""

    def __post_init__(self) -> None:
        for picture in self.pictures:
            shape, dtype = picture.shape, picture.dtype
            is_image = len(shape) == 3 and shape[2] == 3 and picture.size > 0
            require(is_image, f"crops are [h, w, 3], not {list(shape)}")
            require(dtype == np.uint8, f"crops are uint8, not {dtype}")
        places, found = self.place_U.shape, self.found_U.shape
        require(places == found, f"one place per frame, not {list(places)} for {list(found)}")
        low = 0 if self.pictures else -1
        require((self.place_U >= low).all(), f"a crop for every frame, or for none: {self.place_U.tolist()}")
        high = len(self.pictures)
        require((self.place_U < high).all(), f"crop out of range: {self.place_U.tolist()} of {high}")
        stray = int(self.found_U.sum())
        require(self.pictures or not stray, f"no face is found without a crop, but {stray} are")

    @classmethod
    def none(cls, num_frames: int, note: str) -> "Crops":
        """Return the crops of a clip without any, with a note that gives the reason."""
        return cls(
            pictures=(),
            place_U=np.full(num_frames, -1),
            found_U=np.zeros(num_frames, np.bool_),
            notes=(Note(NoteKind.OTHER, note),),
        )

    @classmethod
    def of(cls, frames: Frames) -> "Crops":
        """Return the crops of a clip whose frames are aligned faces: each is its own crop."""
        num_frames = len(frames.rgb_UHWC)
        return cls(
            pictures=tuple(frames.rgb_UHWC),
            place_U=np.arange(num_frames),
            found_U=np.ones(num_frames, np.bool_),
        )


@dataclass(frozen=True, kw_only=True)
class Faces:
    """Faces found on one frame, best score first."""

    box_xyxy_px: Floats
    """[K, 4], inside the frame."""
    score: Floats
    """[K], 0 to 1."""
    landmark_xy_px: Floats
    """[K, 5, 2] eyes, nose, mouth corners; NaN from detectors that give none."""

    def __post_init__(self) -> None:
        k = len(self.box_xyxy_px)
        boxes, scores = self.box_xyxy_px.shape, self.score.shape
        require(boxes == (k, 4), f"boxes are [K, 4], not {list(boxes)}")
        require(scores == (k,), f"one score per box, not {list(scores)} for {k}")
        points = self.landmark_xy_px.shape
        require(points == (k, 5, 2), f"landmarks are [K, 5, 2], not {list(points)} for {k} boxes")


@dataclass(frozen=True, kw_only=True)
class FaceTrack:
    """One subject's box on every sampled frame."""

    box_xyxy_px: Floats
    """[U, 4]; NaN on every frame of a clip without a face, or whose face is known by crops alone."""
    score: Floats
    """[U], 0 where the box was interpolated."""
    found: Bools
    """[U], true where a face was detected."""

    def __post_init__(self) -> None:
        u = len(self.box_xyxy_px)
        boxes, scores, found = self.box_xyxy_px.shape, self.score.shape, self.found.shape
        require(boxes == (u, 4), f"boxes are [U, 4], not {list(boxes)}")
        require(scores == found == (u,), f"one score per frame, not {list(scores)} and {list(found)} for {u}")
        num_boxes = int(np.isfinite(self.box_xyxy_px).all(axis=1).sum())
        require(
            bool(np.isnan(self.box_xyxy_px).all()) or (self.has_face and self.has_boxes),
            "boxes on all frames or on none, and on none without a face in the clip: "
            f"{num_boxes} of {u} frames, faces found on {int(self.found.sum())}",
        )

    @property
    def has_face(self) -> bool:
        """Whether a face was found on any frame."""
        return bool(self.found.any())

    @property
    def has_boxes(self) -> bool:
        """Whether the place of the face in the frame is known."""
        return bool(np.isfinite(self.box_xyxy_px).all())

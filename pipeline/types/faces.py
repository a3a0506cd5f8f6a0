"""The faces of a clip: found on its frames, provided as crops, linked as people, followed as one subject.

Letters: U sampled frames; K faces on a frame; N detections of a person; D length of a look.
"""

import math
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np

from pipeline.boxes import side_of
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

    def above(self, score: float) -> "Faces":
        """Return only the faces with a higher score."""
        return self.at(self.score > score)

    def at(self, kept: Bools | Ints) -> "Faces":
        """Return only some faces: the true ones of bool [K], or those at these places, integers."""
        return Faces(
            box_xyxy_px=self.box_xyxy_px[kept],
            score=self.score[kept],
            landmark_xy_px=self.landmark_xy_px[kept],
        )


@dataclass(frozen=True, kw_only=True)
class Tracklet:
    """The detections of one person in one shot."""

    shot: int
    """Number of the shot."""
    frame_N: Ints
    """[N] frames with a detection, rising, as places among the sampled frames."""
    face_N: Ints
    """[N] place of each detection among those of its frame."""
    box_N4: Floats
    """[N, 4] boxes in pixels."""
    score_N: Floats
    """[N] scores of the detector."""
    margin_N: Floats
    """[N] how much more the next best assignment costs, in nats; infinite if there is none."""
    look_D: Floats
    """[D] mean look (`pipeline.looks`)."""

    def __post_init__(self) -> None:
        n = len(self.frame_N)
        shapes = [list(array.shape) for array in (self.face_N, self.score_N, self.margin_N)]
        require(
            n > 0 and shapes == 3 * [[n]], f"a tracklet has one value per detection, not {shapes} for {n}"
        )
        require(self.box_N4.shape == (n, 4), f"boxes are [N, 4], not {list(self.box_N4.shape)} for {n}")
        require((np.diff(self.frame_N) > 0).all(), f"frames must rise: {self.frame_N.tolist()}")
        require(not np.isnan(self.margin_N).any() and (self.margin_N >= 0).all(), "margins are 0 or more")

    def at(self, place_U: Ints) -> "Tracklet | None":
        """Return only the detections on these frames, numbered by their places; None without any."""
        kept = np.isin(self.frame_N, place_U)
        if not kept.any():
            return None
        return replace(
            self,
            frame_N=np.searchsorted(place_U, self.frame_N[kept]),
            face_N=self.face_N[kept],
            box_N4=self.box_N4[kept],
            score_N=self.score_N[kept],
            margin_N=self.margin_N[kept],
        )

    @property
    def weight(self) -> float:
        """Sum of score times side of the box, in pixels, over the detections.

        A face that is large, long in view and detected with certainty has the largest weight; one large false
        detection has less.
        """
        return float(np.dot(side_of(self.box_N4), self.score_N))


@dataclass(frozen=True, kw_only=True)
class Person:
    """The tracklets of one person of a clip, in the order of their first detections."""

    tracklets: tuple[Tracklet, ...]
    """At least one; no two have a frame in common."""
    number: int
    """Rank by weight among the people of the clip, from 1; `faces --draw` shows it."""
    margin: float = math.inf
    """How much worse another person would fit at the least certain join of two tracklets, in nats.

    Infinite without a join.
    """

    def __post_init__(self) -> None:
        frames = [frame for tracklet in self.tracklets for frame in tracklet.frame_N.tolist()]
        require(len(frames) > 0, "a person has tracklets")
        require(self.number > 0, f"people are numbered from 1, not {self.number}")
        require(len(set(frames)) == len(frames), f"a person is once on a frame, not {sorted(frames)}")

    def at(self, place_U: Ints) -> "Person | None":
        """Return only the detections on these frames, numbered by their places; None without any."""
        kept = [one for tracklet in self.tracklets if (one := tracklet.at(place_U)) is not None]
        return replace(self, tracklets=tuple(kept)) if kept else None

    @property
    def weight(self) -> float:
        """Sum of the tracklets' weights."""
        return sum(tracklet.weight for tracklet in self.tracklets)

    @property
    def num_detections(self) -> int:
        """Number of the frames on which the person is detected."""
        return sum(len(tracklet.frame_N) for tracklet in self.tracklets)


class Absence(IntEnum):
    """Why the subject's face is not detected on a frame, as caches store it."""

    NONE = 0
    """The face is detected."""
    NOT_DETECTED = 1
    """The face is in view by its track, but the detector missed it."""
    OUT_OF_VIEW = 2
    """The subject is not in view in this part of the shot."""
    OTHER_SHOT = 3
    """The subject is not in this shot."""


DOUBTFUL_NATS = 2.0
"""Margin below which a track is doubtful: another choice of people is at least one seventh as likely."""


@dataclass(frozen=True, kw_only=True)
class FaceTrack:
    """One subject's box on every sampled frame."""

    box_xyxy_px: Floats
    """[U, 4]; NaN on every frame of a clip without a face, or whose face is known by crops alone.

    Where the subject is not in view, the box of the nearest frame on which it is.
    """
    score: Floats
    """[U], 0 where the box was interpolated."""
    found: Bools
    """[U], true where a face was detected."""
    absence_U: Bytes
    """[U] uint8, the `Absence` of every frame: 0 exactly where a face was detected."""
    margin: float = math.inf
    """How much more the best other choice of detections costs, in nats, at the least certain detection.

    Infinite if no other person could be meant, or this is not known.
    """
    num_people: int = 0
    """People who were followed on at least two frames; 0 where the subject alone is followed."""

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
        is_marked = self.absence_U.shape == (u,) and ((self.absence_U == Absence.NONE) == self.found).all()
        require(bool(is_marked), f"absence is 0 exactly where a face is found: {self.absence_U.tolist()}")
        require(self.margin >= 0, f"a margin is 0 or more, not {self.margin}")

    @classmethod
    def of_one_person(cls, box_xyxy_px: Floats, score: Floats, found: Bools) -> "FaceTrack":
        """Return a track in one shot whose subject is always in view: missed where it is not found."""
        absence = np.where(found, Absence.NONE, Absence.NOT_DETECTED).astype(np.uint8)
        return cls(box_xyxy_px=box_xyxy_px, score=score, found=found, absence_U=absence)

    def at(self, place_U: Ints) -> "FaceTrack":
        """Return the track on these frames alone; without boxes if the face is detected on none of them."""
        found = self.found[place_U]
        box_U4 = self.box_xyxy_px[place_U] if found.any() else np.full((len(place_U), 4), np.nan, np.float32)
        return replace(
            self,
            box_xyxy_px=box_U4,
            score=self.score[place_U],
            found=found,
            absence_U=self.absence_U[place_U],
        )

    @property
    def has_face(self) -> bool:
        """Whether a face was found on any frame."""
        return bool(self.found.any())

    @property
    def has_boxes(self) -> bool:
        """Whether the place of the face in the frame is known."""
        return bool(np.isfinite(self.box_xyxy_px).all())

    @property
    def in_view_U(self) -> Bools:
        """[U], true where the subject is in view, although the detector may have missed the face."""
        in_view: Bools = self.absence_U <= Absence.NOT_DETECTED
        return in_view

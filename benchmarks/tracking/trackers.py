"""The interface of a tracker in this comparison, and the trackers.

Letters: U frames; K faces on a frame.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pipeline.faces import DetectorConfig
from pipeline.looks import LOOK_WIDTH, look_of
from pipeline.people import PeopleConfig, find_people
from pipeline.tracks import EARLIER_METHOD, TrackConfig, nearest_track, subject_track
from pipeline.tracks.nearest import link_nearest
from pipeline.types import Bytes, Faces, FaceTrack, Floats, Ints

NO_TRACK = -1
_START_SCORE = DetectorConfig().score


@dataclass(frozen=True, kw_only=True)
class Result:
    """Tracks of a clip."""

    ids: tuple[tuple[int, ...], ...]
    """Per frame the track of every detection; -1 for none."""
    subject: FaceTrack
    """The subject's track over the same frames."""


class Tracker(Protocol):
    """A function that links detections."""

    def __call__(
        self, detections: Sequence[Faces], seconds_U: Floats, crops: Sequence[Bytes], shot_U: Ints
    ) -> Result:
        """Link the detections of a clip.

        Args:
            detections: Faces of the U frames, of scores above the entry's `lowest_score`.
            seconds_U: [U] times of the frames in seconds.
            crops: U times uint8 RGB [K, 48, 48, 3], around each box.
            shot_U: [U] number of every frame's shot, from the truth.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class TrackerEntry:
    """A tracker, and the lowest score of the detections that it gets."""

    track: Tracker
    lowest_score: float


def nearest(detections: Sequence[Faces], seconds_U: Floats, crops: Sequence[Bytes], shot_U: Ints) -> Result:
    """Link with ``track.method=nearest``, which uses neither times nor crops nor shots."""
    del seconds_U, crops, shot_U
    config = TrackConfig(method=EARLIER_METHOD)
    ids = [np.full(len(found.score), NO_TRACK) for found in detections]
    for number, tracklet in enumerate(link_nearest(detections, config)):
        for frame, box in zip(tracklet.frame, tracklet.box, strict=True):
            ids[frame][(detections[frame].box_xyxy_px == box).all(axis=1)] = number
    return Result(ids=_plain(ids), subject=nearest_track(detections, config))


def motion(detections: Sequence[Faces], seconds_U: Floats, crops: Sequence[Bytes], shot_U: Ints) -> Result:
    """Link with ``track.method=motion``; a face that is missed for a moment counts as in view."""
    seconds = seconds_U.astype(np.float64)
    looks = [
        np.array([look_of(crop) for crop in of_frame]).reshape(len(of_frame), LOOK_WIDTH)
        for of_frame in crops
    ]
    people = find_people(detections, looks, seconds, shot_U, PeopleConfig(), start_score=_START_SCORE)
    ids = [np.full(len(found.score), NO_TRACK) for found in detections]
    for number, person in enumerate(people):
        for tracklet in person.tracklets:
            for frame, face in zip(tracklet.frame_N, tracklet.face_N, strict=True):
                ids[frame][face] = number
    config = TrackConfig(kept_look=10.0)
    subject = subject_track(people, seconds, shot_U, lambda _u, _box: people[0].tracklets[0].look_D, config)
    return Result(ids=_plain(ids), subject=subject)


def _plain(ids: Sequence[Ints]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(int(k) for k in of_frame) for of_frame in ids)


TRACKERS: Mapping[str, TrackerEntry] = {
    "nearest": TrackerEntry(track=nearest, lowest_score=_START_SCORE),
    "motion": TrackerEntry(track=motion, lowest_score=PeopleConfig().weak_score),
}
"""Every tracker by its name on the command line."""

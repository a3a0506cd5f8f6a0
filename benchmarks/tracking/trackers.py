"""The interface of a tracker in this comparison, and the trackers.

Letters: U frames; K faces on a frame.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pipeline.tracks import TrackConfig, _link, build_track
from pipeline.types import Bytes, Faces, FaceTrack, Floats, Ints

NO_TRACK = -1


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
    lowest_score: float = 0.5


def version_1(detections: Sequence[Faces], seconds_U: Floats, crops: Sequence[Bytes], shot_U: Ints) -> Result:
    """Link with `pipeline.tracks`, which uses neither times nor crops nor shots."""
    del seconds_U, crops, shot_U
    config = TrackConfig()
    ids = [np.full(len(found.score), NO_TRACK) for found in detections]
    for number, tracklet in enumerate(_link(detections, config)):
        for frame, box in zip(tracklet.frame, tracklet.box, strict=True):
            ids[frame][(detections[frame].box_xyxy_px == box).all(axis=1)] = number
    return Result(
        ids=tuple(tuple(int(k) for k in of_frame) for of_frame in ids),
        subject=build_track(detections, config),
    )


TRACKERS: Mapping[str, TrackerEntry] = {"version-1": TrackerEntry(track=version_1)}
"""Every tracker by its name on the command line."""

"""Track of the subject by linking nearest boxes, as in caches of earlier versions (``track.method=nearest``).

Letters: U sampled frames of a clip; K faces on a frame; M tracklets; N detections of one tracklet.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline.boxes import centre_of, side_of
from pipeline.tracks.boxes import interpolated, no_track, smoothed
from pipeline.tracks.config import TrackConfig
from pipeline.types import Faces, FaceTrack, Floats


@dataclass
class _Tracklet:
    """Detections of one face: rising frame numbers, boxes and scores, N of each."""

    frame: list[int] = field(default_factory=list)
    box: list[Floats] = field(default_factory=list)
    score: list[float] = field(default_factory=list)

    def add(self, frame: int, box: Floats, score: float) -> None:
        self.frame.append(frame)
        self.box.append(box)
        self.score.append(score)

    def weight(self) -> float:
        """Return the sum of score times side over its detections.

        The subject is large, long visible and detected with certainty. One large false detection has less
        weight than a face that is visible throughout.
        """
        return float(np.dot(side_of(np.array(self.box)), self.score))


def nearest_track(faces: Sequence[Faces], config: TrackConfig) -> FaceTrack:
    """Find the track of the clip's subject by linking nearest boxes (``method=nearest``).

    Detections are linked over the frames into tracklets. The one with the largest weight is the subject's.
    Boxes are interpolated between its detections, held before the first and after the last, and smoothed.

    Args:
        faces: Detected faces on U frames.
        config: Settings of linking and smoothing.

    Returns:
        Boxes [U, 4], NaN if no frame has a face; `found` and `score` of the frames with a detection.
    """
    u = len(faces)
    tracklets = link_nearest(faces, config)
    if not tracklets:
        return no_track(u)
    subject = max(tracklets, key=_Tracklet.weight)
    score, found = np.zeros(u, dtype=np.float32), np.zeros(u, dtype=np.bool_)
    score[subject.frame] = subject.score
    found[subject.frame] = True
    box = smoothed(interpolated(np.array(subject.box), subject.frame, np.arange(u)), config)
    return FaceTrack.of_one_person(box, score, found)


def link_nearest(faces: Sequence[Faces], config: TrackConfig) -> list[_Tracklet]:
    """Assign every detection to a tracklet, frame by frame: nearest pairs first, others begin new ones."""
    tracklets: list[_Tracklet] = []
    for frame, found in enumerate(faces):
        alive = [t for t in tracklets if frame - t.frame[-1] <= config.max_gap + 1]
        taken = _nearest_pairs(alive, found.box_xyxy_px, config)
        for k, box in enumerate(found.box_xyxy_px):
            if k not in taken:
                tracklets.append(_Tracklet())
            tracklet = taken.get(k, tracklets[-1])
            tracklet.add(frame, box, float(found.score[k]))
    return tracklets


def _nearest_pairs(alive: Sequence[_Tracklet], box_K4: Floats, config: TrackConfig) -> dict[int, _Tracklet]:
    """Return the tracklet that each detection continues, each at most once, by the detection's number.

    The distance of a pair is the distance of the centres in mean sides, plus the logarithm of the ratio of
    the sides. Both terms have a limit.
    """
    if not alive or not len(box_K4):
        return {}
    last_M4 = np.array([tracklet.box[-1] for tracklet in alive])
    side_M1, side_K = side_of(last_M4)[:, None], side_of(box_K4)
    offset_MK2 = centre_of(last_M4)[:, None] - centre_of(box_K4)
    jump_MK = np.hypot(offset_MK2[..., 0], offset_MK2[..., 1]) / ((side_M1 + side_K) / 2)
    growth_MK = np.abs(np.log(side_M1 / side_K))
    near_MK = (jump_MK <= config.max_jump) & (growth_MK <= np.log(config.max_growth))
    nearest_first = np.argsort((jump_MK + growth_MK)[near_MK], kind="stable")
    taken: dict[int, int] = {}
    for m, k in np.argwhere(near_MK)[nearest_first]:
        if k not in taken and m not in taken.values():
            taken[int(k)] = int(m)
    return {k: alive[m] for k, m in taken.items()}

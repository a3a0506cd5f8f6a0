"""Track of one subject, from the bounding boxes of all faces on each frame. Pure numpy.

Letters: U sampled frames of a clip; K faces on a frame; M tracklets; N detections of one tracklet.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from pipeline.config import require_range
from pipeline.types import Crops, Faces, FaceTrack, Floats
from pipeline.versions import VERSIONS

_LARGEST_NEIGHBOUR_WEIGHT = 1 / 3


@dataclass(frozen=True, kw_only=True)
class TrackConfig:
    """Settings for linking the detections of a face over frames, and for smoothing its boxes.

    The time between sampled frames is often 0.3 s, therefore the limits are wide. The side of a box is the
    square root of its area.

    Attributes:
        max_gap: Sampled frames that a face may be missing before its track ends.
        max_jump: Largest movement of the box's centre between two detections, in sides of the box.
        max_growth: Largest factor by which the side changes between two detections.
        smooth: Weight of each of the two neighbours in a box's mean, 0 (off) to 1/3 (a plain mean).
        max_shift: Largest movement of a box's edge by smoothing, in sides. It allows for the detector's
            jitter, a few hundredths, but keeps the box on a moving face.
    """

    VERSION: ClassVar[int] = VERSIONS["tracks"]
    """Version of choosing, following and smoothing the subject's boxes (decision 0007)."""

    max_gap: int = 8
    max_jump: float = 1.0
    max_growth: float = 2.0
    smooth: float = 0.25
    max_shift: float = 0.05

    def __post_init__(self) -> None:
        require_range("track.max_gap", self.max_gap, 0)
        require_range("track.max_jump", self.max_jump, 0)
        require_range("track.max_growth", self.max_growth, 1)
        require_range("track.smooth", self.smooth, 0, _LARGEST_NEIGHBOUR_WEIGHT)
        require_range("track.max_shift", self.max_shift, 0)


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
        return float(np.dot(_side(np.array(self.box)), self.score))


def build_track(faces: Sequence[Faces], config: TrackConfig) -> FaceTrack:
    """Find the track of the clip's subject, the largest and longest visible face.

    Detections are linked over the frames into tracklets. The one with the largest weight is the subject's.
    Boxes are interpolated between its detections, held before the first and after the last, and smoothed.

    Args:
        faces: Detected faces on U frames.
        config: Settings of linking and smoothing.

    Returns:
        Boxes [U, 4], NaN if no frame has a face; `found` and `score` of the frames with a detection.
    """
    u = len(faces)
    track_box = np.full((u, 4), np.nan, dtype=np.float32)
    score = np.zeros(u, dtype=np.float32)
    found = np.zeros(u, dtype=np.bool_)
    tracklets = _link(faces, config)
    if tracklets:
        subject = max(tracklets, key=_Tracklet.weight)
        track_box = smoothed(interpolated(np.array(subject.box), subject.frame, u), config)
        score[subject.frame] = subject.score
        found[subject.frame] = True
    return FaceTrack(box_xyxy_px=track_box, score=score, found=found)


def track_of_crops(crops: Crops) -> FaceTrack:
    """Return the track of a subject with face crops of the dataset: no boxes, `found` by crop."""
    return FaceTrack(
        box_xyxy_px=np.full((len(crops.found_U), 4), np.nan, dtype=np.float32),
        score=crops.found_U.astype(np.float32),
        found=crops.found_U,
    )


def interpolated(box_N4: Floats, frame_N: Sequence[int], num_frames: int) -> Floats:
    """Interpolate boxes linearly between detections, and hold the first and the last one at both ends.

    Args:
        box_N4: Boxes of N detections.
        frame_N: Their frame numbers, ascending.
        num_frames: Number U of frames.

    Returns:
        Boxes, float32 [U, 4].
    """
    wanted = np.arange(num_frames)
    return np.stack([np.interp(wanted, frame_N, side) for side in box_N4.T], axis=1).astype(np.float32)


def smoothed(box_U4: Floats, config: TrackConfig) -> Floats:
    """Smooth each box by the weighted mean with its two neighbours; the first and the last stay.

    Each neighbour has the weight `config.smooth`, the box itself the rest. No edge moves by more than
    `config.max_shift` sides. A constant track is unchanged to the bit, a steady motion is not delayed,
    and no edge leaves its range over the track.
    """
    box = box_U4.astype(np.float64)
    middle = box[1:-1]
    shift = config.smooth * ((box[:-2] - middle) + (box[2:] - middle))
    limit = config.max_shift * _side(middle)[:, None]
    box[1:-1] = middle + np.clip(shift, -limit, limit)
    smooth: Floats = box.astype(np.float32)
    return smooth


def _link(faces: Sequence[Faces], config: TrackConfig) -> list[_Tracklet]:
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
    side_M1, side_K = _side(last_M4)[:, None], _side(box_K4)
    offset_MK2 = _centre(last_M4)[:, None] - _centre(box_K4)
    jump_MK = np.hypot(offset_MK2[..., 0], offset_MK2[..., 1]) / ((side_M1 + side_K) / 2)
    growth_MK = np.abs(np.log(side_M1 / side_K))
    near_MK = (jump_MK <= config.max_jump) & (growth_MK <= np.log(config.max_growth))
    nearest_first = np.argsort((jump_MK + growth_MK)[near_MK], kind="stable")
    taken: dict[int, int] = {}
    for m, k in np.argwhere(near_MK)[nearest_first]:
        if k not in taken and m not in taken.values():
            taken[int(k)] = int(m)
    return {k: alive[m] for k, m in taken.items()}


def _side(box_N4: npt.NDArray[np.floating]) -> Floats:
    side: Floats = np.sqrt((box_N4[:, 2] - box_N4[:, 0]) * (box_N4[:, 3] - box_N4[:, 1]))
    return side


def _centre(box_N4: Floats) -> Floats:
    centre: Floats = (box_N4[:, :2] + box_N4[:, 2:]) / np.float32(2)
    return centre

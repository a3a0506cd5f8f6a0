"""Face boxes per frame become one subject's track. Pure numpy.

Letters: U sampled frames of a clip; K faces on a frame; M tracklets; N detections of one of them.
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
    """What counts as the same face from one sampled frame to another, and how its boxes are smoothed.

    Sampled frames lie apart, often 0.3 s, so the limits are wide.

    max_gap: sampled frames that a face may be missing before its track ends.
    max_jump: how far the box's centre may move between two detections, in sides of the box.
    max_growth: by what factor its side may change. A side is the square root of a box's area.
    smooth: the weight of each of the two neighbours in a box's mean, 0 (off) to 1/3 (a plain mean).
    max_shift: how far smoothing may move a box's edge, in sides: it is to take out the detector's
    jitter, a few hundredths, and not to draw the box off a face that moves.
    """

    VERSION: ClassVar[int] = VERSIONS["tracks"]
    """Of choosing, following and smoothing the subject's boxes (decision 0007)."""

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
        """How much of a subject this is: over its detections, the sum of score times side.

        Large, long and sure counts; one large false find does not outweigh a face seen throughout.
        """
        return float(np.dot(_side(np.array(self.box)), self.score))


def build_track(faces: Sequence[Faces], config: TrackConfig) -> FaceTrack:
    """The track of the clip's subject, its largest and longest face, from the faces on U frames.

    Detections are linked over the frames into tracklets; the heaviest is the subject's. Between
    its detections boxes are interpolated, before the first and after the last they are held, and
    all are smoothed. Boxes [U, 4] are NaN when no frame has a face; found and score tell where
    the subject was detected.
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
    """The track of a subject whose face is known by ready crops: found where one is, and no boxes."""
    return FaceTrack(
        box_xyxy_px=np.full((len(crops.found_U), 4), np.nan, dtype=np.float32),
        score=crops.found_U.astype(np.float32),
        found=crops.found_U,
    )


def interpolated(box_N4: Floats, frame_N: Sequence[int], num_frames: int) -> Floats:
    """Boxes [U, 4] on every frame: linear between those of the frames given, held at both ends."""
    wanted = np.arange(num_frames)
    return np.stack([np.interp(wanted, frame_N, side) for side in box_N4.T], axis=1).astype(np.float32)


def smoothed(box_U4: Floats, config: TrackConfig) -> Floats:
    """Each box drawn towards the weighted mean with its two neighbours; the first and the last stay.

    A neighbour counts `config.smooth`, the box itself the rest; no edge moves by more than
    `config.max_shift` sides. A constant track stays itself to the bit, a steady motion is not
    delayed, and no edge leaves the range that it has over the track.
    """
    box = box_U4.astype(np.float64)
    middle = box[1:-1]
    shift = config.smooth * ((box[:-2] - middle) + (box[2:] - middle))
    limit = config.max_shift * _side(middle)[:, None]
    box[1:-1] = middle + np.clip(shift, -limit, limit)
    smooth: Floats = box.astype(np.float32)
    return smooth


def _link(faces: Sequence[Faces], config: TrackConfig) -> list[_Tracklet]:
    """Every detection in one tracklet: frame by frame, the nearest pairs first, the rest begin anew."""
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
    """Which detection continues which tracklet, each at most once.

    The distance of a pair is that of the centres in mean sides, plus the logarithm of the ratio of
    the sides; both parts have a limit.
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

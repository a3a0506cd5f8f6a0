"""A frame of a long source with its faces, as long as windows need it.

Letters: K faces; U frames; D length of a look.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pipeline.boxes import iou_of
from pipeline.errors import counted
from pipeline.looks import LOOK_WIDTH
from pipeline.types import Bools, Bytes, Faces, Floats


@dataclass
class SeenFrame:
    """A frame that windows still need."""

    number: int
    faces: Faces
    looks: Floats
    held: dict[int, int]
    """Tracklet -> place of its face."""
    rgb_HWC: Bytes | None = None
    """None if it did not decode, or has not been read again after an interruption."""
    frame_3HW: torch.Tensor | None = None
    reason: str = ""

    @property
    def pixels(self) -> torch.Tensor:
        """The frame on the device, uint8 [3, H, W]."""
        assert self.frame_3HW is not None, "a window is made of frames that decoded"
        return self.frame_3HW

    def release(self) -> None:
        """Free the pixels."""
        self.rgb_HWC = self.frame_3HW = None

    def followed_boxes(self) -> list[Floats]:
        """Boxes of the faces that belong to a tracklet, [4] each."""
        return [self.faces.box_xyxy_px[face] for face in self.held.values()]


def places_of(seen: SeenFrame, tracklet: int | None) -> list[int]:
    """Return the places of a tracklet's face on a frame, or of all faces."""
    if tracklet is None:
        return list(range(len(seen.faces.score)))
    return [seen.held[tracklet]] if tracklet in seen.held else []


def owner_of(seen: Sequence[SeenFrame], box_U4: Floats, found_U: Bools) -> int | None:
    """Return the tracklet with the most of a track's detections; None without any."""
    counts: Counter[int] = Counter()
    for one, box, found in zip(seen, box_U4, found_U, strict=True):
        if found and one.held:
            tracklets = list(one.held)
            overlap = iou_of(box[None], one.faces.box_xyxy_px[[one.held[t] for t in tracklets]])[0]
            counts[tracklets[int(overlap.argmax())]] += 1
    return counts.most_common(1)[0][0] if counts else None


def reason_of_none(seen: Sequence[SeenFrame]) -> str:
    """Return why a window has no track: no face, or tracklets without a name."""
    counts = Counter(tracklet for one in seen for tracklet in one.held)
    if not counts:
        return "no face was found"
    longest = f"a face was followed on {max(counts.values())} of {counted(len(seen), 'frame')}"
    return f"{longest}, which is too few in its shot"


def to_arrays(frames: Sequence[SeenFrame]) -> dict[str, npt.NDArray[Any]]:
    """Return frames without pixels as arrays."""
    faces = [one.faces for one in frames]
    held = [(n, tracklet, face) for n, one in enumerate(frames) for tracklet, face in one.held.items()]
    return {
        "seen": np.array([one.number for one in frames], np.int64),
        "seen_faces": np.array([len(one.score) for one in faces], np.int64),
        "seen_box": _joined([one.box_xyxy_px for one in faces], (4,)),
        "seen_score": _joined([one.score for one in faces], ()),
        "seen_points": _joined([one.landmark_xy_px for one in faces], (5, 2)),
        "seen_looks": _joined([one.looks for one in frames], (LOOK_WIDTH,)),
        "seen_held": np.array(held, np.int64).reshape(-1, 3),
    }


def from_arrays(state: Mapping[str, npt.NDArray[Any]]) -> list[SeenFrame]:
    """Return the frames of `to_arrays`, which get their pixels when they are read again."""
    ends = np.cumsum(state["seen_faces"])[:-1] if len(state["seen"]) else np.array([], np.int64)
    parts = [np.split(state[f"seen_{name}"], ends) for name in ("box", "score", "points", "looks")]
    frames = []
    if len(state["seen"]):
        for number, box, score, points, looks in zip(state["seen"].tolist(), *parts, strict=True):
            faces = Faces(box_xyxy_px=box, score=score, landmark_xy_px=points)
            frames.append(SeenFrame(number=number, faces=faces, looks=looks, held={}))
    for place, tracklet, face in state["seen_held"].tolist():
        frames[place].held[tracklet] = face
    return frames


def _joined(parts: Sequence[npt.NDArray[Any]], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return arrays [K, ...] of several frames one after the other; [0, *shape] without any."""
    return np.concatenate([*parts, np.empty((0, *shape), np.float32)]).astype(np.float32)

"""What was added to a tracklet since the last time: a line of the file that a prediction grows by.

Letters: N detections; D length of a look; 4 the edges of a box.
"""

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from pipeline.looks import LOOK_WIDTH
from pipeline.types import Floats, Ints


@dataclass(frozen=True, kw_only=True)
class TrackPart:
    """Detections that were added to a tracklet, and its name and look so far.

    Attributes:
        tracklet: Number of the tracklet.
        shot: Number of its shot.
        rank: Number of the person in the shot, from 1; 0 without a name so far.
        named: Last frame of the first window that has named it; -1 without a name.
        frame_N: Numbers of the frames, rising.
        face_N: Places of the detections among those of their frames.
        box_N4: Boxes in pixels.
        score_N: Scores of the detector.
        margin_N: How much more the next best assignment costs, in nats; infinite if there is none.
        look_D: Mean look of the tracklet if it has ended; else None.
    """

    tracklet: int
    shot: int
    rank: int
    named: int
    frame_N: Ints
    face_N: Ints
    box_N4: Floats
    score_N: Floats
    margin_N: Floats
    look_D: Floats | None

    def to_values(self) -> dict[str, Any]:
        """Return plain JSON values, from which `of_values` makes an equal part."""
        look = None if self.look_D is None else base64.b64encode(self.look_D.astype("<f4").tobytes()).decode()
        return {
            "tracklet": self.tracklet,
            "shot": self.shot,
            "rank": self.rank,
            "named": self.named,
            "frame": self.frame_N.tolist(),
            "face": self.face_N.tolist(),
            "box_xyxy_px": self.box_N4.tolist(),
            "score": self.score_N.tolist(),
            "margin": [one if math.isfinite(one) else None for one in self.margin_N.tolist()],
            "look": look,
        }

    @classmethod
    def of_values(cls, values: Mapping[str, Any]) -> "TrackPart":
        """Return the part of `to_values`. Raises ValueError, KeyError or TypeError for other values."""
        numbers = {name: values[name] for name in ("tracklet", "shot", "rank", "named")}
        if len(values) != len(fields(cls)) or not all(type(one) is int for one in numbers.values()):
            msg = f"a part of a tracklet has other values: {', '.join(values)}"
            raise ValueError(msg)
        margin = [math.inf if one is None else one for one in values["margin"]]
        look = values["look"]
        part = cls(
            **numbers,
            frame_N=_whole(values["frame"]),
            face_N=_whole(values["face"]),
            box_N4=np.array(values["box_xyxy_px"], np.float32).reshape(-1, 4),
            score_N=np.array(values["score"], np.float32),
            margin_N=np.array(margin, np.float32),
            look_D=None if look is None else np.frombuffer(base64.b64decode(look, validate=True), "<f4"),
        )
        count = len(part.frame_N)
        shapes = [part.face_N.shape, part.score_N.shape, part.margin_N.shape, part.box_N4[:, 0].shape]
        has_look = part.look_D is None or part.look_D.shape == (LOOK_WIDTH,)
        if part.tracklet < 0 or part.rank < 0 or shapes != 4 * [(count,)] or not has_look:
            msg = f"a part of tracklet {part.tracklet} has values of other shapes"
            raise ValueError(msg)
        return part


def _whole(values: Any) -> Ints:
    """Return whole numbers from 0 as an array. Raises ValueError for other values."""
    if not isinstance(values, list) or not all(type(one) is int and 0 <= one < 1 << 62 for one in values):
        msg = "a number of a frame or face is no whole number from 0"
        raise ValueError(msg)
    return np.array(values, np.int64)

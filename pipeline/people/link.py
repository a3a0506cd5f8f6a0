"""Tracklets of everyone in the shots of a clip, from the faces of all frames.

Letters: U frames; K detections of a frame; N detections of a tracklet; D length of a look.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline.people.config import PeopleConfig
from pipeline.people.linker import Linked, Linker
from pipeline.types import Faces, Floats, Ints, Tracklet


def link(
    faces: Sequence[Faces],
    looks: Sequence[Floats],
    seconds_U: npt.NDArray[np.floating],
    shot_U: Ints,
    config: PeopleConfig,
    *,
    start_score: float = 0.0,
    searched_U: Sequence[int] | None = None,
) -> tuple[Tracklet, ...]:
    """Link the detections of all frames into one tracklet per person and shot (`Linker`).

    A face is missed only on frames that were searched for faces.

    Args:
        faces: Detected faces on U frames.
        looks: Look of each of them, U times [K, D].
        seconds_U: Times of the frames, rising, finite.
        shot_U: Number of the shot that each frame is in.
        config: Settings.
        start_score: Detections with a higher score may start a tracklet.
        searched_U: Places of the frames that were searched for faces, rising; None for all.

    Returns:
        The tracklets, in the order of their first detections; every one has a detection above `start_score`.
    """
    linker = Linker(config, start_score=start_score)
    found: dict[int, list[tuple[int, Linked]]] = {}
    for u in range(len(faces)) if searched_U is None else searched_U:
        for one in linker.add(float(seconds_U[u]), int(shot_U[u]), faces[u], looks[u]):
            found.setdefault(one.tracklet, []).append((u, one))
    return tuple(
        Tracklet(
            shot=int(shot_U[members[0][0]]),
            frame_N=np.array([u for u, _ in members]),
            face_N=np.array([one.face for _, one in members]),
            box_N4=np.array([faces[u].box_xyxy_px[one.face] for u, one in members], dtype=np.float32),
            score_N=np.array([faces[u].score[one.face] for u, one in members], dtype=np.float32),
            margin_N=np.array([one.margin for _, one in members], dtype=np.float32),
            look_D=linker.look_of(number),
        )
        for number, members in found.items()
    )

"""People of a clip, from the faces on its frames. Pure numpy and scipy.

``config``  settings
``assignment`` tracklets and detections assigned to each other at the least cost
``linker``  detections linked to tracklets, frame by frame
``link``    everyone's tracklets in the shots of a clip
``joins``   tracklets joined by look, over absences and shots
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline.people.config import PeopleConfig
from pipeline.people.joins import join
from pipeline.people.link import link
from pipeline.people.linker import Linked, Linker
from pipeline.types import Faces, Floats, Ints, Person

__all__ = ["Linked", "Linker", "PeopleConfig", "find_people", "join"]


def find_people(
    faces: Sequence[Faces],
    looks: Sequence[Floats],
    seconds_U: npt.NDArray[np.floating],
    shot_U: Ints,
    config: PeopleConfig,
    *,
    start_score: float = 0.0,
    searched_U: Sequence[int] | None = None,
) -> tuple[Person, ...]:
    """Find the people of a clip.

    Args:
        faces: Detected faces on U frames.
        looks: Look of each of them, U times [K, D].
        seconds_U: Times of the frames, rising, finite.
        shot_U: Number of the shot that each frame is in.
        config: Settings.
        start_score: Every person has a detection with a higher score.
        searched_U: Places of the frames that were searched for faces, rising; None for all.

    Returns:
        The people, the one with the largest weight first (`join`).
    """
    tracklets = link(faces, looks, seconds_U, shot_U, config, start_score=start_score, searched_U=searched_U)
    return join(tracklets, config)

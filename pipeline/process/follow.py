"""The people and the subject of a clip or a window, from the faces on its frames.

A clip of a dataset and a window of a longer video share these functions.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline import frames as frame_step
from pipeline import looks as look_step
from pipeline import people as people_step
from pipeline import tracks as track_step
from pipeline.process.config import ExtractConfig
from pipeline.types import Bytes, Faces, FaceTrack, Floats, FrameMeta, Ints, NamedSubject, Person


def searched_rows(shot_U: Ints, config: ExtractConfig) -> list[int]:
    """Return the places of the frames on which faces are detected: every n-th, and both ends of each shot.

    Args:
        shot_U: Number of the shot that each of U frames is in.
        config: The settings of all steps.
    """
    starts = np.flatnonzero(np.diff(shot_U, prepend=-1)).tolist()
    ends = [*(start - 1 for start in starts[1:]), len(shot_U) - 1]
    return sorted({*range(0, len(shot_U), config.detector.every), *starts, *ends})


def seconds_of(frames: FrameMeta) -> npt.NDArray[np.float64]:
    """Return the times of frames, [U] seconds.

    Images of a directory have no times; they count as `FOLDER_RATE` frames per second.
    """
    seconds_U = frames.seconds_U.astype(np.float64)
    return frames.index_U / frame_step.FOLDER_RATE if np.isnan(seconds_U).any() else seconds_U


def looks_on(images: Sequence[Bytes] | Bytes, faces: Sequence[Faces]) -> list[Floats]:
    """Return the look of each face, U times [K, D], on U frames, uint8 [H, W, 3] each."""
    pairs = zip(images, faces, strict=True)
    return [look_step.looks_of(rgb_HWC, found.box_xyxy_px) for rgb_HWC, found in pairs]


def follow(
    frames: FrameMeta,
    images: Sequence[Bytes] | Bytes,
    faces: Sequence[Faces],
    looks: Sequence[Floats] | None,
    config: ExtractConfig,
    subject: NamedSubject | None = None,
) -> tuple[tuple[Person, ...], FaceTrack]:
    """Return the people on U frames, and the subject's track.

    Args:
        frames: The frames, without pixels.
        images: Their pixels, U times uint8 [H, W, 3].
        faces: The faces on each of them.
        looks: Looks of these faces, U times [K, D]; None for computing them where they are needed.
        config: The settings of all steps.
        subject: The subject that the dataset names; None for the choice by weight.
    """
    if not config.follows_everyone:
        return (), track_step.nearest_track(faces, config.track)
    seconds_U = seconds_of(frames)
    people = people_step.find_people(
        faces,
        looks_on(images, faces) if looks is None else looks,
        seconds_U,
        frames.shot_U,
        config.people,
        start_score=config.detector.score,
        searched_U=searched_rows(frames.shot_U, config),
    )

    def look_at(u: int, box_xyxy_px: Floats) -> Floats:
        (look,) = look_step.looks_of(images[u], box_xyxy_px[None])
        return np.asarray(look)

    sampled_U = frames.sampled_U
    return people, track_step.subject_track(
        people,
        seconds_U,
        frames.shot_U,
        look_at,
        config.track,
        track_step.find_named(people, subject, frames) if subject else None,
        sampled_U=None if len(sampled_U) == len(seconds_U) else sampled_U,
    )

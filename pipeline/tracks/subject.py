"""Track of the subject among the people of a clip (``track.method=motion``).

Letters: U sampled frames of a clip; R frames of a shot; N detections of a tracklet.
"""

import math
from collections.abc import Callable, Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt

from pipeline.tracks.boxes import interpolated, no_track, smoothed
from pipeline.tracks.config import TrackConfig
from pipeline.tracks.named import Chosen
from pipeline.types import Absence, FaceTrack, Floats, Ints, Person, Tracklet


def subject_track(
    people: Sequence[Person],
    seconds_U: npt.NDArray[np.floating],
    shot_U: Ints,
    look_at: Callable[[int, Floats], Floats],
    config: TrackConfig,
    named: Chosen | None = None,
    *,
    sampled_U: Ints | None = None,
) -> FaceTrack:
    """Follow the clip's subject.

    Boxes are interpolated and smoothed within each shot. With further frames between the sampled ones, frames
    are not evenly spaced: then boxes are interpolated by time, and smoothed over the sampled frames alone, so
    that sampled frames with a detection keep their boxes. Where the face is not detected between two
    detections, or shortly before or after them, it is in view if the place of its box looks like it.

    Args:
        people: The people of the clip, the one with the largest weight first.
        seconds_U: Times of the frames, rising, finite.
        shot_U: Number of the shot that each frame is in.
        look_at: Function that returns the look, [D], of a box, [4] in pixels, on a frame.
        config: Settings.
        named: The person that the dataset names as the subject; None for the choice by weight.
        sampled_U: Places of the sampled frames, if there are further ones; None if all are sampled.

    Returns:
        Boxes [U, 4], NaN if no frame has a face. Where the subject is not in view, the box is that of the
        nearest frame of a shot in which it is.
    """
    u = len(seconds_U)
    if not people:
        return no_track(u)
    tracklets, margin = _subject(people, config, named)
    score, found = np.zeros(u, np.float32), np.zeros(u, np.bool_)
    holder_U: list[Tracklet | None] = [None] * u
    detected_U4 = np.full((u, 4), np.nan, np.float32)
    for tracklet in tracklets:
        first, last = seconds_U[tracklet.frame_N[[0, -1]]]
        is_near = (seconds_U >= first - config.hold) & (seconds_U <= last + config.hold)
        for place in np.flatnonzero(is_near & (shot_U == tracklet.shot)).tolist():
            holder_U[place] = tracklet
        detected_U4[tracklet.frame_N] = tracklet.box_N4
        score[tracklet.frame_N] = tracklet.score_N
        found[tracklet.frame_N] = True
        margin = min(margin, float(tracklet.margin_N.min()))
    box_U4 = np.full((u, 4), np.nan, np.float32)
    clock_U = np.arange(u) if sampled_U is None else seconds_U
    for shot in np.unique(shot_U[found]):
        rows = np.flatnonzero(shot_U == shot)
        seen = rows[found[rows]]
        box_U4[rows] = interpolated(detected_U4[seen], clock_U[seen], clock_U[rows])
        box_U4[seen] = detected_U4[seen]  # also if two of them have one time
        sampled = rows if sampled_U is None else rows[np.isin(rows, sampled_U)]
        box_U4[sampled] = smoothed(box_U4[sampled], config)
    has_box = np.isfinite(box_U4).all(axis=1)
    absence_U = np.where(has_box, Absence.OUT_OF_VIEW, Absence.OTHER_SHOT).astype(np.uint8)
    for place, holder in enumerate(holder_U):
        if holder is not None and not found[place]:
            distance = np.linalg.norm(look_at(place, box_U4[place]) - holder.look_D)
            absence_U[place] = Absence.NOT_DETECTED if distance <= config.kept_look else Absence.OUT_OF_VIEW
    absence_U[found] = Absence.NONE
    boxed = np.flatnonzero(has_box)
    nearest = boxed[np.abs(np.arange(u)[:, None] - boxed).argmin(axis=1)]
    return FaceTrack(
        box_xyxy_px=box_U4[nearest],
        score=score,
        found=found,
        absence_U=absence_U,
        margin=margin,
        num_people=sum(person.num_detections > 1 for person in people),
    )


def _subject(
    people: Sequence[Person], config: TrackConfig, named: Chosen | None
) -> tuple[tuple[Tracklet, ...], float]:
    """Return the subject's tracklets, and the smallest margin with which they were joined.

    If the setting takes one tracklet of a shot or of the clip, the tracklet with the named box comes first,
    then those of the named person, then those of others.
    """
    if config.across_shots == "look":
        subject = named.person if named else people[0]
        return subject.tracklets, subject.margin

    def rank(tracklet: Tracklet) -> tuple[bool, bool, float]:
        is_named = named is not None and any(tracklet is one for one in named.person.tracklets)
        return named is not None and tracklet is named.tracklet, is_named, tracklet.weight

    everyone = list(chain.from_iterable(person.tracklets for person in people))
    if config.across_shots == "best":
        return (max(everyone, key=rank),), math.inf
    shots = sorted({tracklet.shot for tracklet in everyone})
    of_shot = [[tracklet for tracklet in everyone if tracklet.shot == shot] for shot in shots]
    return tuple(max(tracklets, key=rank) for tracklets in of_shot), math.inf

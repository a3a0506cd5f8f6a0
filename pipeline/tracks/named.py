"""Search for the person that a dataset names as the subject of a clip.

Letters: U sampled frames of a clip; N detections of a tracklet; M people on a frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.boxes import centre_of, iou_of
from pipeline.errors import ClipError, counted
from pipeline.types import Floats, FrameMeta, NamedSubject, Person, ProvidedBoxes, Tracklet

MIN_OVERLAP = 0.3
"""Least intersection over union of a given box with a detected one of the same face."""

_NUMBERS = "`faces --draw` shows the numbers, with the --frames and the --detector of the extraction"

_MIN_REACH = 0.5
"""Seconds within which a sampled frame is near enough to a time; more if the frames are further apart."""


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The person that a dataset names as the subject."""

    person: Person
    """The person."""
    tracklet: Tracklet | None = None
    """The person's tracklet that has the named box; None if the subject is named by number."""


def find_named(people: Sequence[Person], subject: NamedSubject, frames: FrameMeta) -> Chosen:
    """Find the named subject among the people of a clip.

    A box is compared with those of all people on the sampled frame nearest in time. The person whose box has
    the largest intersection over union with it is the subject.

    Args:
        people: The people of the clip, in the order of their numbers.
        subject: The name, by number or by box.
        frames: The sampled frames.

    Raises:
        ClipError: Stage ``track``: there is no such person, no face at the box, or no frame near its time.
    """
    if subject.boxes is None or subject.seconds is None:
        return _by_number(people, subject.person or 0)
    u = _frame_near(subject.seconds, frames)
    found = [
        (person, tracklet, box)
        for person in people
        for tracklet in person.tracklets
        for box in tracklet.box_N4[tracklet.frame_N == u]
    ]
    given = f"no face at the named subject's box {_text(subject.boxes)} at {subject.seconds:g} s"
    frame = f"the nearest sampled frame, {frames.index_U[u]} at {frames.seconds_U[u]:.2f} s"
    if not found:
        msg = (
            f"{given}: nobody is followed on {frame}. Give a box on a frame with the face in view, or name "
            f"the person by number (subject_person). {_NUMBERS}"
        )
        raise ClipError("track", msg)
    given_4 = subject.boxes.box_xyxy_px(frames.height_px, frames.width_px)[0]
    box_M4 = np.array([box for _, _, box in found])
    overlap_M = iou_of(given_4[None], box_M4)[0]
    distance_M = np.linalg.norm(centre_of(box_M4) - centre_of(given_4[None]), axis=1)
    place = int(np.lexsort((distance_M, -overlap_M))[0])
    if overlap_M[place] < MIN_OVERLAP:
        msg = (
            f"{given}: of {counted(len(found), 'person', 'people')} on {frame}, the nearest has box "
            f"{_corners(box_M4[place])} (in pixels of {frames.width_px}x{frames.height_px}), with an "
            f"intersection over union of {overlap_M[place]:.2f}; expected: {MIN_OVERLAP:g} or more. Correct "
            "the box or its time in the manifest"
        )
        raise ClipError("track", msg)
    person, tracklet, _ = found[place]
    return Chosen(person=person, tracklet=tracklet)


def _by_number(people: Sequence[Person], number: int) -> Chosen:
    if not 1 <= number <= len(people):
        allowed = f"1 to {len(people)}" if people else "none"
        msg = (
            f"the named subject is person {number}, and the clip has "
            f"{counted(len(people), 'person', 'people')}; allowed: {allowed}. Correct subject_person in the "
            f"manifest. {_NUMBERS}"
        )
        raise ClipError("track", msg)
    return Chosen(person=people[number - 1])


def _frame_near(seconds: float, frames: FrameMeta) -> int:
    """Return the place of the sampled frame that is nearest to a time."""
    seconds_U = frames.seconds_U.astype(np.float64)
    if np.isnan(seconds_U).any():
        msg = (
            f"the subject is named by a box at {seconds:g} s, and images of a directory have no times. Name "
            f"the person by number (subject_person). {_NUMBERS}"
        )
        raise ClipError("track", msg)
    distance_U = np.abs(seconds_U - seconds)
    reach = max([_MIN_REACH, *np.diff(seconds_U).tolist()])
    if distance_U.min() > reach:
        msg = (
            f"the subject is named by a box at {seconds:g} s, and the sampled frames are from "
            f"{seconds_U[0]:.2f} to {seconds_U[-1]:.2f} s. Correct subject_seconds in the manifest, which "
            "counts from the file's start"
        )
        raise ClipError("track", msg)
    return int(distance_U.argmin())


def _text(boxes: ProvidedBoxes) -> str:
    return f"{_corners(boxes.box_xyxy[0])} ({'in fractions' if boxes.is_relative else 'in pixels'})"


def _corners(box_4: Floats) -> str:
    return ", ".join(f"{value:.4g}" for value in box_4)

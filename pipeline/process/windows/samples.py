"""One person in one window: the result of the engine, and the conditions of an answer.

Letters: N detections; T frames per view.
"""

import math
from dataclasses import dataclass
from typing import get_args

import numpy as np

from pipeline.choices import SceneMask
from pipeline.errors import counted
from pipeline.process.windows.plan import Window
from pipeline.types import Absence, Bools, Bytes, Features, Floats, FrameMeta

ALL, MAIN = "all", "main"
MASKS = get_args(SceneMask)


@dataclass(frozen=True, kw_only=True)
class WindowOptions:
    """Settings of a prediction that the engine uses.

    Attributes:
        people: ``all``; ``main`` for the subject that `extract` chooses in each window; or a number of people
            per window, those with the largest weight.
        min_face_px: Shortest side of a face for an answer, in pixels; the median over the window counts.
        min_share: Smallest share of a window's sampled frames on which the face must be detected.
        mask: Faces that are filled in the scene: ``subject``, ``everyone`` or ``none``; None as in training.
        has_scene: Whether the scene stream is needed.
    """

    people: str = ALL
    min_face_px: float = 24.0
    min_share: float = 0.5
    mask: str | None = None
    has_scene: bool = True


@dataclass(frozen=True, kw_only=True)
class WindowSample:
    """One person in one window.

    Attributes:
        window: The window.
        track: Name of the person's track; empty if no face was followed.
        frames_found: Sampled frames on which the face was detected.
        num_sampled: Sampled frames.
        box_xyxy_px: Mean box over the frames on which it was detected, [4]; None without any.
        is_doubtful: Whether the track may be of another person in this window.
        has_gap: Whether frames of the window did not decode.
        reason: Why there is no answer; empty if there are features.
        features: Features of one view, [1, T, ...]; None with a reason.
        valid_T: False where the last frame of a short window is repeated.
        in_view_T: The valid frames on which the person is in view; all valid ones if there are none.
    """

    window: Window
    track: str
    frames_found: int
    num_sampled: int
    box_xyxy_px: Floats | None
    is_doubtful: bool
    has_gap: bool
    reason: str
    features: Features | None
    valid_T: Bools
    in_view_T: Bools


@dataclass(frozen=True, kw_only=True)
class FoundFace:
    """A face of a named track on a frame: its box, [4] in pixels, and the detector's score."""

    frame: int
    track: str
    box_xyxy_px: Floats
    score: float


def without_face(
    window: Window, meta: FrameMeta, track: str, reason: str, *, has_gap: bool = False
) -> WindowSample:
    """Return the sample of a window without a followed face."""
    return WindowSample(
        window=window,
        track=track,
        frames_found=0,
        num_sampled=len(np.unique(meta.position_VT[0])),
        box_xyxy_px=None,
        is_doubtful=False,
        has_gap=has_gap,
        reason=reason,
        features=None,
        valid_T=meta.valid_VT[0],
        in_view_T=meta.valid_VT[0],
    )


def least_found(num_sampled: int, options: WindowOptions) -> int:
    """Return the number of a window's sampled frames on which a face must be detected for an answer."""
    return max(1, math.ceil(options.min_share * num_sampled - 1e-9))


def reason_for(box_N4: Floats, num_sampled: int, options: WindowOptions) -> str:
    """Return why detections on the sampled frames of a window do not suffice; empty if they do.

    Args:
        box_N4: Boxes of the N detections.
        num_sampled: Sampled frames.
        options: Settings.
    """
    least = least_found(num_sampled, options)
    if len(box_N4) < least:
        return f"face found on {len(box_N4)} of {counted(num_sampled, 'frame')}; at least {least} are needed"
    width_N, height_N = (box_N4[:, 2:] - box_N4[:, :2]).T
    side = float(np.median(np.minimum(width_N, height_N)))
    if side < options.min_face_px:
        return f"face of {side:.0f} px; at least {options.min_face_px:g} px are needed"
    return ""


def in_view_of(absence_T: Bytes, valid_T: Bools) -> Bools:
    """Return the valid frames on which the person is in view, or all valid ones if there are none."""
    in_view_T: Bools = valid_T & (absence_T <= Absence.NOT_DETECTED)
    return in_view_T if in_view_T.any() else valid_T

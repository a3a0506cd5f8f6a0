"""Results of a prediction: windows, faces and people of one video, as its files store them.

Times are in seconds from the start of the video, as a player shows them; None for a directory of images
without a rate, where the numbers of frames are the only order. Boxes are x0, y0, x1, y1 in pixels of the
upright frame.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from pipeline.errors import counted
from pipeline.strict_json import to_json
from trainer.prediction.answer_values import (
    HeadAnswer,
    are_texts,
    is_answer,
    is_box,
    is_count,
    is_number,
    line_of,
    require_names,
)

NOTICE = (
    "Made by automatic emotion recognition: it predicts how raters would label a facial expression, not what "
    "a person feels. Not for decisions about people, such as in work, school, policing, insurance or health."
)
"""The line that every output carries."""

UNKNOWN = "unknown"
"""Name of the person whose tracks may be of several people."""

SHORT, DOUBTFUL, GAP = "short", "doubtful", "gap"
"""Flags of a window: its shot is shorter than a window, or it has fewer frames than the model takes; its
track could be of another person; frames of it did not decode."""

_COUNTS = ("shot", "first_frame", "num_frames", "frames_found", "num_sampled")


@dataclass(frozen=True, kw_only=True)
class WindowAnswer(HeadAnswer):
    """The answer for one person in one window: a line of windows.jsonl.

    Attributes:
        video: Name of the video.
        shot: Number of the shot, from 0.
        track: Track of the person in this shot, such as ``s03p1``; see `PersonTracks`. Empty if no face was
            followed.
        start_seconds, end_seconds: The window, the end excluded. `extract` reads the same frames for a
            manifest with these times.
        first_frame, num_frames: The window in decoded frames of the video.
        frames_found: Sampled frames on which the person's face was detected.
        num_sampled: Sampled frames of the window.
        box_xyxy_px: Mean box of the face over these frames; None if it was detected on none.
        reason: Why there is no answer; None if there is one.
        flags: Some of `SHORT`, `DOUBTFUL` and `GAP`.
    """

    video: str
    shot: int
    track: str
    start_seconds: float | None
    end_seconds: float | None
    first_frame: int
    num_frames: int
    frames_found: int
    num_sampled: int
    box_xyxy_px: tuple[float, float, float, float] | None
    reason: str | None = None
    flags: tuple[str, ...] = ()

    @property
    def middle_seconds(self) -> float | None:
        """Middle of the window in seconds: the time that the answer belongs to."""
        if self.start_seconds is None or self.end_seconds is None:
            return None
        return (self.start_seconds + self.end_seconds) / 2

    def line(self) -> str:
        """Return the line of windows.jsonl, without its end."""
        return line_of(self)

    @classmethod
    def of_values(cls, values: Mapping[str, Any]) -> "WindowAnswer":
        """Return the answer of a line's values. Raises ValueError for other values."""
        require_names(values, [item.name for item in fields(cls)], "a window")
        _require_kinds(values)
        box, flags = values["box_xyxy_px"], tuple(values["flags"])
        return cls(**{**values, "box_xyxy_px": None if box is None else tuple(box), "flags": flags})


@dataclass(frozen=True, kw_only=True)
class TrackedFace:
    """The face of one track on one sampled frame: a line of frames.csv.

    Attributes:
        frame: Number of the decoded frame, from 0.
        seconds: Its time.
        track: The track.
        box_xyxy_px: Detected box.
        score: Score of the detector, 0 to 1.
    """

    frame: int
    seconds: float | None
    track: str
    box_xyxy_px: tuple[float, float, float, float]
    score: float

    def line(self) -> str:
        """Return the line of faces.jsonl, without its end."""
        return to_json(asdict(self), indent=None)

    @classmethod
    def of_values(cls, values: Mapping[str, Any]) -> "TrackedFace":
        """Return the face of a line's values. Raises ValueError for other values."""
        require_names(values, [item.name for item in fields(cls)], "a face")
        seconds = values["seconds"]
        is_face = (
            is_count(values["frame"])
            and (seconds is None or is_number(seconds))
            and isinstance(values["track"], str)
            and is_box(values["box_xyxy_px"])
            and is_number(values["score"])
        )
        if not is_face:
            msg = "a value of a face is of another kind"
            raise ValueError(msg)
        return cls(**{**values, "box_xyxy_px": tuple(values["box_xyxy_px"])})


@dataclass(frozen=True, kw_only=True)
class PersonTracks:
    """A person of the video, with the tracks that show this person.

    Attributes:
        name: ``P1``, ``P2``, ... by weight, a name that the user gave, or `UNKNOWN`.
        tracks: The tracks, in order of time. Tracks of several shots were joined by look, within this video
            only.
        margin: How much worse another person would fit at the least certain join, in nats; infinite without a
            join.
    """

    name: str
    tracks: tuple[str, ...]
    margin: float = math.inf


@dataclass(frozen=True, kw_only=True)
class Source:
    """The video.

    Attributes:
        name: Name of the file or directory.
        path: Its path.
        sha256: Hash of the file; of the names and bytes of a directory's images.
        num_frames: Decoded frames.
        duration_seconds: Length in seconds; None without times.
        frame_rate: Frames per second that the file states; None without times.
        width_px, height_px: Size of the upright frames.
        has_sound: Whether the file has an audio stream.
    """

    name: str
    path: str
    sha256: str
    num_frames: int
    duration_seconds: float | None
    frame_rate: float | None
    width_px: int
    height_px: int
    has_sound: bool


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of a prediction, as they took effect.

    Attributes:
        window_seconds, stride_seconds: Length of a window, and from one to the next; None without times.
        window_frames, stride_frames: The same in frames, at a constant rate; None otherwise.
        people: ``all``, ``main`` or a number.
        min_face_px: Shortest side of a face for an answer, in pixels.
        min_share: Smallest share of a window's sampled frames on which the face must be detected.
        mask: Faces that are filled in the scene: ``subject``, ``everyone`` or ``none``.
        start_seconds, end_seconds: The part of the video that windows are taken from, as requested; None for
            its start and end.
    """

    window_seconds: float | None
    stride_seconds: float | None
    window_frames: int | None
    stride_frames: int | None
    people: str
    min_face_px: float
    min_share: float
    mask: str
    start_seconds: float | None = None
    end_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A prediction of one video.

    Attributes:
        source: The video.
        run: Name of the run.
        class_names: Classes, in the order of the run.
        banners: Warnings to show with every output, such as that of random weights.
        settings: Settings.
        cut_seconds: Times of the first frames of new shots, rising.
        windows: The windows, in order of their ends, then of tracks.
        faces: Detected faces on sampled frames, in order of frames.
        people: Everyone, by weight; every track belongs to one of them.
        made_with: Versions of this program and torch, encoder, detector, precisions and device.
        done_seconds: Length that was processed, if a prediction was stopped; None if it is complete.
        num_unfollowed: Faces on too few sampled frames to be followed; they have no window.
        notes: Remarks on the video and on the user's labels of it.
        dropped: Tracks that the user has left out; their windows and faces are not here.
    """

    source: Source
    run: str
    class_names: tuple[str, ...]
    banners: tuple[str, ...]
    settings: Settings
    cut_seconds: tuple[float, ...]
    windows: Sequence[WindowAnswer]
    faces: Sequence[TrackedFace]
    people: tuple[PersonTracks, ...]
    made_with: Mapping[str, str] = field(default_factory=dict)
    done_seconds: float | None = None
    num_unfollowed: int = 0
    notes: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()

    @property
    def person_of(self) -> Mapping[str, str]:
        """The name of the person of every track; the empty track of windows without a face has none."""
        return {track: person.name for person in self.people for track in person.tracks}


def unfollowed_text(number: int) -> str:
    """Return a remark on faces that are not followed."""
    return f"without windows, because followed on too few sampled frames: {counted(number, 'face')}"


def _require_kinds(values: Mapping[str, Any]) -> None:
    """Raise ValueError unless the values of a line of windows.jsonl are those of a window."""
    times = [values[name] for name in ("start_seconds", "end_seconds")]
    box = values["box_xyxy_px"]
    is_window = (
        all(is_count(values[name]) for name in _COUNTS)
        and values["num_frames"] > 0
        and all(isinstance(values[name], str) for name in ("video", "track"))
        and all(value is None or is_number(value) for value in times)
        and (box is None or is_box(box))
        and is_answer(values)
        and (values["reason"] is None or isinstance(values["reason"], str))
        and are_texts(values["flags"])
    )
    if not is_window:
        msg = "a value of a window is of another kind"
        raise ValueError(msg)

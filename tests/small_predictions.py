"""Predictions of invented videos, as values."""

from collections.abc import Mapping, Sequence
from typing import Any

from trainer.prediction.results import (
    PersonTracks,
    Prediction,
    Settings,
    Source,
    TrackedFace,
    WindowAnswer,
)

CLASSES = ("happiness", "sadness", "neutral")
RANDOM = "RANDOM ENCODER WEIGHTS: these answers say nothing"


def answer_of(name: str, largest: float = 0.8, classes: Sequence[str] = CLASSES) -> dict[str, float]:
    """Probabilities whose largest is that of a class."""
    rest = (1 - largest) / (len(classes) - 1)
    return {each: largest if each == name else rest for each in classes}


def window(
    start: float,
    answer: str | None,
    *,
    seconds: float = 2.0,
    track: str = "s00p1",
    shot: int = 0,
    largest: float = 0.8,
    rate: float = 25.0,
    has_times: bool = True,
    **fields: Any,
) -> WindowAnswer:
    """A window from a time on; without an answer if it is None."""
    values: dict[str, Any] = {
        "video": "a.mp4",
        "shot": shot,
        "track": track,
        "start_seconds": start if has_times else None,
        "end_seconds": start + seconds if has_times else None,
        "first_frame": round(start * rate),
        "num_frames": round(seconds * rate),
        "frames_found": 16 if answer else 4,
        "num_sampled": 16,
        "box_xyxy_px": (10.0, 20.0, 60.0, 90.0),
        "answer": answer,
        "probability": answer_of(answer, largest) if answer else None,
        "calibrated": True,
        "margin": largest - (1 - largest) / 2 if answer else None,
        "reason": None if answer else "the face was found on 4 of 16 frames",
    }
    return WindowAnswer(**{**values, **fields})


def windows(answers: str, *, start: float = 0.0, stride: float = 0.5, **fields: Any) -> list[WindowAnswer]:
    """Windows one stride apart: h, s, n for the classes, and - for no answer."""
    names = {"h": "happiness", "s": "sadness", "n": "neutral", "-": None}
    return [window(start + stride * number, names[one], **fields) for number, one in enumerate(answers)]


def face(frame: int, track: str = "s00p1", *, rate: float | None = 25.0) -> TrackedFace:
    return TrackedFace(
        frame=frame,
        seconds=None if rate is None else frame / rate,
        track=track,
        box_xyxy_px=(10.25, 20.0, 60.75, 90.0),
        score=0.987,
    )


def prediction(
    answers: Sequence[WindowAnswer],
    people: Mapping[str, Sequence[str]] | None = None,
    *,
    seconds: float | None = 10.0,
    cuts: Sequence[float] = (),
    faces: Sequence[TrackedFace] = (),
    stride: float = 0.5,
    **fields: Any,
) -> Prediction:
    """A prediction; by default all windows are of P1."""
    tracks = dict.fromkeys([one.track for one in answers] or ["s00p1"])
    people = {"P1": tuple(tracks)} if people is None else people
    name = fields.pop("name", "a.mp4")
    values: dict[str, Any] = {
        "source": Source(
            name=name,
            path=f"/videos/{name}",
            sha256="0" * 64,
            num_frames=250,
            duration_seconds=seconds,
            frame_rate=None if seconds is None else 25.0,
            width_px=640,
            height_px=480,
            has_sound=False,
        ),
        "run": "full",
        "class_names": CLASSES,
        "banners": (),
        "settings": Settings(
            window_seconds=None if seconds is None else 2.0,
            stride_seconds=None if seconds is None else stride,
            window_frames=50,
            stride_frames=round(25 * stride),
            people="all",
            min_face_px=24.0,
            min_share=0.5,
            mask="subject",
        ),
        "cut_seconds": tuple(cuts),
        "windows": tuple(answers),
        "faces": tuple(faces),
        "people": tuple(
            PersonTracks(name=each, tracks=tuple(own), margin=2.5 if len(own) > 1 else float("inf"))
            for each, own in people.items()
        ),
    }
    return Prediction(**{**values, **fields})

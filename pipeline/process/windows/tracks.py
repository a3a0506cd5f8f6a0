"""Tracks of everyone in a long source, while its frames are read in order.

Letters: K faces of a frame; N detections of a tracklet; M tracklets.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline import people as people_step
from pipeline.looks import LOOK_WIDTH
from pipeline.people import Linker
from pipeline.process.config import ExtractConfig
from pipeline.types import DOUBTFUL_NATS, Faces, Floats, Person, Tracklet

LEAST_DETECTIONS = 3
"""Tracklets with fewer detections are false detections more often than people, and get no name."""


@dataclass
class _Track:
    shot: int
    name: str = ""
    named: int = -1
    """Last frame of the first window that has named it."""
    frame: "array[int]" = field(default_factory=lambda: array("q"))
    face: "array[int]" = field(default_factory=lambda: array("q"))
    box: "array[float]" = field(default_factory=lambda: array("f"))
    score: "array[float]" = field(default_factory=lambda: array("f"))
    margin: "array[float]" = field(default_factory=lambda: array("f"))


class TrackTable:
    """The tracklets so far, with names such as ``s03p1``: person 1 of shot 3, in the order of appearance.

    Args:
        config: The settings of all steps.
    """

    def __init__(self, config: ExtractConfig) -> None:
        self._config = config
        self._linker = Linker(config.people, start_score=config.detector.score)
        self._tracks: dict[int, _Track] = {}
        self._named: dict[int, int] = {}

    def add(self, frame: int, seconds: float, shot: int, faces: Faces, look_KD: Floats) -> dict[int, int]:
        """Link the faces of the next frame.

        Args:
            frame: Number of the frame.
            seconds: Its time.
            shot: Its shot.
            faces: Its K faces.
            look_KD: Their looks.

        Returns:
            Tracklet -> place of its face among the K faces.
        """
        held = {}
        for one in self._linker.add(seconds, shot, faces, look_KD):
            track = self._tracks.setdefault(one.tracklet, _Track(shot=shot))
            track.frame.append(frame)
            track.face.append(one.face)
            track.box.extend(faces.box_xyxy_px[one.face].tolist())
            track.score.append(float(faces.score[one.face]))
            track.margin.append(one.margin)
            held[one.tracklet] = one.face
        return held

    def name(self, tracklet: int, last: int, *, least: int = LEAST_DETECTIONS) -> str:
        """Return the name of a tracklet; empty if it has too few detections up to the frame `last`.

        Windows ask in the order of the plan, so that names do not depend on frames that were read ahead.
        """
        track = self._tracks[tracklet]
        if len(track.frame) < least or track.frame[least - 1] > last:
            return ""
        if not track.name:
            self._named[track.shot] = self._named.get(track.shot, 0) + 1
            track.name, track.named = f"s{track.shot:02d}p{self._named[track.shot]}", last
        return track.name

    def given_name(self, tracklet: int, last: int) -> str:
        """Return the name that a window up to the frame `last` has given; empty if none has."""
        track = self._tracks[tracklet]
        return track.name if track.name and track.named <= last else ""

    def has(self, tracklet: int) -> bool:
        """Return whether a tracklet is known."""
        return tracklet in self._tracks

    def weight(self, tracklet: int, last: int) -> float:
        """Return the weight of a tracklet up to the frame `last`, as `Tracklet.weight`."""
        return self._tracklet(tracklet, last).weight

    def is_doubtful(self, tracklet: int, first: int, end: int) -> bool:
        """Return whether a detection on the frames from `first` up to `end` could be of another person."""
        track = self._tracks[tracklet]
        frames = np.frombuffer(track.frame, np.int64)
        a, b = np.searchsorted(frames, (first, end))
        margins = np.frombuffer(track.margin, np.float32)[a:b]
        return bool((margins < DOUBTFUL_NATS).any())

    def people(self) -> list[tuple[Person, tuple[str, ...], bool]]:
        """Return the people of the source, by weight.

        Returns:
            Each person, the names of the person's tracks in order of time, and whether the person may be the
            same as one with a larger weight, though this is not certain (`_may_be`).
        """
        named = [number for number, track in self._tracks.items() if track.name]
        tracklets = [self._tracklet(number) for number in named]
        names = {id(one): self._tracks[number].name for number, one in zip(named, tracklets, strict=True)}
        people = people_step.join(tracklets, self._config.people)
        limit = self._config.people.join_distance
        return [
            (
                person,
                tuple(names[id(tracklet)] for tracklet in person.tracklets),
                any(_may_be(person, heavier, limit) for heavier in people[:place]),
            )
            for place, person in enumerate(people)
        ]

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the state, from which `from_arrays` continues to the bit."""
        tracks = list(self._tracks.values())
        return {
            **{f"linker_{name}": value for name, value in self._linker.to_arrays().items()},
            "track": np.array(list(self._tracks), np.int64),
            "track_shot": np.array([track.shot for track in tracks], np.int64),
            "track_name": np.array([track.name for track in tracks], np.str_),
            "track_named": np.array([track.named for track in tracks], np.int64),
            "track_length": np.array([len(track.frame) for track in tracks], np.int64),
            "track_frame": _joined([track.frame for track in tracks], np.int64),
            "track_face": _joined([track.face for track in tracks], np.int64),
            "track_box": _joined([track.box for track in tracks], np.float32),
            "track_score": _joined([track.score for track in tracks], np.float32),
            "track_margin": _joined([track.margin for track in tracks], np.float32),
            "named": np.array(list(self._named.items()), np.int64).reshape(-1, 2),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]], config: ExtractConfig) -> "TrackTable":
        """Return the table of a state of `to_arrays`. Raises ValueError or KeyError for another one."""
        table = cls(config)
        prefix = "linker_"
        states = {name.removeprefix(prefix): v for name, v in arrays.items() if name.startswith(prefix)}
        table._linker = Linker.from_arrays(states, config.people, start_score=config.detector.score)
        ends = np.cumsum(arrays["track_length"])[:-1] if len(arrays["track"]) else np.array([], np.int64)
        parts = {
            name: np.split(arrays[f"track_{name}"], ends) for name in ("frame", "face", "score", "margin")
        }
        boxes = np.split(arrays["track_box"], 4 * ends)
        for place, number in enumerate(arrays["track"].tolist()):
            table._tracks[number] = _Track(
                shot=int(arrays["track_shot"][place]),
                name=str(arrays["track_name"][place]),
                named=int(arrays["track_named"][place]),
                frame=array("q", parts["frame"][place].tolist()),
                face=array("q", parts["face"][place].tolist()),
                box=array("f", boxes[place].tolist()),
                score=array("f", parts["score"][place].tolist()),
                margin=array("f", parts["margin"][place].tolist()),
            )
        shape, numbers = states["sum"].shape, states["number"].tolist()
        if sorted(numbers) != sorted(table._tracks) or (numbers and shape != (len(numbers), LOOK_WIDTH)):
            msg = f"tracklets {numbers} with looks of shape {shape} for tracks {list(table._tracks)}"
            raise ValueError(msg)
        table._named = {int(shot): int(count) for shot, count in arrays["named"].tolist()}
        return table

    def _tracklet(self, number: int, last: int | None = None) -> Tracklet:
        track = self._tracks[number]
        count = len(track.frame) if last is None else bisect_right(track.frame, last)
        return Tracklet(
            shot=track.shot,
            frame_N=np.array(track.frame[:count], np.int64),
            face_N=np.array(track.face[:count], np.int64),
            box_N4=np.array(track.box[: 4 * count], np.float32).reshape(-1, 4),
            score_N=np.array(track.score[:count], np.float32),
            margin_N=np.array(track.margin[:count], np.float32),
            look_D=self._linker.look_of(number),
        )


def _joined(parts: "Sequence[array[Any]]", dtype: type[np.generic]) -> npt.NDArray[Any]:
    """Return a copy of the values of several arrays, one after the other."""
    return np.concatenate([np.empty(0, dtype), *(np.frombuffer(part, dtype) for part in parts)])


def _may_be(person: Person, other: Person, distance: float) -> bool:
    """Return whether two people are never on one frame and look alike: perhaps one person, not certainly."""
    frames = {frame for tracklet in other.tracklets for frame in tracklet.frame_N.tolist()}
    if any(frames.intersection(tracklet.frame_N.tolist()) for tracklet in person.tracklets):
        return False
    return any(
        float(np.linalg.norm(one.look_D - two.look_D)) <= distance for one, two in _pairs(person, other)
    )


def _pairs(person: Person, other: Person) -> Iterator[tuple[Tracklet, Tracklet]]:
    for one in person.tracklets:
        for two in other.tracklets:
            yield one, two

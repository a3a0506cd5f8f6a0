"""Tracks of everyone in a long source, while its frames are read in order.

Letters: K faces of a frame; N detections of a tracklet; M tracklets.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline import people as people_step
from pipeline.looks import LOOK_WIDTH
from pipeline.people import Linker
from pipeline.process.config import ExtractConfig
from pipeline.process.windows.track_parts import TrackPart
from pipeline.types import DOUBTFUL_NATS, Faces, Floats, Person, Tracklet

LEAST_DETECTIONS = 3
"""Tracklets with fewer detections are false detections more often than people, and get no name.

In a shot with few sampled frames, fewer may suffice.
"""


@dataclass
class _Track:
    shot: int
    rank: int = 0
    """Number in the shot, in the order of appearance, from 1; 0 without a name."""
    named: int = -1
    """Last frame of the first window that has named it."""
    num_taken: int = 0
    """Detections that `TrackTable.take_parts` has returned."""
    frame: "array[int]" = field(default_factory=lambda: array("q"))
    face: "array[int]" = field(default_factory=lambda: array("q"))
    box: "array[float]" = field(default_factory=lambda: array("f"))
    score: "array[float]" = field(default_factory=lambda: array("f"))
    margin: "array[float]" = field(default_factory=lambda: array("f"))

    @property
    def name(self) -> str:
        return f"s{self.shot:02d}p{self.rank}" if self.rank else ""


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
        self._changed: set[int] = set()

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
        self._changed.update(held)
        return held

    def name(self, tracklet: int, last: int, *, least: int = LEAST_DETECTIONS) -> str:
        """Return the name of a tracklet; empty with fewer than `least` detections up to the frame `last`.

        Windows ask in the order of the plan, so that names do not depend on frames that were read ahead.
        """
        track = self._tracks[tracklet]
        if len(track.frame) < least or track.frame[least - 1] > last:
            return ""
        if not track.rank:
            self._named[track.shot] = self._named.get(track.shot, 0) + 1
            track.rank, track.named = self._named[track.shot], last
            self._changed.add(tracklet)
        return track.name

    def given_name(self, tracklet: int, last: int) -> str:
        """Return the name that a window up to the frame `last` has given; empty if none has."""
        track = self._tracks[tracklet]
        return track.name if track.named <= last else ""

    def num_unfollowed(self) -> int:
        """Return the number of tracklets with too few detections for a person."""
        return sum(not track.rank and len(track.frame) < LEAST_DETECTIONS for track in self._tracks.values())

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
        named = [number for number, track in self._tracks.items() if track.rank]
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

    def take_parts(self) -> tuple[TrackPart, ...]:
        """Return what was added to each tracklet since the last call, in the order of their numbers."""
        closed = self._linker.take_closed()
        parts = []
        for number in sorted(self._changed.union(closed)):
            track = self._tracks[number]
            a, b = track.num_taken, len(track.frame)
            parts.append(
                TrackPart(
                    tracklet=number,
                    shot=track.shot,
                    rank=track.rank,
                    named=track.named,
                    frame_N=np.array(track.frame[a:b], np.int64),
                    face_N=np.array(track.face[a:b], np.int64),
                    box_N4=np.array(track.box[4 * a : 4 * b], np.float32).reshape(-1, 4),
                    score_N=np.array(track.score[a:b], np.float32),
                    margin_N=np.array(track.margin[a:b], np.float32),
                    look_D=closed.get(number),
                )
            )
            track.num_taken = b
        self._changed.clear()
        return tuple(parts)

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the state that grows neither with time nor with the number of people so far.

        `restored` continues from it and from all parts of `take_parts` to the bit.
        """
        return self._linker.to_arrays()

    @classmethod
    def restored(
        cls, arrays: Mapping[str, npt.NDArray[Any]], parts: Iterable[TrackPart], config: ExtractConfig
    ) -> "TrackTable":
        """Return the table of a state.

        Args:
            arrays: The arrays of `to_arrays`.
            parts: All results of `take_parts` up to then.
            config: The settings of all steps.

        Raises:
            ValueError, KeyError, IndexError, TypeError: These are no state.
        """
        table = cls(config)
        closed: dict[int, Floats] = {}
        for part in parts:
            track = table._tracks.setdefault(part.tracklet, _Track(shot=part.shot))
            last = track.frame[-1] if track.frame else -1
            if (
                part.tracklet in closed
                or part.shot != track.shot
                or (np.diff(part.frame_N, prepend=last) <= 0).any()
            ):
                msg = f"a part of tracklet {part.tracklet} does not continue the one before"
                raise ValueError(msg)
            track.rank, track.named = part.rank, part.named
            track.frame.extend(part.frame_N.tolist())
            track.face.extend(part.face_N.tolist())
            track.box.extend(part.box_N4.ravel().tolist())
            track.score.extend(part.score_N.tolist())
            track.margin.extend(part.margin_N.tolist())
            track.num_taken = len(track.frame)
            table._named[track.shot] = max(table._named.get(track.shot, 0), track.rank)
            if part.look_D is not None:
                closed[part.tracklet] = part.look_D
        table._linker = Linker.from_arrays(arrays, closed, config.people, start_score=config.detector.score)
        shape, numbers = arrays["sum"].shape, [*closed, *arrays["number"].tolist()]
        is_whole = sorted(numbers) == sorted(table._tracks) == list(range(len(numbers)))
        if not is_whole or (len(arrays["number"]) and shape != (len(arrays["number"]), LOOK_WIDTH)):
            msg = f"tracklets {numbers} with looks of shape {shape} for tracks {list(table._tracks)}"
            raise ValueError(msg)
        if not all(track.frame for track in table._tracks.values()):
            msg = "a tracklet has no detection"
            raise ValueError(msg)
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

"""Tracks and faces that a reader has found -> people and faces of a prediction."""

from collections.abc import Sequence

from pipeline.process.windows import FoundFace, WindowReader
from pipeline.types import Person
from trainer.prediction.results import UNKNOWN, PersonTracks, TrackedFace
from trainer.prediction.source import PlannedSource


def found_by(reader: WindowReader) -> tuple[tuple[PersonTracks, ...], int]:
    """Return the people that a reader has found so far, and the number of faces that are not followed."""
    tracks = reader.engine.tracks
    return people_of(tracks.people()), tracks.num_unfollowed()


def people_of(found: Sequence[tuple[Person, tuple[str, ...], bool]]) -> tuple[PersonTracks, ...]:
    """Name the people by weight; those that may be another person are all `UNKNOWN`."""
    people: list[PersonTracks] = []
    unknown: list[str] = []
    for person, tracks, may_be_another in found:
        if may_be_another:
            unknown += tracks
        else:
            people.append(PersonTracks(name=f"P{len(people) + 1}", tracks=tracks, margin=person.margin))
    return (*people, *([PersonTracks(name=UNKNOWN, tracks=tuple(sorted(unknown)))] if unknown else []))


def tracked_face(face: FoundFace, planned: PlannedSource) -> TrackedFace:
    """Return a detected face with its time, rounded as it is stored."""
    x0, y0, x1, y1 = (round(float(edge), 2) for edge in face.box_xyxy_px)
    seconds = float(planned.scan.seconds_N[face.frame]) if planned.scan.has_times else None
    return TrackedFace(
        frame=face.frame,
        seconds=seconds,
        track=face.track,
        box_xyxy_px=(x0, y0, x1, y1),
        score=round(face.score, 4),
    )

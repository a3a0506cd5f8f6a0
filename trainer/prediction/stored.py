"""The files that a prediction grows by: windows.jsonl, faces.jsonl, and two files to continue from.

tracks.jsonl has the tracks so far and grows too, until the prediction is done and the file is removed.
progress.npz has what windows that are not done need, and has about one size however long the video is.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.errors import ConfigError
from pipeline.own_dir import OwnDir
from pipeline.process.windows import TrackPart
from pipeline.strict_json import from_json, to_json
from trainer.prediction.growing_files import PROGRESS_FILE, GrowingFiles, State
from trainer.prediction.results import PersonTracks, TrackedFace, WindowAnswer

__all__ = ["FACES_FILE", "PROGRESS_FILE", "TRACKS_FILE", "WINDOWS_FILE", "State", "StoredPrediction"]

WINDOWS_FILE, FACES_FILE, TRACKS_FILE = "windows.jsonl", "faces.jsonl", "tracks.jsonl"
_PEOPLE = "people"


class StoredPrediction:
    """The growing files of one prediction in a directory.

    Args:
        out: The directory, which exists.
        settings: Everything that determines the lines, as plain JSON values.
        made_with: Facts about the computation, which are kept from its beginning.
    """

    def __init__(
        self, out: OwnDir, settings: Mapping[str, Any], made_with: Mapping[str, str] | None = None
    ) -> None:
        self._files = GrowingFiles(
            out, (WINDOWS_FILE, FACES_FILE), settings, temporary=(TRACKS_FILE,), made_with=made_with
        )

    @property
    def made_with(self) -> Mapping[str, str]:
        """Facts about the computation, as it began."""
        return self._files.made_with

    @property
    def frame(self) -> int:
        """First frame that later windows need."""
        return self._files.position

    @property
    def is_done(self) -> bool:
        """Whether all windows are there."""
        return self._files.is_done

    def begin(self, *, restart: bool) -> State | None:
        """See `GrowingFiles.begin`."""
        return self._files.begin(restart=restart)

    def add(
        self,
        answers: Iterable[WindowAnswer],
        faces: Iterable[TrackedFace],
        parts: Iterable[TrackPart],
        state: State,
        frame: int,
    ) -> None:
        """Append lines, and store the state after them.

        Args:
            answers: Answers of a batch.
            faces: Faces of the batch.
            parts: What was added to tracks.
            state: Arrays to continue from.
            frame: The first frame that later windows need.
        """
        texts = {
            WINDOWS_FILE: "".join(f"{answer.line()}\n" for answer in answers),
            FACES_FILE: "".join(f"{face.line()}\n" for face in faces),
            TRACKS_FILE: "".join(f"{to_json(part.to_values(), indent=None)}\n" for part in parts),
        }
        self._files.add(texts, state, frame)

    def finish(self, people: Sequence[PersonTracks], num_unfollowed: int, num_frames: int) -> None:
        """Record that all windows are there, the people, and the number of faces that were not followed."""
        tracks = [
            {
                "name": person.name,
                "tracks": list(person.tracks),
                "margin": person.margin if math.isfinite(person.margin) else None,
            }
            for person in people
        ]
        values = {"people": tracks, "num_unfollowed": num_unfollowed}
        state = {_PEOPLE: np.frombuffer(to_json(values, indent=None).encode(), np.uint8)}
        self._files.finish(state, num_frames)

    def people(self, state: State) -> tuple[tuple[PersonTracks, ...], int]:
        """Return what `finish` has recorded. `state` is the one that `begin` has returned."""
        try:
            values = from_json(state[_PEOPLE].tobytes())
            people = tuple(
                PersonTracks(
                    name=str(person["name"]),
                    tracks=tuple(str(track) for track in person["tracks"]),
                    margin=math.inf if person["margin"] is None else float(person["margin"]),
                )
                for person in values["people"]
            )
            return people, int(values["num_unfollowed"])
        except (ValueError, KeyError, TypeError) as error:
            raise self.damaged() from error

    def windows(self) -> Iterator[WindowAnswer]:
        """Yield the windows that are stored."""
        yield from self._files.values(WINDOWS_FILE, WindowAnswer.of_values)

    def faces(self) -> Iterator[TrackedFace]:
        """Yield the faces that are stored."""
        yield from self._files.values(FACES_FILE, TrackedFace.of_values)

    def tracks(self) -> Iterator[TrackPart]:
        """Yield the parts of tracks that are stored; none once all windows are there."""
        if not self.is_done:
            yield from self._files.values(TRACKS_FILE, TrackPart.of_values)

    def damaged(self) -> ConfigError:
        """See `GrowingFiles.damaged`."""
        return self._files.damaged()

"""The files that a prediction grows by: windows.jsonl, faces.jsonl, and the state to continue from."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.errors import ConfigError
from pipeline.own_dir import OwnDir
from pipeline.strict_json import from_json, to_json
from trainer.prediction.growing_files import PROGRESS_FILE, GrowingFiles, State
from trainer.prediction.results import PersonTracks, TrackedFace, WindowAnswer

__all__ = ["FACES_FILE", "PROGRESS_FILE", "WINDOWS_FILE", "State", "StoredPrediction"]

WINDOWS_FILE, FACES_FILE = "windows.jsonl", "faces.jsonl"
_PEOPLE = "people"


class StoredPrediction:
    """The growing files of one prediction in a directory.

    Args:
        out: The directory, which exists.
        settings: Everything that determines the lines, as plain JSON values.
    """

    def __init__(self, out: OwnDir, settings: Mapping[str, Any]) -> None:
        self._files = GrowingFiles(out, (WINDOWS_FILE, FACES_FILE), settings)

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
        self, answers: Iterable[WindowAnswer], faces: Iterable[TrackedFace], state: State, frame: int
    ) -> None:
        """Append lines, and store the state after them. `frame` is the first one that later windows need."""
        parts = {
            WINDOWS_FILE: "".join(f"{answer.line()}\n" for answer in answers),
            FACES_FILE: "".join(f"{face.line()}\n" for face in faces),
        }
        self._files.add(parts, state, frame)

    def finish(self, people: Sequence[PersonTracks], num_frames: int) -> None:
        """Record that all windows are there, and the people."""
        values = [
            {
                "name": person.name,
                "tracks": list(person.tracks),
                "margin": person.margin if math.isfinite(person.margin) else None,
            }
            for person in people
        ]
        state = {_PEOPLE: np.frombuffer(to_json(values, indent=None).encode(), np.uint8)}
        self._files.finish(state, num_frames)

    def people(self, state: State) -> tuple[PersonTracks, ...]:
        """Return the people that `finish` has recorded. `state` is the one that `begin` has returned."""
        try:
            return tuple(
                PersonTracks(
                    name=str(person["name"]),
                    tracks=tuple(str(track) for track in person["tracks"]),
                    margin=math.inf if person["margin"] is None else float(person["margin"]),
                )
                for person in from_json(state[_PEOPLE].tobytes())
            )
        except (ValueError, KeyError, TypeError) as error:
            raise self.damaged() from error

    def windows(self) -> Iterator[WindowAnswer]:
        """Yield the windows that are stored."""
        yield from self._files.values(WINDOWS_FILE, WindowAnswer.of_values)

    def faces(self) -> Iterator[TrackedFace]:
        """Yield the faces that are stored."""
        yield from self._files.values(FACES_FILE, TrackedFace.of_values)

    def damaged(self) -> ConfigError:
        """See `GrowingFiles.damaged`."""
        return self._files.damaged()

"""The files that a prediction grows by: windows.jsonl, faces.jsonl, and two files to continue from.

tracks.jsonl has the tracks so far and grows too, until the prediction is done and the file is removed.
progress.npz has what windows that are not done need, and has about one size however long the video is.

A batch of lines is on the disk before progress.npz counts it, and progress.npz is replaced at once. After an
interruption at any time, lines that it does not count are removed, and the prediction continues there: the
files are equal to the byte to those of an undisturbed one.
"""

import io
import math
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from pipeline.errors import ConfigError, FileError, MissingFileError, printable, some
from pipeline.fingerprint import differences
from pipeline.own_dir import OwnDir
from pipeline.process.windows import TrackPart
from pipeline.strict_json import from_json, to_json
from trainer.prediction.results import PersonTracks, TrackedFace, WindowAnswer

WINDOWS_FILE, FACES_FILE, PROGRESS_FILE = "windows.jsonl", "faces.jsonl", "progress.npz"
TRACKS_FILE = "tracks.jsonl"
_GROWING = (WINDOWS_FILE, FACES_FILE, TRACKS_FILE)
_SETTINGS, _LENGTHS, _FRAME, _IS_DONE, _PEOPLE = "settings", "lengths", "frame", "is_done", "people"
_FORMAT = 2
_MOST_BYTES, _MOST_LINE_BYTES = 1 << 30, 4 << 30

_DAMAGE = (
    ValueError, KeyError, TypeError, IndexError, AttributeError, OSError, EOFError, MemoryError,
    RecursionError, NotImplementedError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""Errors of reading arrays that `add` has not stored."""
T = TypeVar("T")

State = Mapping[str, npt.NDArray[Any]]


class StoredPrediction:
    """The growing files of one prediction in a directory.

    Args:
        out: The directory, which exists.
        settings: Everything that determines the lines, as plain JSON values.
    """

    def __init__(self, out: OwnDir, settings: Mapping[str, Any]) -> None:
        self._out, self._settings = out, {"format": _FORMAT, **settings}
        self._lengths = dict.fromkeys(_GROWING, 0)
        self.frame = 0
        """First frame that later windows need."""
        self.is_done = False
        """Whether all windows are there."""

    def begin(self, *, restart: bool) -> State | None:
        """Prepare the files, and return the state to continue from; None for a new prediction.

        Args:
            restart: Remove what is there.

        Raises:
            ConfigError: The directory has a prediction with other settings, or a damaged one.
            FileError: A file cannot be written.
        """
        if restart:
            for name in (PROGRESS_FILE, *_GROWING):
                self._out.remove_file(name)
        try:
            stored = self._stored()
        except MissingFileError:
            stored = None
        if stored is None:
            if any(self._out.kind(name) for name in _GROWING):
                msg = (
                    f"'{self._out}' has a {WINDOWS_FILE} or {FACES_FILE} without {PROGRESS_FILE}; give "
                    "another --out, or replace them with --restart."
                )
                raise ConfigError(msg)
            self._save({})
            stored = {}
        if self.is_done:
            self._out.remove_file(TRACKS_FILE)
        for name, length in self._lengths.items():
            if self.is_done and name == TRACKS_FILE:
                continue
            if not length:
                self._out.append(name, b"")
            self._out.cut(name, length)
        return stored or None

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
        for name, text in texts.items():
            content = text.encode()
            self._out.append(name, content, sync=True)
            self._lengths[name] += len(content)
        self.frame = frame
        self._save(state)

    def finish(self, people: Sequence[PersonTracks], num_unfollowed: int, num_frames: int) -> None:
        """Record that all windows are there, the people, and the number of faces that were not followed."""
        self.frame, self.is_done, self._lengths[TRACKS_FILE] = num_frames, True, 0
        tracks = [
            {
                "name": person.name,
                "tracks": list(person.tracks),
                "margin": person.margin if math.isfinite(person.margin) else None,
            }
            for person in people
        ]
        values = {"people": tracks, "num_unfollowed": num_unfollowed}
        self._save({_PEOPLE: np.frombuffer(to_json(values, indent=None).encode(), np.uint8)})
        self._out.remove_file(TRACKS_FILE)

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
        yield from _values(self._out, WINDOWS_FILE, WindowAnswer.of_values)

    def faces(self) -> Iterator[TrackedFace]:
        """Yield the faces that are stored."""
        yield from _values(self._out, FACES_FILE, TrackedFace.of_values)

    def tracks(self) -> Iterator[TrackPart]:
        """Yield the parts of tracks that are stored; none once all windows are there."""
        if not self.is_done:
            yield from _values(self._out, TRACKS_FILE, TrackPart.of_values)

    def damaged(self) -> ConfigError:
        """Return the error for a state that does not belong to the prediction."""
        return ConfigError(f"'{self._out.path / PROGRESS_FILE}' is damaged; predict again with --restart.")

    def _other_format(self, number: object) -> ConfigError:
        msg = (
            f"'{self._out.path / PROGRESS_FILE}' has format {printable(str(number))[:20]} of another version "
            f"(this one has format {_FORMAT}); predict again with --restart, or give another --out."
        )
        return ConfigError(msg)

    def _save(self, state: State) -> None:
        buffer = io.BytesIO()
        np.savez(
            buffer,
            allow_pickle=False,
            **{
                **state,
                _SETTINGS: np.frombuffer(to_json(self._settings, indent=None).encode(), np.uint8),
                _LENGTHS: np.array([self._lengths[name] for name in _GROWING], np.int64),
                _FRAME: np.array(self.frame),
                _IS_DONE: np.array(self.is_done),
            },
        )
        self._out.write_bytes(PROGRESS_FILE, buffer.getvalue())

    def _stored(self) -> State | None:
        """Return the stored state.

        Raises MissingFileError if there is none, and ConfigError for another or a damaged prediction.
        """
        content = self._out.read_bytes(PROGRESS_FILE, _MOST_BYTES)
        try:
            _require_small(content)
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                state = {name: arrays[name] for name in arrays.files}
            settings = from_json(state.pop(_SETTINGS).tobytes())
            if (earlier := settings["format"]) != _FORMAT:
                raise self._other_format(earlier)
            lengths = [int(length) for length in state.pop(_LENGTHS).tolist()]
            self._lengths = dict(zip(_GROWING, lengths, strict=True))
            self.frame, self.is_done = int(state.pop(_FRAME)), bool(state.pop(_IS_DONE))
        except _DAMAGE as error:
            raise self.damaged() from error
        if found := differences(self._settings, settings):
            msg = (
                f"'{self._out}' has a prediction with other settings ('there'): {some(found, joint='; ')}. "
                "Give another --out, or replace it with --restart."
            )
            raise ConfigError(msg)
        return state


def _require_small(content: bytes) -> None:
    """Raise ValueError if the arrays are larger than any that `add` stores."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if sum(member.file_size for member in archive.infolist()) > _MOST_BYTES:
            msg = f"arrays of more than {_MOST_BYTES} bytes"
            raise ValueError(msg)


def _values(out: OwnDir, name: str, of_values: Callable[[Any], T]) -> Iterator[T]:
    """Yield the values of all lines of a file. Raises FileError for a line that is none of its lines."""
    with out.open_read(name, _MOST_LINE_BYTES) as file:
        for number, line in enumerate(file, 1):
            try:
                value = of_values(from_json(line))
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
                msg = f"'{out.path / name}', line {number} is damaged; predict again with --restart."
                raise FileError(msg) from error
            yield value

"""Files of lines that grow together, with the state to continue from in progress.npz.

A batch of lines is on the disk before progress.npz counts it, and progress.npz is replaced at once. After an
interruption at any time, lines that it does not count are removed, and the work continues there: the files
are equal to the byte to those of undisturbed work. Temporary files grow too, until all lines are there.
"""

import io
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, final

import numpy as np
import numpy.typing as npt

from pipeline.errors import ConfigError, FileError, MissingFileError, printable, some
from pipeline.fingerprint import differences
from pipeline.own_dir import OwnDir
from pipeline.strict_json import from_json, to_json

PROGRESS_FILE = "progress.npz"
LOCK_FILE = ".predict.lock"
"""Locked while a process predicts into the directory; it stays. See `restarting` for its content."""
_SETTINGS, _LENGTHS, _POSITION, _IS_DONE = "settings", "lengths", "frame", "is_done"
_MADE_WITH = "made_with"
_FORMAT = 2
_MOST_BYTES, _MOST_LINE_BYTES = 1 << 30, 4 << 30

_DAMAGE = (
    ValueError, KeyError, TypeError, IndexError, AttributeError, OSError, EOFError, MemoryError,
    RecursionError, NotImplementedError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""Errors of reading arrays that `add` has not stored."""
T = TypeVar("T")

State = Mapping[str, npt.NDArray[Any]]


@final
class GrowingFiles:
    """Growing files of one prediction in a directory.

    Args:
        out: The directory, which exists.
        names: Names of the files.
        settings: Everything that determines the lines, as plain JSON values.
        temporary: Names of files that are removed when all lines are there.
        made_with: Facts about the computation, which are kept from its beginning.
    """

    def __init__(
        self,
        out: OwnDir,
        names: Sequence[str],
        settings: Mapping[str, Any],
        temporary: Sequence[str] = (),
        made_with: Mapping[str, str] | None = None,
    ) -> None:
        self.made_with: dict[str, str] = dict(made_with or {})
        """Facts about the computation, as it began."""
        self._out, self._settings = out, {"format": _FORMAT, **settings}
        self._kept, self._temporary = tuple(names), tuple(temporary)
        self._names = (*names, *temporary)
        self._lengths = dict.fromkeys(self._names, 0)
        self.position = 0
        """Position in the input that the lines have reached."""
        self.is_done = False
        """Whether all lines are there."""

    def begin(self, *, restart: bool) -> State | None:
        """Prepare the files, and return the state to continue from; None for a new prediction.

        Args:
            restart: Remove what is there.

        Raises:
            ConfigError: The directory has a prediction with other settings, or a damaged one.
            FileError: A file cannot be written.
        """
        if restart:
            for name in (PROGRESS_FILE, *self._names):
                self._out.remove_file(name)
        try:
            stored = self._stored()
        except MissingFileError:
            stored = None
        if stored is None:
            if found := [name for name in self._names if self._out.kind(name)]:
                msg = (
                    f"'{self._out}' has {' and '.join(found)} without {PROGRESS_FILE}; give another --out, "
                    "or replace them with --restart."
                )
                raise ConfigError(msg)
            self.save({})
            stored = {}
        for name, length in self._lengths.items():
            if self.is_done and name in self._temporary:
                self._out.remove_file(name)
                continue
            if not length:
                self._out.append(name, b"")
            self._out.cut(name, length)
        return stored or None

    def add(self, parts: Mapping[str, str], state: State, position: int) -> None:
        """Append texts to files, and store the state after them and the position in the input."""
        for name, text in parts.items():
            content = text.encode()
            self._out.append(name, content, sync=True)
            self._lengths[name] += len(content)
        self.position = position
        self.save(state)

    def finish(self, state: State, position: int) -> None:
        """Record that all lines are there."""
        self.position, self.is_done = position, True
        self._lengths |= dict.fromkeys(self._temporary, 0)
        self.save(state)
        for name in self._temporary:
            self._out.remove_file(name)

    def values(self, name: str, of_values: Callable[[Any], T]) -> Iterator[T]:
        """Yield the values of all lines of a file.

        Args:
            name: The file.
            of_values: Makes a value of a line's JSON values. Raises ValueError, TypeError or KeyError.

        Raises:
            FileError: A line is none of its lines.
        """
        with self._out.open_read(name, _MOST_LINE_BYTES) as file:
            for number, line in enumerate(file, 1):
                try:
                    value = of_values(from_json(line))
                except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
                    msg = (
                        f"'{self._out.path / name}', line {number} is damaged; predict again with --restart."
                    )
                    raise FileError(msg) from error
                yield value

    def damaged(self) -> ConfigError:
        """Return the error for a state that does not belong to the prediction."""
        return ConfigError(f"'{self._out.path / PROGRESS_FILE}' is damaged; predict again with --restart.")

    def _other_format(self, number: object) -> ConfigError:
        msg = (
            f"'{self._out.path / PROGRESS_FILE}' has format {printable(str(number))[:20]} of another version "
            f"(this one has format {_FORMAT}); predict again with --restart, or give another --out."
        )
        return ConfigError(msg)

    def save(self, state: State) -> None:
        """Store a state with the lengths of the files."""
        buffer = io.BytesIO()
        np.savez(
            buffer,
            allow_pickle=False,
            **{
                **state,
                _SETTINGS: np.frombuffer(to_json(self._settings, indent=None).encode(), np.uint8),
                _LENGTHS: np.array([self._lengths[name] for name in self._names], np.int64),
                _POSITION: np.array(self.position),
                _IS_DONE: np.array(self.is_done),
                _MADE_WITH: np.frombuffer(to_json(self.made_with, indent=None).encode(), np.uint8),
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
            found = differences(self._settings, settings)
            made_with = from_json(state.pop(_MADE_WITH).tobytes()).items()
            self.made_with = {str(name): str(value) for name, value in made_with}
            lengths = [int(length) for length in state.pop(_LENGTHS).tolist()]
            if not found:
                self._lengths = dict(zip(self._names, lengths, strict=True))
            self.position, self.is_done = int(state.pop(_POSITION)), bool(state.pop(_IS_DONE))
        except _DAMAGE as error:
            raise self.damaged() from error
        if found:
            msg = (
                f"'{self._out}' has a prediction with other settings ('there'): {some(found, joint='; ')}. "
                "Give the same options, another --out, or replace it with --restart."
            )
            raise ConfigError(msg)
        return state


def _require_small(content: bytes) -> None:
    """Raise ValueError if the arrays are larger than any that `add` stores."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if sum(member.file_size for member in archive.infolist()) > _MOST_BYTES:
            msg = f"arrays of more than {_MOST_BYTES} bytes"
            raise ValueError(msg)

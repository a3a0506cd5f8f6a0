"""The errors that a user can cause or mend. Each is shown as one line, never as a traceback.

A message says what, the value, what is allowed, and what to do.
"""

import unicodedata
from collections.abc import Collection
from itertools import islice

_MOST_MARKS = 30
"""Marks on one letter, such as accents (UAX #15, Stream-Safe Text Format); more of them cover other lines."""


def first_line(error: BaseException) -> str:
    """Return the first line of another library's error, printable; its class where it has no text."""
    lines = str(error).strip().splitlines()
    return printable(lines[0]) if lines else type(error).__name__


def reason_of(error: BaseException) -> str:
    """The same for a message that names the file itself: of the system's errors the reason alone."""
    return error.strerror if isinstance(error, OSError) and error.strerror else first_line(error)


def counted(number: int, thing: str, things: str = "") -> str:
    """A number of things in words: "1 block", "2 blocks". things: a plural that is not formed by an s."""
    return f"{number} {thing if number == 1 else things or thing + 's'}"


def some(names: Collection[str], shown: int = 3, joint: str = ", ") -> str:
    """The first few names and how many others there are: "a, b, c and 4 more". joint: between the names."""
    more = len(names) - shown
    return joint.join(islice(names, shown)) + (f" and {more} more" if more > 0 else "")


def printable(text: str, instead: str = "?") -> str:
    """Return the text on one line, each character that does not print replaced by `instead`.

    Names and notes of data sets, caches and runs come from other people: they may hold line ends, control
    sequences of a terminal, characters that change the direction of a line, and piles of accents.
    """
    if text.isascii():
        return text if text.isprintable() else "".join(c if c.isprintable() else instead for c in text)
    shown, marks = [], 0
    for letter in text:
        marks = marks + 1 if unicodedata.combining(letter) else 0
        shown.append(letter if letter.isprintable() and marks <= _MOST_MARKS else instead)
    return "".join(shown)


class OusError(Exception):
    """A known error. The command line prints it in one line and exits with `exit_code`."""

    exit_code = 1


class ConfigError(OusError):
    """A setting that is not allowed (misuse of the command line)."""

    exit_code = 2


class FileError(OusError):
    """A file or directory that cannot be read, written or removed, or is a link, a pipe or the like."""


class MissingFileError(FileError):
    """A file or directory that is not there."""


class DatasetError(OusError):
    """A data set, manifest or folder that cannot be read as one."""


class WeightsError(OusError):
    """Model weights that are missing, damaged or not the ones asked for."""


class CacheError(OusError):
    """A feature cache that is missing, damaged, of another version or of another config."""


class CacheDamagedError(CacheError):
    """Stored bytes of a feature cache that do not read, or do not give their checksum."""


class CacheExistsError(CacheError):
    """Something already stands where a cache was to be created, perhaps since a moment ago."""

    @classmethod
    def at(cls, where: str) -> "CacheExistsError":
        """The error for what stands at `where`."""
        return cls(f"'{where}' exists already; give another --cache, or remove it.")


class CheckpointError(OusError):
    """A training run whose checkpoint is missing or belongs to another cache."""


class VerificationError(OusError):
    """A check that was asked for has failed."""

    exit_code = 3


class ClipError(OusError):
    """One clip cannot be processed; recorded in the cache, it never ends a run.

    `stage` is the step that gave up, one of `pipeline.types.STAGES`.
    """

    def __init__(self, stage: str, reason: str) -> None:
        super().__init__(f"{stage}: {reason}")
        self.stage = stage
        self.reason = reason

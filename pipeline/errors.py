"""Errors that a user can cause or fix. Each is shown as one line, never as a traceback.

A message has the subject, the value, the allowed values, and the fix.
"""

import unicodedata
from collections.abc import Collection
from itertools import islice

_MOST_MARKS = 30
"""Marks on one letter, such as accents (UAX #15, Stream-Safe Text Format); more would cover other lines."""


def first_line(error: BaseException) -> str:
    """Return the first line of another library's error, printable; its class name if it has no text."""
    lines = str(error).strip().splitlines()
    return printable(lines[0]) if lines else type(error).__name__


def reason_of(error: BaseException) -> str:
    """Return `first_line` without the file's name, for a message that contains the name already."""
    return error.strerror if isinstance(error, OSError) and error.strerror else first_line(error)


def counted(number: int, thing: str, things: str = "") -> str:
    """Return a number with its noun: "1 block", "2 blocks".

    Args:
        number: Only 1 takes the singular.
        thing: The noun in the singular.
        things: Its plural; empty for the singular and an s.
    """
    return f"{number} {thing if number == 1 else things or thing + 's'}"


def some(names: Collection[str], shown: int = 3, joint: str = ", ", *, total: int | None = None) -> str:
    """Return the first few names and the number of all others: "a, b, c and 4 more".

    Args:
        names: The names, in their order.
        shown: Most names to show.
        joint: Text between two names.
        total: Number of all names, if `names` has only the first of them.
    """
    more = (len(names) if total is None else total) - shown
    return joint.join(islice(names, shown)) + (f" and {more} more" if more > 0 else "")


def printable(text: str, instead: str = "?") -> str:
    """Return the text on one line, each character that does not print replaced by `instead`.

    Names and notes of datasets, caches and runs come from other people. They may contain line ends, control
    sequences of a terminal, characters that change the direction of a line, and many accents on a letter.
    """
    if text.isascii():
        return text if text.isprintable() else "".join(c if c.isprintable() else instead for c in text)
    shown, marks = [], 0
    for letter in text:
        marks = marks + 1 if unicodedata.combining(letter) else 0
        shown.append(letter if letter.isprintable() and marks <= _MOST_MARKS else instead)
    return "".join(shown)


class OusError(Exception):
    """Known error. The command line prints it in one line and exits with `exit_code`."""

    exit_code = 1


class ConfigError(OusError):
    """A setting that is not allowed (misuse of the command line)."""

    exit_code = 2


class FileError(OusError):
    """A file or directory that cannot be read, written or removed, or is a link, a pipe or the like."""


class MissingFileError(FileError):
    """A file or directory that does not exist."""


class DatasetError(OusError):
    """A dataset, manifest or directory that cannot be read as a dataset."""


class WeightsError(OusError):
    """Model weights that are missing, damaged or of another model."""


class CacheError(OusError):
    """A feature cache that is missing, damaged, of another version or of another config."""


class CacheDamagedError(CacheError):
    """Stored bytes of a feature cache that cannot be read, or have another checksum."""


class CacheExistsError(CacheError):
    """A path at which a cache was to be created, and which exists already."""

    @classmethod
    def at(cls, where: str) -> "CacheExistsError":
        """Return the error for a location that exists."""
        return cls(f"'{where}' exists already; give another --cache, or remove it.")


class CheckpointError(OusError):
    """A training run whose checkpoint is missing or belongs to another cache."""


class VerificationError(OusError):
    """A verification that failed."""

    exit_code = 3


class ClipError(OusError):
    """A clip that cannot be processed. It is recorded in the cache and never ends a run.

    Attributes:
        stage: The step that failed, one of `pipeline.types.STAGES`.
        reason: The cause, in words.
    """

    def __init__(self, stage: str, reason: str) -> None:
        super().__init__(f"{stage}: {reason}")
        self.stage = stage
        self.reason = reason

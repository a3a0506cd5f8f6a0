"""Remarks for the user on a clip that was read."""

from dataclasses import dataclass
from enum import StrEnum

WINDOW_BEYOND_END = "times are seconds from the file's start: are these milliseconds or frame numbers?"
"""Ends the note or the reason of every clip whose window ends, or starts, after its file."""
EMPTY_WINDOW = "widen start_seconds to end_seconds"
"""Ends the reason of every clip whose window is between two frames."""


class NoteKind(StrEnum):
    """Subject of a note on a clip."""

    DAMAGE = "damage"
    """Data that do not decode, or less than the file announces."""
    SIZE = "size"
    """Frames of several sizes."""
    TIMES = "times"
    """Time stamps that are missing or go back."""
    HDR = "hdr"
    """A transfer function of HDR, read without tone mapping."""
    INTERLACED = "interlaced"
    """Frames of two fields."""
    STREAMS = "streams"
    """Further video streams in the file."""
    WINDOW = "window"
    """A window that ends after the file."""
    OTHER = "other"
    """Everything else."""


@dataclass(frozen=True)
class Note:
    """One remark on a clip."""

    kind: NoteKind
    """Subject of the remark."""
    text: str
    """One printable phrase, no full stop."""

    def __str__(self) -> str:
        return self.text

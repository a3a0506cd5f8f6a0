"""Result of processing a clip: features, or the step that failed."""

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from pipeline.types.checks import require
from pipeline.types.faces import FaceTrack
from pipeline.types.features import Features
from pipeline.types.frames import FrameMeta
from pipeline.types.notes import NoteKind

STAGES = ("", "open", "decode", "detect", "track", "crop", "encode")
"""The steps at which a clip can fail; empty for a clip that did not fail."""


class Status(IntEnum):
    """State of a clip, as caches store it."""

    PENDING = 0
    DONE = 1
    DONE_WITHOUT_FACE = 2
    FAILED = 3


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """Identity of the file, or of the images of a directory, that a clip was read from."""

    num_bytes: int
    """Size of the content."""
    sha256: str
    """Hash of the content, in hex."""


@dataclass(frozen=True, kw_only=True)
class ClipDone:
    """A clip with features. Where no face was found, its face stream is the centre square."""

    source: SourceFile
    """The file, or the images of a directory, that the clip was read from."""
    frames: FrameMeta
    """Its sampled frames, with the notes on them and on its face crops."""
    track: FaceTrack
    """The subject's box on every sampled frame."""
    features: Features
    """Output of the encoder."""

    def has_note(self, kind: NoteKind) -> bool:
        """Return whether one of the notes is of this kind."""
        return any(note.kind is kind for note in self.frames.notes)


@dataclass(frozen=True, kw_only=True)
class ClipFailed:
    """A clip that could not be processed."""

    stage: str
    """The step that failed, one of STAGES."""
    reason: str
    """Why, in one printable phrase."""
    source_sha256: str = ""
    """Hash of the file, where it was read before the step failed."""

    def __post_init__(self) -> None:
        require(self.stage in STAGES[1:], f"unknown stage {self.stage!r}; known: {', '.join(STAGES[1:])}")
        require(self.reason, f"a failure needs a reason; stage {self.stage!r} gives {self.reason!r}")


ClipOutcome: TypeAlias = ClipDone | ClipFailed

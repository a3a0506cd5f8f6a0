"""Requests and answers of a scan: facts about a source, its hash, and the frames of its parts."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.frames.container import Window
from pipeline.frames.cuts import ShotConfig
from pipeline.frames.remarks import Remarks
from pipeline.frames.shot_changes import GradualChange
from pipeline.types import ClipFailed, Doubles, Note

WHOLE = Window(-math.inf, math.inf)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Answer of a pass that continues.

    Attributes:
        seconds: Time of the last frame.
    """

    seconds: float


@dataclass(frozen=True)
class BrokenOff(ClipFailed):
    """Failure of a job in its middle: a decoder that died, took too long or had too little memory."""


@dataclass(frozen=True, kw_only=True)
class OutlineJob:
    """Request for facts about a source before its scan.

    Attributes:
        path: A video, or a directory of images.
        inside: Directory that links to images must not leave; None for the directory of images itself.
    """

    path: Path
    inside: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Outline:
    """Facts about a source before its scan.

    Attributes:
        seconds: Length that a video announces; 0 if it announces none, and for a directory.
        frame_rate: Frames per second that a video announces; 0 for a directory.
        can_jump: Whether a pass may begin in the middle.
        images: Names of a directory's images with a readable header; empty for a video.
        size: Width and height of the first image; zeros for a video.
        notes: Notes on a directory.
    """

    seconds: float = 0.0
    frame_rate: float = 0.0
    can_jump: bool = False
    images: tuple[str, ...] = ()
    size: tuple[int, int] = (0, 0)
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, kw_only=True)
class HashJob:
    """Request for the size and the hash of a source's files.

    Attributes:
        path: A video, or a directory of images.
        inside: As in `OutlineJob`.
    """

    path: Path
    inside: Path | None = None


@dataclass(frozen=True, kw_only=True)
class ScanJob:
    """Request for the scan of a video, or of a part of it.

    Attributes:
        path: The video.
        whole: All of the scan.
        part: The requested part of it.
        cuts: Settings of the search for cuts; None for no search.
        jump: Whether the pass may seek. If not, it reads the file from its start.
        begin: Time at or before which the pass decodes its first frame; frames before the part then do not
            serve the search for cuts. None for a margin before the part, or for the start of the file if the
            pass may not seek.
        reads_after: Whether frames after the part serve the search for cuts.
    """

    path: Path
    whole: Window = WHOLE
    part: Window = WHOLE
    cuts: ShotConfig | None = None
    jump: bool = False
    begin: float | None = None
    reads_after: bool = True

    @property
    def is_first(self) -> bool:
        """Whether the scan begins with this part."""
        return self.part.start == self.whole.start

    @property
    def is_last(self) -> bool:
        """Whether the scan ends with this part."""
        return self.part.end == self.whole.end


@dataclass(frozen=True, kw_only=True)
class ScannedPart:
    """Frames of a part of a video, without pixels.

    Attributes:
        seconds_N: Time of every frame.
        keys: Numbers of key frames, counted from the first frame of the part.
        hard: Hard cuts, counted likewise. Those of the margins have numbers below 0 or after the last frame.
        gradual: Gradual changes, likewise.
        end_seconds: End of the last frame.
        size: Width and height of the first frame, upright; zeros if there is none.
        stored_sizes: Widths and heights of the stored frames.
        codec_ratios: Aspect ratios of pixels that the codec states.
        frame_rate: Frames per second that the file states.
        has_sound: Whether the file has an audio stream.
        remarks: Counter of unusual packets and frames.
        num_jumps: Number of times that time stamps went back.
        notes: Notes on missing frames, a window that ends after the file, and further streams.
        nearest: Start of the last frame before the part and of the first after it, in seconds; infinite
            if there is none.
        file_end: End of the file, in seconds.
        is_still: Whether the file is a still image.
        follows_gap: Whether frames before the part may be missing, because a decoder broke off there.
    """

    seconds_N: Doubles
    keys: tuple[int, ...]
    hard: tuple[int, ...]
    gradual: tuple[GradualChange, ...]
    end_seconds: float
    size: tuple[int, int]
    stored_sizes: frozenset[tuple[int, int]]
    codec_ratios: frozenset[Any]
    frame_rate: float
    has_sound: bool
    remarks: Remarks
    num_jumps: int
    notes: tuple[Note, ...]
    nearest: tuple[float, float]
    file_end: float
    is_still: bool
    follows_gap: bool = False

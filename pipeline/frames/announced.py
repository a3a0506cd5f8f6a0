"""Announced length of a video, compared with the decoded length.

A file that was cut in the middle, by a broken download or a full disk, still announces its whole
length. FFmpeg reads the rest and reports no error for some containers, such as Matroska.
"""

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from pipeline.frames.clock import FileClock, RunningClock
from pipeline.frames.container import Packets, Window, open_video
from pipeline.types import Note, NoteKind

TOLERATED_STEPS = 1.5
"""Tolerance for the end of a video before its announced end, in multiples of its longest step between frames.
The length of the last frame is not always stored (one step), and Matroska and FLV round times (less than half
a step)."""

_DURATION_TAG = re.compile(r"([0-9]{1,6}):([0-9]{2}):([0-9]{2}(?:\.[0-9]{1,9})?)")


@dataclass(frozen=True, kw_only=True)
class Announced:
    """End of a video by its container.

    Attributes:
        end: The end, in seconds from the start of the file.
        is_of_file: Whether it is the end of the longest of several streams.
    """

    end: float
    is_of_file: bool = False


def announced(container: Any, stream: Any, clock: FileClock) -> Announced | None:
    """Return the announced end of the video stream; None if the container stores none.

    MPEG-TS, MPEG-PS, Ogg and raw streams store none, and FFmpeg reports none for a cut ASF file.

    Args:
        container: PyAV container.
        stream: Its video stream.
        clock: Clock of the stream.
    """
    name, start = container.format.name, clock.stream_start
    if name in ("ivf", "mov,mp4,m4a,3gp,3g2,mj2") and stream.duration:
        return Announced(end=clock.of_stream(start + stream.duration * clock.tick))
    if name == "avi" and stream.frames:  # one tick a frame; FFmpeg cuts the duration to the file's size
        return Announced(end=clock.of_stream(start + stream.frames * clock.tick))
    if name not in ("matroska,webm", "flv") or not container.duration:
        return None
    end = Fraction(container.duration, av.time_base)
    tag = _DURATION_TAG.fullmatch(stream.metadata.get("DURATION", ""))
    if tag is not None:
        hours, minutes, seconds = tag.groups()
        end = min(end, 3600 * int(hours) + 60 * int(minutes) + Fraction(seconds))
    is_of_file = tag is None and len(container.streams) > 1
    return Announced(end=clock.of_stream(end), is_of_file=is_of_file)


def note_missing(packets: Packets, window: Window, running: RunningClock, first: float) -> list[Note]:
    """Return notes if a video contains less than it announces, at its end or at its start.

    A start without a key frame is no damage, because clips that were cut by stream copy have it.

    Args:
        packets: Packets of the file, read to the end of the file or of the window.
        window: The decoded part of the file.
        running: The clock after the last frame.
        first: Time of the first frame, in seconds; infinite if none decodes.
    """
    notes, tolerance = [], TOLERATED_STEPS * running.largest_step
    start = max(packets.clock.of_stream(packets.clock.stream_start), window.start)
    if start + tolerance < first < math.inf:
        notes.append(Note(NoteKind.OTHER, f"the first {first - start:.2f} s hold no frame that decodes"))
    length = announced(packets.container, packets.stream, packets.clock)
    if length is None:
        return notes
    end = min(length.end, window.end)
    if end <= start or running.end >= end - tolerance:
        return notes
    if length.is_of_file and _last_second(packets.path) >= length.end - tolerance:
        return notes  # another stream, such as the sound, is longer than the video
    there = max(running.end - max(first, start), 0.0)
    return [*notes, Note(NoteKind.DAMAGE, f"{there:.2f} s of the announced {end - start:.2f} s decode")]


def _last_second(path: Path) -> float:
    """Return when the last packet of any stream ends, in seconds from the start of the file."""
    container, stream = open_video(path)
    end = -math.inf
    with container:
        clock = FileClock(container, stream)
        try:
            for packet in container.demux():
                if packet.pts is not None:
                    ticks = packet.pts + (packet.duration or 0)
                    tick = Fraction(packet.time_base.numerator, packet.time_base.denominator)
                    end = max(end, clock.of_stream(ticks * tick))
        except av.error.FFmpegError:
            pass  # the rest after the damage cannot be read
    return end

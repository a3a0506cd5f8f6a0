"""Notes and errors on a clip's window that ends after the file or contains no frame."""

import math
from fractions import Fraction

import av

from pipeline.errors import ClipError
from pipeline.frames.announced import TOLERATED_STEPS, announced
from pipeline.frames.clock import RunningClock
from pipeline.frames.container import Packets, Window
from pipeline.types import EMPTY_WINDOW, WINDOW_BEYOND_END, Note, NoteKind

_ROUNDING_SECONDS = 0.5
"""Tolerance for an end after the end of the file, because lists round times to whole seconds. Milliseconds or
frame numbers are at least 10 times the seconds."""


def file_end(packets: Packets, running: RunningClock) -> float:
    """Return the end of the file, in seconds from its start, by its frames, its video or its longest stream.

    If a file announces more than it contains, the announced end counts, because a window within it is valid.
    """
    ends, container = [running.end], packets.container
    length = announced(container, packets.stream, packets.clock)
    if length is not None:
        ends.append(length.end)
    if container.duration:
        end = Fraction((container.start_time or 0) + container.duration, av.time_base)
        ends.append(packets.clock.of_stream(end))
    return max(ends)


def note_beyond_end(packets: Packets, window: Window, running: RunningClock) -> list[Note]:
    """Return a note if the window ends clearly after the file, because its times may not be in seconds.

    Args:
        packets: Packets of the file, read to the end of the file or of the window.
        window: The decoded part of the file.
        running: The clock after the last frame.
    """
    tolerance = max(TOLERATED_STEPS * running.largest_step, _ROUNDING_SECONDS)
    if window.end == math.inf or window.end <= running.end + tolerance:
        return []
    end = file_end(packets, running)
    if window.end <= end + tolerance:
        return []
    text = f"end_seconds is {window.end:g}, and the file ends at {end:.2f} s; {WINDOW_BEYOND_END}"
    return [Note(NoteKind.WINDOW, text)]


def require_frames(
    num_frames: int, window: Window, end: float, nearest: tuple[float, float], damage: str
) -> None:
    """Raise ClipError (stage ``decode``) for a window without frames.

    Args:
        num_frames: Decoded frames of the window.
        window: The part of the file.
        end: End of the file, in seconds.
        nearest: Start of the last frame before the window and of the first after it, in seconds; infinite if
            there is none.
        damage: Damage of the file in words; empty if there is none.
    """
    if num_frames:
        return
    if window.start >= end:
        reason = f"no frame begins{window}, and the file ends at {end:.2f} s; {WINDOW_BEYOND_END}"
        raise ClipError("decode", f"{reason}; {damage}" if damage else reason)
    begins = [f"{seconds:.2f} s" for seconds in nearest if math.isfinite(seconds)]
    if damage or not begins:
        raise ClipError("decode", f"no frame decodes{window}" + (f"; {damage}" if damage else ""))
    frames = "frames begin" if len(begins) > 1 else "frame begins"
    raise ClipError(
        "decode",
        f"no frame begins{window}; the nearest {frames} at {' and '.join(begins)}; {EMPTY_WINDOW}",
    )

"""Scan of a part of a video in which a decoder dies, hangs or lacks memory: the frames around the place.

The frames up to the last one that the decoder has reported are scanned again, and the scan continues at a
later key frame: by the file's index, or without one after packets that are read and not decoded. The time
between has no frames, and a note. Scans of whole parts do not depend on it.
"""

import math
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, replace

from pipeline.errors import ClipError
from pipeline.frames.container import Window
from pipeline.frames.requests import PartDecoder
from pipeline.frames.scan_jobs import Progress, ScanJob, ScannedPart
from pipeline.types import ClipFailed, Note, NoteKind

_MOST_ATTEMPTS = 12
"""Failed attempts after which a file is given up; each may take as long as a hang is waited for."""
_FIRST_STEP_SECONDS = 1.0
"""Time after the place at which the next key frame is looked for first; then twice as much, and so on."""


@dataclass(frozen=True, kw_only=True)
class Gap:
    """A time without frames, in seconds from `start` to `end` (perhaps infinite), and the reason."""

    start: float
    end: float
    reason: str


def notes_of(gaps: Iterable[Gap]) -> list[Note]:
    """Return a note per gap; gaps that follow one another for the same reason are one."""
    joined: list[Gap] = []
    for gap in gaps:
        if joined and (joined[-1].end, joined[-1].reason) == (gap.start, gap.reason):
            joined[-1] = replace(joined[-1], end=gap.end)
        else:
            joined.append(gap)
    notes = []
    for gap in joined:
        until = f"{gap.end:.2f} s" if math.isfinite(gap.end) else "the end"
        text = f"no frames from {max(gap.start, 0.0):.2f} s to {until}: {gap.reason}"
        notes.append(Note(NoteKind.DAMAGE, text))
    return notes


@dataclass(frozen=True, kw_only=True)
class Recovered:
    """Frames of a part that broke off.

    Attributes:
        parts: The scanned parts, in order of time; none if no frame can be reached.
        gaps: The times between them without frames, rising.
        lost_end: Whether the end of the part has no frames.
    """

    parts: tuple[ScannedPart, ...]
    gaps: tuple[Gap, ...]
    lost_end: bool


@dataclass(frozen=True, kw_only=True)
class _Attempt:
    """Result of one pass: the part or the failure, and the time of the last frame that was reported."""

    part: ScannedPart | None
    failure: ClipFailed | None
    last: float


def recover(
    decoder: PartDecoder, job: ScanJob, end_seconds: float, on_progress: Callable[[float], None]
) -> Recovered:
    """Scan what can be reached of a part that broke off.

    Frames around the part do not serve the search for cuts: one at its very edge is not found.

    Args:
        decoder: Decoding processes.
        job: The part.
        end_seconds: Length that the video announces; 0 if it announces none.
        on_progress: Function that is called with the time of a frame.

    Raises:
        ClipError: Decoders fail at too many places; names the last one. Without an announced length, frames
            before the last one are kept.
    """
    end = job.part.end if math.isfinite(job.part.end) else (end_seconds or math.inf)
    start = job.part.start
    begin = start if job.jump else -math.inf
    parts: list[ScannedPart] = []
    gaps: list[Gap] = []
    reason, step, is_lost = "", _FIRST_STEP_SECONDS, False
    for _ in range(_MOST_ATTEMPTS):
        attempt = _attempt(decoder, job, Window(start, job.part.end), begin, on_progress)
        part = attempt.part
        if part is None and attempt.last > max(begin, start):
            part = _attempt(decoder, job, Window(start, attempt.last), begin, on_progress).part
        if part is not None and (len(part.seconds_N) or not is_lost):
            if is_lost:
                gaps.append(Gap(start=start, end=float(part.seconds_N[0]), reason=reason))
            parts.append(replace(part, follows_gap=is_lost))
            is_lost = False
        if attempt.failure is None:
            break
        if not is_lost:
            start = start if part is None else attempt.last
            reason, step, is_lost = attempt.failure.reason, _FIRST_STEP_SECONDS, True
        begin, step = max(start, 0.0) + step, 2 * step
        if begin >= end:
            break
    else:
        if not (parts and is_lost and end == math.inf):  # else there may be no later frames
            raise ClipError("decode", f"{reason}, at several places up to {max(start, 0.0):.2f} s")
    if is_lost:
        gaps.append(Gap(start=start, end=end, reason=reason))
    return Recovered(parts=tuple(parts), gaps=tuple(gaps), lost_end=is_lost)


def _attempt(
    decoder: PartDecoder, job: ScanJob, part: Window, begin: float, on_progress: Callable[[float], None]
) -> _Attempt:
    """Scan a window without frames around it."""
    last = -math.inf
    with closing(decoder.parts(replace(job, part=part, begin=begin, reads_after=False))) as stream:
        for answer in stream:
            if isinstance(answer, Progress):
                last = answer.seconds
                on_progress(last)
            elif isinstance(answer, ScannedPart):
                return _Attempt(part=answer, failure=None, last=last)
            elif isinstance(answer, ClipFailed):
                return _Attempt(part=None, failure=answer, last=last)
    failure = ClipFailed(stage="decode", reason=f"no key frame is found before {begin:.2f} s")
    return _Attempt(part=None, failure=failure, last=last)

"""Scan of a source: the time of every frame, key frames and cuts, in one decoding pass that keeps no pixels.

A long video is scanned in parts by several decoding processes at once. Times are those of the file, and the
changes of shot that are found in a part depend on few frames around each. Therefore the parts, joined, equal
a scan of the whole video at once.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np

from pipeline.errors import ClipError
from pipeline.frames.container import Window
from pipeline.frames.cuts import ShotConfig
from pipeline.frames.remarks import Remarks
from pipeline.frames.requests import InlineDecoder, PartDecoder, PartStream
from pipeline.frames.scan_jobs import BrokenOff, HashJob, Outline, OutlineJob, Progress, ScanJob, ScannedPart
from pipeline.frames.scan_recovery import Gap, notes_of, recover
from pipeline.frames.shot_changes import GradualChange, merged_changes
from pipeline.frames.windows import require_frames
from pipeline.types import ClipFailed, Note, NoteKind, SourceFile, SourceScan

T = TypeVar("T")

LEAST_PART_SECONDS = 20.0
"""Length of the shortest part of a video that is scanned on its own."""
_PARTS_PER_CHILD = 4
"""Parts of a long video for each decoding process, so that all of them end at about the same time."""


def scan_source(
    path: Path,
    *,
    cuts: ShotConfig | None,
    start_seconds: float | None = None,
    end_seconds: float | None = None,
    rate: float | None = None,
    inside: Path | None = None,
    decoder: PartDecoder | None = None,
    on_progress: Callable[[float], None] | None = None,
    part_seconds: float | None = None,
) -> SourceScan:
    """Scan a video, a part of it, or a directory of images.

    Frames are numbered from the first one of the scanned part. Cuts of a directory are not searched, and only
    the headers of its images are read.

    Args:
        path: A video, or a directory of images.
        cuts: Settings of the search for cuts; None, or ``search="none"``, for no search.
        start_seconds: Start of the part from the start of the file, as a player shows it; None for the start.
        end_seconds: End of the part; None for the end of the file.
        rate: Images per second of a directory; None if they have no times.
        inside: Directory that links to images must not leave; None for the directory of images itself.
        decoder: Decoding processes; None to decode in this thread.
        on_progress: Function that is called with the seconds of video that are scanned.
        part_seconds: Length of the parts of a video; None for a length that suits the number of processes.

    Raises:
        ClipError: (stage ``open`` or ``decode``) It is neither a video nor a directory of images, has no
            frames, or has too many pixels.
    """
    decoder = InlineDecoder() if decoder is None else decoder
    whole = Window(start_seconds or -math.inf, math.inf if end_seconds is None else end_seconds)
    outline = _outline(decoder, OutlineJob(path=path, inside=inside))
    if outline.images:
        if whole != Window(-math.inf, math.inf):
            raise ClipError("open", "start_seconds or end_seconds with a directory of images; leave them out")
        source = _only(decoder.parts(HashJob(path=path, inside=inside)), SourceFile)
        return _scan_of_images(outline, rate, source)
    job = ScanJob(path=path, whole=whole, part=whole, cuts=cuts, jump=outline.can_jump)
    edges = _edges(outline, whole, decoder.num_children, part_seconds)
    with closing(decoder.parts(HashJob(path=path))) as hashing:
        parts, notes = _scanned_parts(decoder, job, edges, outline, on_progress or (lambda _: None))
        source = _only(hashing, SourceFile)
    searched = cuts is not None and cuts.search != "none"
    return joined(parts, whole, outline, source, searched=searched, notes=notes)


def outline_source(path: Path, decoder: PartDecoder) -> Outline:
    """Return what a source announces, without reading its frames.

    Raises ClipError (stage ``open`` or ``decode``) if it is neither a video nor a directory of images.
    """
    return _outline(decoder, OutlineJob(path=path))


def _outline(decoder: PartDecoder, job: OutlineJob) -> Outline:
    """Return facts about a source; none if the decoder breaks off in the middle of a video."""
    with closing(decoder.parts(job)) as stream:
        answer = next(iter(stream))
    return Outline() if isinstance(answer, BrokenOff) else _required(answer, Outline)


def _scan_of_images(outline: Outline, rate: float | None, source: SourceFile) -> SourceScan:
    count, (width, height) = len(outline.images), outline.size
    return SourceScan(
        seconds_N=np.arange(count) / rate if rate else np.full(count, np.nan),
        end_seconds=count / rate if rate else math.nan,
        cuts=None,
        keys=tuple(range(count)),
        height_px=height,
        width_px=width,
        frame_rate=rate or 0.0,
        can_jump=True,
        has_sound=False,
        source=source,
        images=outline.images,
        notes=outline.notes,
    )


def _edges(outline: Outline, whole: Window, num_children: int, part_seconds: float | None) -> list[float]:
    """Return the times between the parts of a scan, rising."""
    start, end = max(whole.start, 0.0), min(whole.end, outline.seconds)
    if not outline.can_jump or (part_seconds is None and num_children < 2):
        return []
    if part_seconds is None:
        part_seconds = max(LEAST_PART_SECONDS, (end - start) / (_PARTS_PER_CHILD * num_children))
    count = math.ceil((end - start) / part_seconds)
    return [start + n * part_seconds for n in range(1, count)]


def _scanned_parts(
    decoder: PartDecoder,
    job: ScanJob,
    edges: Sequence[float],
    outline: Outline,
    on_progress: Callable[[float], None],
) -> tuple[list[ScannedPart], list[Note]]:
    """Scan the parts between the edges, or all at once if its parts would not equal it.

    Where a decoder breaks off, frames are left out, with a note.
    """
    windows = [Window(*pair) for pair in pairwise([job.whole.start, *edges, job.whole.end])]
    jobs = [replace(job, part=window) for window in windows]
    streams = [decoder.parts(one) for one in jobs]
    scanned: list[ScannedPart] = []
    gaps: list[Gap] = []
    follows_gap = False

    def on_time(seconds: float) -> None:
        on_progress(seconds - max(job.whole.start, 0.0))

    failure: BrokenOff | None = None
    try:
        for one, stream in zip(jobs, streams, strict=True):
            for answer in stream:
                if isinstance(answer, Progress):
                    on_time(answer.seconds)
                elif isinstance(answer, BrokenOff):
                    failure = failure or answer
                    found = recover(decoder, one, outline.seconds, on_time)
                    for part in found.parts:
                        scanned.append(replace(part, follows_gap=part.follows_gap or follows_gap))
                        follows_gap = False
                    gaps += found.gaps
                    follows_gap = follows_gap or found.lost_end
                else:
                    part = _required(answer, ScannedPart)
                    scanned.append(replace(part, follows_gap=follows_gap))
                    follows_gap = False
    finally:
        for stream in streams:
            stream.close()
    if failure is not None and not any(len(part.seconds_N) for part in scanned):
        raise ClipError(failure.stage, failure.reason)
    if len(jobs) > 1 and not can_be_joined(scanned, searched=job.cuts is not None):
        return _scanned_parts(decoder, replace(job, jump=False), (), outline, on_progress)
    return scanned, notes_of(gaps)


def can_be_joined(parts: Sequence[ScannedPart], *, searched: bool) -> bool:
    """Return whether times only rise, and small pictures for the search are of one size."""
    sizes = frozenset[tuple[int, int]]().union(*(part.stored_sizes for part in parts))
    is_timed = not any(part.num_jumps or part.remarks.num_untimed for part in parts)
    return is_timed and not (searched and len(sizes) > 1)


def joined(
    parts: Sequence[ScannedPart],
    whole: Window,
    outline: Outline,
    source: SourceFile,
    *,
    searched: bool,
    notes: Sequence[Note] = (),
) -> SourceScan:
    """Return the scan that consists of parts.

    Args:
        parts: The parts, in order of time.
        whole: The scanned part of the file.
        outline: Facts about the file.
        source: Its size and hash.
        searched: Whether cuts were searched.
        notes: Notes on frames that are left out.

    Raises:
        ClipError: (stage ``decode``) It has no frame, or is a still image.
    """
    begins = np.cumsum([0, *(len(part.seconds_N) for part in parts)]).tolist()
    remarks = Remarks()
    for part in parts:
        remarks.merge(part.remarks)
    num_jumps = sum(part.num_jumps for part in parts)
    notes = [*notes, *remarks.notes(num_jumps), *(note for part in parts for note in part.notes)]
    damage = "; ".join(note.text for note in notes if note.kind is NoteKind.DAMAGE)
    first, last = parts[0], parts[-1]
    nearest = (first.nearest[0], last.nearest[1])
    require_frames(begins[-1], whole, max(part.file_end for part in parts), nearest, damage)
    if last.is_still:
        raise ClipError("decode", "a still image, not a video: it has one frame")
    width, height = next(part.size for part in parts if len(part.seconds_N))
    ratios = frozenset[object]().union(*(part.codec_ratios for part in parts))
    return SourceScan(
        seconds_N=np.concatenate([part.seconds_N for part in parts]),
        end_seconds=max(part.end_seconds for part in parts if len(part.seconds_N)),
        cuts=_joined_cuts(parts, begins) if searched else None,
        keys=tuple(begin + key for part, begin in zip(parts, begins, strict=False) for key in part.keys),
        height_px=height,
        width_px=width,
        frame_rate=first.frame_rate,
        can_jump=outline.can_jump and not num_jumps and not remarks.num_untimed and len(ratios) == 1,
        has_sound=first.has_sound,
        source=source,
        notes=tuple(notes),
        gaps=_gaps(parts, begins),
    )


def _gaps(parts: Sequence[ScannedPart], begins: Sequence[int]) -> tuple[int, ...]:
    """Return the first frames of the parts that follow a gap."""
    pairs = zip(parts, begins, strict=False)
    return tuple(sorted({begin for part, begin in pairs if part.follows_gap and 0 < begin < begins[-1]}))


def _joined_cuts(parts: Sequence[ScannedPart], begins: Sequence[int]) -> tuple[int, ...]:
    """Return the cuts of all parts. Changes in the margins of the whole decide about close ones in it."""
    hard: list[int] = []
    gradual: list[GradualChange] = []
    for place, (part, begin) in enumerate(zip(parts, begins, strict=False)):
        low = -math.inf if place == 0 else 0
        high = math.inf if place == len(parts) - 1 else len(part.seconds_N)
        hard += [begin + number for number in part.hard if low <= number < high]
        gradual += [change.moved(begin) for change in part.gradual if low <= change.frame < high]
    return tuple(cut for cut in merged_changes(hard, gradual) if 0 < cut < begins[-1])


def _only(stream: PartStream, kind: type[T]) -> T:
    """Return the only answer of a stream. Raises ClipError if the job failed."""
    with closing(stream):
        return [_required(answer, kind) for answer in stream][0]


def _required(answer: object, kind: type[T]) -> T:
    """Return an answer of this kind. Raises ClipError if the job failed."""
    if isinstance(answer, ClipFailed):
        raise ClipError(answer.stage, answer.reason)
    assert isinstance(answer, kind), f"an answer of kind {kind.__name__} is expected, not {answer!r}"
    return answer

"""Scan of a part of a video in one decoding pass: times, key frames and changes of shot, without pixels.

A part is a range of times. Its pass begins at a key frame before the part, with a margin whose frames only
serve the search for cuts: at least as many as a decision at the part's edge depends on.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.errors import ClipError
from pipeline.frames.announced import announced, note_missing
from pipeline.frames.aspects import Aspects
from pipeline.frames.clock import FileClock, frame_rate
from pipeline.frames.container import Window, can_jump, open_video, videos_of
from pipeline.frames.cuts import MARGIN_SECONDS, CutFinder
from pipeline.frames.decode import may_be_picture
from pipeline.frames.folder import named_images, note_images
from pipeline.frames.frame_buffer import Pictures
from pipeline.frames.frame_pass import FramePass, JumpedTooFarError, earlier_begins
from pipeline.frames.remarks import note_streams
from pipeline.frames.scan_jobs import Outline, OutlineJob, Progress, ScanJob, ScannedPart
from pipeline.frames.windows import file_end, note_beyond_end
from pipeline.pictures import PictureFolder, shown
from pipeline.types import Note

PROGRESS_FRAMES = 25
"""Decoded frames between two answers of a scan, which show that it continues, and up to where."""

_TRIED_EARLIER = (0.0, 2.0, 10.0)
"""Seconds before the middle of a video at which a jump is tried: it may end after a time by chance."""


def outline(job: OutlineJob) -> Outline:
    """Return facts about a source before its scan.

    Raises ClipError (stage ``open`` or ``decode``) if it is neither a video nor a directory of images.
    """
    if job.path.is_dir():
        folder = PictureFolder.at(job.path, job.inside)
        _, sizes = named_images(folder)
        if not sizes:
            count = len(folder.names)
            raise ClipError("decode", f"no image of {count} decodes ({shown(folder.names)})")
        notes = tuple(note_images(folder, tuple(sizes)))
        return Outline(images=tuple(sizes), size=next(iter(sizes.values())), notes=notes)
    container, stream = open_video(job.path)
    with container:
        length = announced(container, stream, FileClock(container, stream))
        rate = float(frame_rate(stream))
    if length is None or not 0 < length.end < math.inf:
        return Outline(frame_rate=rate)
    tried = [length.end / 2 - earlier for earlier in _TRIED_EARLIER]
    lands = any(can_jump(job.path, Window(start, math.inf)) for start in tried)
    return Outline(seconds=length.end, frame_rate=rate, can_jump=lands)


def scan_part(job: ScanJob) -> Iterator[Progress | ScannedPart]:
    """Scan a part of a video; yield progress, and at last the frames of the part.

    Raises ClipError (stage ``open`` or ``decode``) if it is not a video, or has too many pixels.
    """
    margin = MARGIN_SECONDS if job.cuts is not None else 0.0
    begins = earlier_begins(job.part.start, margin) if job.jump else iter([-math.inf])
    if job.begin is not None:
        begins = iter([job.begin])
    for begin in begins:
        try:
            with FramePass(job.path, begin, seeks=job.jump) as frames:
                yield from _PartScan(job, frames, begin).run()
        except JumpedTooFarError:
            continue
        return


class _PartScan:
    """State of one pass.

    Args:
        job: The request.
        frames: The pass.
        begin: Time at or before which it begins; minus infinity for the start of the file.
    """

    def __init__(self, job: ScanJob, frames: FramePass, begin: float) -> None:
        self._job, self._frames, self._begin = job, frames, begin
        self._rate = float(frame_rate(frames.stream))
        self._finder: CutFinder | None = None
        if job.cuts is not None and job.cuts.search != "none":
            self._finder = CutFinder(job.cuts, self._rate)
        self._aspects = Aspects(frames.stream)
        self._pictures = Pictures(1, self._aspects.of)
        self._seconds: list[float] = []
        self._keys: list[int] = []
        self._stored: set[tuple[int, int]] = set()
        self._num_decoded = self._num_margin = 0
        self._first, self._before = math.inf, -math.inf

    def run(self) -> Iterator[Progress | ScannedPart]:
        """Scan; yield progress, and at last the frames. Raises JumpedTooFarError if the margin is short."""
        part, decoded = self._job.part, iter(self._frames)
        beyond: tuple[float, Any] | None = None
        for seconds, frame in decoded:
            self._num_decoded += 1
            if self._num_decoded % PROGRESS_FRAMES == 0:
                yield Progress(seconds=seconds)
            self._first = min(self._first, seconds)
            if seconds >= part.end:
                beyond = seconds, frame
                break
            if seconds < part.start:
                self._add_before(seconds, frame)
            else:
                self._add(seconds, frame)
        scanned = self._scanned(math.inf if beyond is None else beyond[0])
        if self._finder is not None:
            if beyond is not None and self._job.reads_after:
                self._add_after(self._finder, beyond[1], decoded)
            hard, gradual = self._finder.changes()
            scanned = replace(
                scanned,
                hard=tuple(number - self._num_margin for number in hard),
                gradual=tuple(change.moved(-self._num_margin) for change in gradual),
            )
        yield scanned

    def _add_before(self, seconds: float, frame: Any) -> None:
        """Add a frame before the part."""
        self._before = seconds
        if self._finder is not None and self._job.begin is None and seconds >= self._begin:
            self._finder.add(frame)
            self._num_margin += 1

    def _add(self, seconds: float, frame: Any) -> None:
        """Add a frame of the part."""
        if not self._seconds:
            self._require_margin()
            if not self._job.is_first:
                self._frames.remarks.num_errors = 0  # of the frames before, which the part before counts
        self._aspects.see(frame)
        self._frames.remarks.add(frame)
        if not self._seconds:
            self._pictures.set_size_of(frame)
        self._stored.add((frame.width, frame.height))
        last = self._seconds[-1] if self._seconds else self._before
        if seconds > last and self._frames.is_key(frame):
            self._keys.append(len(self._seconds))
        if self._finder is not None:
            self._finder.add(frame)
        self._seconds.append(seconds)

    def _require_margin(self) -> None:
        if self._job.begin is not None:
            return
        if self._finder is not None and self._begin > -math.inf and self._num_margin < self._finder.reach:
            raise JumpedTooFarError

    def _add_after(self, finder: CutFinder, frame: Any, decoded: Iterator[tuple[float, Any]]) -> None:
        """Add the frames of the margin after the part, from its first frame on."""
        remarks = self._frames.remarks
        num_errors, num_added = remarks.num_errors, 1
        finder.add(frame)
        for seconds, later in decoded:
            if seconds >= self._job.part.end + MARGIN_SECONDS and num_added >= finder.reach:
                break
            finder.add(later)
            num_added += 1
        remarks.num_errors = num_errors

    def _scanned(self, after: float) -> ScannedPart:
        """Return the frames of the part without its cuts.

        Args:
            after: Time of the first frame after the part; infinite if there is none.
        """
        packets, running = self._frames.packets, self._frames.running
        return ScannedPart(
            seconds_N=np.array(self._seconds, dtype=np.float64),
            keys=tuple(self._keys),
            hard=(),
            gradual=(),
            end_seconds=running.end if after == math.inf else after,
            size=self._pictures.size,
            stored_sizes=frozenset(self._stored),
            codec_ratios=frozenset(self._aspects.codec_ratios),
            frame_rate=self._rate,
            has_sound=bool(packets.container.streams.audio),
            remarks=self._frames.remarks,
            num_jumps=running.num_jumps,
            notes=tuple(self._notes(after)),
            nearest=(self._before, after),
            file_end=file_end(packets, running),
            is_still=self._num_decoded == 1 and may_be_picture(packets.container),
        )

    def _notes(self, after: float) -> list[Note]:
        """Return notes on missing frames and on the window, of the first and of the last part."""
        job, packets, running = self._job, self._frames.packets, self._frames.running
        notes: list[Note] = []
        if job.is_last:
            first = self._first if job.is_first else -math.inf
            notes += note_missing(packets, job.whole, running, first)
            notes += note_beyond_end(packets, job.whole, running)
            notes += note_streams(videos_of(packets.container))
        elif job.is_first and after < math.inf:
            notes += note_missing(packets, job.part, running, self._first)
        return notes

"""Wanted frames of a scanned source, in order, decoded by several processes and with bounded memory.

A video is cut into segments at key frames. Processes decode some segments ahead, and the frames of each wait
within a limit of bytes of its own, because a segment may have to wait for the one before it.
"""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from pipeline.cancel import CancelToken
from pipeline.frames.requests import PartDecoder, PartStream
from pipeline.frames.segment import ImagesJob, SegmentJob
from pipeline.types import ClipFailed, SourceScan, StreamedFrame

SEGMENT_SECONDS = 5.0
"""Least length of a segment, which ends before a key frame."""
STREAM_BYTES = 512 << 20
_IMAGES_PER_SEGMENT = 64


def stream_frames(
    path: Path,
    scan: SourceScan,
    wanted_numbers: Sequence[int],
    decoder: PartDecoder,
    *,
    waiting_bytes: int = STREAM_BYTES,
    cancel: CancelToken | None = None,
) -> Generator[StreamedFrame, None, None]:
    """Yield the wanted frames of a source in order, each once.

    The pixels are those that `decode_clip` gives, of the size of the first scanned frame. A frame that does
    not decode, or whose time differs from the scan, has no pixels and a reason; so has the rest of its
    segment, and later segments are decoded all the same. Close the generator if it is left early. A second
    stream of the same decoder, read by the same thread, may wait without an end while the first one is open.

    Args:
        path: The source.
        scan: Its scan.
        wanted_numbers: Numbers of the wanted frames, rising.
        decoder: Decoding processes, or `InlineDecoder`.
        waiting_bytes: Most bytes of pixels that wait for the caller, in all segments together. A larger frame
            waits alone in its segment.
        cancel: Ends the stream early; checked at every answer of a decoder, also between wanted frames.

    Raises:
        TaskCancelledError: `cancel` is cancelled.
        PoolClosedError: The decoder is closed.
        ValueError: The numbers do not rise, or are not those of scanned frames.
    """
    wanted = [int(number) for number in wanted_numbers]
    if any(two <= one for one, two in zip(wanted, wanted[1:], strict=False)):
        msg = "wanted_numbers do not rise"
        raise ValueError(msg)
    if wanted and not 0 <= wanted[0] <= wanted[-1] < scan.num_frames:
        allowed = f"0 to {scan.num_frames - 1}"
        msg = f"wanted_numbers are {wanted[0]} to {wanted[-1]}; frames of the scan: {allowed}"
        raise ValueError(msg)
    jobs = segment_jobs(path, scan, wanted)
    num_ahead = decoder.num_children + 1
    share = waiting_bytes // num_ahead
    begun: deque[tuple[SegmentJob | ImagesJob, PartStream]] = deque()
    try:
        for job in islice(jobs, num_ahead):
            begun.append((job, decoder.parts(job, waiting_bytes=share)))
        while begun:
            job, parts = begun[0]
            yield from _frames_of(job, parts, scan, cancel or CancelToken())
            parts.close()
            begun.popleft()
            for following in islice(jobs, 1):
                begun.append((following, decoder.parts(following, waiting_bytes=share)))
    finally:
        for _, parts in begun:
            parts.close()


def segment_jobs(path: Path, scan: SourceScan, wanted: Sequence[int]) -> Iterator[SegmentJob | ImagesJob]:
    """Yield the segments that contain the wanted frames, in order.

    Args:
        path: The source.
        scan: Its scan.
        wanted: Numbers of the wanted frames, rising.
    """
    size = (scan.width_px, scan.height_px)
    if scan.images:
        for start in range(0, len(wanted), _IMAGES_PER_SEGMENT):
            some = tuple(wanted[start : start + _IMAGES_PER_SEGMENT])
            names = tuple(scan.images[number] for number in some)
            seconds = tuple(float(scan.seconds_N[number]) for number in some)
            yield ImagesJob(path=path, names=names, seconds=seconds, wanted=some, size=size)
        return
    after_gaps = sorted(set(scan.gaps).intersection(scan.keys))
    keys = np.array([0, *(scan.keys if scan.can_jump else after_gaps)])
    edges = np.searchsorted(wanted, _segment_begins(scan)[1:])
    for part in np.split(np.array(wanted, dtype=np.int64), edges):
        if not len(part):
            continue
        first = int(keys[np.searchsorted(keys, part[0], side="right") - 1])
        yield SegmentJob(
            path=path,
            first=first,
            seconds_K=scan.seconds_N[first : part[-1] + 1],
            wanted=tuple(part.tolist()),
            jump=scan.can_jump,
            size=size,
        )


def _segment_begins(scan: SourceScan) -> list[int]:
    """Return the first frames of the segments of a video."""
    begins = [0]
    gaps = set(scan.gaps)
    for key in scan.keys:
        is_far = scan.seconds_N[key] - scan.seconds_N[begins[-1]] >= SEGMENT_SECONDS
        if key in gaps or (scan.can_jump and is_far):
            begins.append(key)
    return begins


def _frames_of(
    job: SegmentJob | ImagesJob, parts: PartStream, scan: SourceScan, cancel: CancelToken
) -> Iterator[StreamedFrame]:
    """Yield the wanted frames of a segment; those that do not come have a reason."""
    reason, left = "the decoder ended before it", deque(job.wanted)
    for answer in parts:
        cancel.raise_if_cancelled()
        if isinstance(answer, StreamedFrame):
            left.popleft()
            yield answer
        elif isinstance(answer, ClipFailed):
            reason = answer.reason
    for number in left:
        yield StreamedFrame(number=number, seconds=float(scan.seconds_N[number]), rgb_HWC=None, reason=reason)

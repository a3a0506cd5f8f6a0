"""Wanted frames of a segment: of a scanned video from a key frame on, or of a directory of images."""

import gc
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from pipeline.errors import ClipError, printable
from pipeline.frames.aspects import Aspects
from pipeline.frames.frame_buffer import FrameConverter
from pipeline.frames.frame_pass import FramePass, JumpedTooFarError, earlier_begins
from pipeline.frames.picture import read_upright
from pipeline.frames.scan_jobs import Progress
from pipeline.types import Bytes, Doubles, StreamedFrame

_PROGRESS_FRAMES = 250
"""Decoded frames between two answers without a wanted frame, which show that a pass continues."""
_YOUNG_FRAMES, _ALL_FRAMES = 8, 64
"""Converted frames after which those are freed that PyAV keeps in cycles with their side data: young ones,
which is cheap in a large process too, and all."""


@dataclass(frozen=True, kw_only=True)
class SegmentJob:
    """Request for frames of a scanned video.

    Attributes:
        path: The video.
        first: Number of the first frame of the segment: a key frame, or 0 for the start of the file.
        seconds_K: Times of the segment's frames by the scan, from the first to the last wanted one.
        wanted: Numbers of the wanted frames, rising.
        jump: Whether the pass may seek. If not, it reads the file from its start up to the first frame.
        size: Width and height of the frames.
    """

    path: Path
    first: int
    seconds_K: Doubles
    wanted: tuple[int, ...]
    jump: bool
    size: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class ImagesJob:
    """Request for images of a scanned directory.

    Attributes:
        path: The directory.
        names: Names of the wanted images.
        seconds: Their times; NaN without a rate.
        wanted: Their numbers, rising.
        size: Width and height of the frames.
    """

    path: Path
    names: tuple[str, ...]
    seconds: tuple[float, ...]
    wanted: tuple[int, ...]
    size: tuple[int, int]


def decode_segment(job: SegmentJob) -> Iterator[StreamedFrame | Progress]:
    """Yield the wanted frames of a segment, in order.

    Raises:
        ClipError: (stage ``open`` or ``decode``) The file does not open, frames have other times than in the
            scan or are missing, or pixels do not convert.
    """
    first = float(job.seconds_K[0])
    for begin in earlier_begins(first) if job.jump else iter([first if job.first else -math.inf]):
        try:
            with FramePass(job.path, begin, seeks=job.jump) as frames:
                yield from _wanted_of(job, frames)
        except JumpedTooFarError:
            continue
        return


def _wanted_of(job: SegmentJob, frames: FramePass) -> Iterator[StreamedFrame | Progress]:
    aspects = Aspects(frames.stream)
    converter = FrameConverter(aspects.of)
    converter.size = job.size
    expected, place, num_decoded, num_converted = job.seconds_K.tolist(), 0, 0, 0
    wanted = set(job.wanted)
    for seconds, frame in frames:
        num_decoded += 1
        if num_decoded % _PROGRESS_FRAMES == 0:
            yield Progress(seconds=seconds)
        aspects.see(frame)
        if place == 0 and seconds < expected[0]:
            continue
        number = job.first + place
        if seconds != expected[place]:
            raise ClipError(
                "decode",
                f"frame {number} decodes at {seconds:.3f} s and was at {expected[place]:.3f} s before; "
                "the file was changed, or is damaged",
            )
        if number in wanted:
            rgb = _pixels(converter, frame)
            yield StreamedFrame(number=number, seconds=seconds, rgb_HWC=rgb)
            del rgb
            num_converted += 1
            if num_converted % _YOUNG_FRAMES == 0:
                gc.collect(1 if num_converted % _ALL_FRAMES else 2)
        place += 1
        if place == len(expected):
            return
    raise ClipError(
        "decode",
        f"frame {job.first + place} does not decode and did before; the file was changed, or is damaged",
    )


def read_images(job: ImagesJob) -> Iterator[StreamedFrame]:
    """Yield the wanted images, in order; one that does not decode has a reason."""
    converter = FrameConverter(lambda _: 1.0)
    converter.size = job.size
    for name, seconds, number in zip(job.names, job.seconds, job.wanted, strict=True):
        try:
            rgb = read_upright(job.path / name)
            reason = None if rgb is not None else f"image '{printable(name)}' does not decode"
        except ClipError as error:
            rgb, reason = None, error.reason
        if rgb is not None:
            rgb = _pixels(converter, av.VideoFrame.from_ndarray(rgb, format="rgb24"))
        yield StreamedFrame(number=number, seconds=seconds, rgb_HWC=rgb, reason=reason)


def _pixels(converter: FrameConverter, frame: Any) -> Bytes:
    width, height = converter.size
    rgb_HWC = np.empty((height, width, 3), dtype=np.uint8)
    converter.write(frame, rgb_HWC)
    return rgb_HWC

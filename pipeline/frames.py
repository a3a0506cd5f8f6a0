"""A clip becomes uniformly spaced, upright RGB frames.

Letters: U sampled frames, each once; V views; T frames per view; H, W picture; n decodable frames.

Indices are spread over the frames that really decode, never over the count that a container
claims: clips cut by stream copy claim more than they hold. One pass usually suffices, with the
number of packets as the guess of n; where the guess was wrong a second pass takes the right frames.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from pipeline.config import require_range
from pipeline.errors import ClipError
from pipeline.types import Bools, Bytes, Frames, Ints

_SEEKABLE = ("mov", "matroska")
"""Containers with an index of key frames, in which a jump to a time is exact."""
_LAST_OF_VIEW_0 = 2


@dataclass(frozen=True, kw_only=True)
class FrameConfig:
    """How many frames are taken of a clip.

    num_frames: T per view. num_views: 1 is the centre of T equal parts; the second view mirrors
    it; further ones move within the parts.
    """

    num_frames: int = 16
    num_views: int = 1

    def __post_init__(self) -> None:
        require_range("frames.num_frames", self.num_frames, 1, 512)
        require_range("frames.num_views", self.num_views, 1, 16)


def view_offset(view: int) -> float:
    """Where in each of the T equal parts a view takes its frame, from 0 to 1.

    The centre for views 0 and 1; then the van der Corput sequence 1/4, 3/4, 1/8, ... so that
    more views leave the earlier ones as they are.
    """
    if view < _LAST_OF_VIEW_0:
        return 0.5
    place, offset, scale = view, 0.0, 0.5
    while place:
        place, digit = divmod(place, 2)
        offset += digit * scale
        scale /= 2
    return offset


def is_mirrored(view: int) -> bool:
    """Whether a view shows the frames mirrored left to right."""
    return view == 1


def sample_indices(num_decoded: int, config: FrameConfig) -> tuple[Ints, Bools]:
    """Which frames each view takes: indices [V, T] into n decoded frames, and their validity.

    With n >= T, frame i of a view lies at floor((i + offset) n / T): rising, no frame twice.
    A shorter clip gives all its frames in order, then its last one again, marked invalid.
    """
    t = config.num_frames
    if num_decoded < t:
        row = np.minimum(np.arange(t), num_decoded - 1)
        index_VT = np.tile(row, (config.num_views, 1))
        return index_VT, np.tile(np.arange(t) < num_decoded, (config.num_views, 1))
    parts = np.arange(t, dtype=np.float64)
    rows = [np.floor((parts + view_offset(v)) * num_decoded / t) for v in range(config.num_views)]
    index_VT = np.stack(rows).astype(np.int64)
    return index_VT, np.ones_like(index_VT, dtype=np.bool_)


def decode_clip(
    path: Path, config: FrameConfig, *, start_seconds: float | None = None, end_seconds: float | None = None
) -> Frames:
    """Decode the sampled frames of a video file, or of its part from `start_seconds` to `end_seconds`.

    Raises ClipError (stage ``open`` or ``decode``) for whatever is not a video with frames.
    """
    _refuse_non_file(path)
    window = _Window(start_seconds or 0.0, math.inf if end_seconds is None else end_seconds)
    guess = _count_packets(path, window)
    taken = _decode_pass(path, window, _wanted(guess, config))
    if taken.num_decoded == 0:
        errors = f"; {taken.num_errors} packets did not decode" if taken.num_errors else ""
        where = f" between {window.start:g} and {window.end:g} s" if window.is_part else ""
        raise ClipError("decode", f"no frame decodes{where}{errors}")
    if taken.num_decoded != guess:
        taken = _decode_pass(path, window, _wanted(taken.num_decoded, config))
    if taken.is_still:
        raise ClipError("decode", "a still picture, not a video: it holds one frame")
    return _frames(taken, config)


@dataclass(frozen=True)
class _Window:
    start: float
    end: float

    @property
    def is_part(self) -> bool:
        return self.start > 0 or self.end != math.inf


@dataclass(frozen=True, kw_only=True)
class _Taken:
    """What one pass over a file brought home."""

    frames: dict[int, Any]
    seconds: dict[int, float]
    num_decoded: int
    num_errors: int
    num_corrupt: int
    num_untimed: int
    is_still: bool
    aspect: float


def _refuse_non_file(path: Path) -> None:
    if path.is_dir():
        raise ClipError("open", "a folder, not a video file")
    try:
        size_bytes = path.stat().st_size
    except OSError as error:
        raise ClipError("open", f"cannot be read: {error.strerror}") from error
    if size_bytes == 0:
        raise ClipError("open", "the file is empty")


def _open(path: Path) -> tuple[Any, Any]:
    try:
        container: Any = av.open(str(path.absolute()), mode="r", metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise ClipError("open", f"not a readable video: {_short(error)}") from error
    picture = av.stream.Disposition.attached_pic
    streams = [s for s in container.streams.video if not s.disposition & picture]
    if not streams:
        kinds = ", ".join(sorted({s.type for s in container.streams})) or "none"
        container.close()
        raise ClipError("open", f"no video stream; streams: {kinds}")
    name = container.format.name
    if name == "image2" or name.endswith("_pipe"):
        container.close()
        raise ClipError("open", f"a still picture ({name}), not a video")
    stream = streams[0]
    stream.codec_context.thread_count = 1
    return container, stream


def _seek(container: Any, stream: Any, window: _Window) -> None:
    if window.start > 0 and any(kind in container.format.name for kind in _SEEKABLE):
        target = int(window.start / stream.time_base) + (stream.start_time or 0)
        container.seek(target, backward=True, any_frame=False, stream=stream)


def _seconds(pts: int, stream: Any) -> float:
    return float((pts - (stream.start_time or 0)) * stream.time_base)


def _count_packets(path: Path, window: _Window) -> int:
    """Packets of the window that should each give one frame: a guess, without decoding."""
    container, stream = _open(path)
    count = 0
    with container:
        _seek(container, stream, window)
        try:
            for packet in container.demux(stream):
                if not packet.size or packet.is_discard:
                    continue
                if packet.pts is None:
                    count += 1
                elif packet.dts is not None and _seconds(packet.dts, stream) >= window.end:
                    break
                else:
                    count += window.start <= _seconds(packet.pts, stream) < window.end
        except av.error.FFmpegError:
            return count  # the decoding pass meets the same damage and records it
    return count


def _wanted(num_decoded: int, config: FrameConfig) -> frozenset[int]:
    if num_decoded == 0:
        return frozenset()
    return frozenset(int(i) for i in sample_indices(num_decoded, config)[0].ravel())


def _decode_pass(path: Path, window: _Window, wanted: frozenset[int]) -> _Taken:
    container, stream = _open(path)
    frames: dict[int, Any] = {}
    seconds: dict[int, float] = {}
    errors = _Errors()
    place = untimed = corrupt = 0
    rate = float(stream.average_rate or stream.guessed_rate or 25)
    with container:
        _seek(container, stream, window)
        number = 0
        for frame in _decoded(container, stream, errors):
            time = number / rate if frame.pts is None else _seconds(frame.pts, stream)
            number += 1
            if time >= window.end:
                break
            if time < window.start:
                continue
            untimed += frame.pts is None
            corrupt += bool(frame.is_corrupt)
            if place in wanted:
                frames[place], seconds[place] = frame, time
            place += 1
        aspect = float(stream.sample_aspect_ratio or 1)
        return _Taken(
            frames=frames,
            seconds=seconds,
            num_decoded=place,
            num_errors=errors.count,
            num_corrupt=corrupt,
            num_untimed=untimed,
            is_still=place == 1 and container.format.name == "gif",
            aspect=aspect if aspect > 0 else 1.0,
        )


class _Errors:
    """Counts the packets that did not decode."""

    count = 0


def _decoded(container: Any, stream: Any, errors: _Errors) -> Iterator[Any]:
    """Every frame that decodes, in order of presentation; damage is counted and passed over."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.error.FFmpegError:
            errors.count += 1
            return
        try:
            yield from packet.decode()
        except av.error.EOFError:
            return
        except av.error.FFmpegError:
            errors.count += 1


def _frames(taken: _Taken, config: FrameConfig) -> Frames:
    index_VT, valid_VT = sample_indices(taken.num_decoded, config)
    index_U = np.unique(index_VT)
    missing = [int(i) for i in index_U if int(i) not in taken.frames]
    if missing:
        raise ClipError("decode", f"two passes over the file differ: frame {missing[0]} came once only")
    first = taken.frames[int(index_U[0])]
    size = (round(first.width * taken.aspect), first.height)
    notes = []
    if any((f.width, f.height) != (first.width, first.height) for f in taken.frames.values()):
        notes.append(f"the picture changes size; all frames are scaled to {size[0]}x{size[1]}")
    if taken.num_errors:
        notes.append(f"{taken.num_errors} packets did not decode")
    if taken.num_corrupt:
        notes.append(f"{taken.num_corrupt} frames are marked corrupt")
    if taken.num_untimed:
        notes.append(f"{taken.num_untimed} frames have no time stamp; times follow from the frame rate")
    return Frames(
        rgb_UHWC=np.stack([_upright(taken.frames[int(i)], size) for i in index_U]),
        index_U=index_U,
        seconds_U=np.array([taken.seconds[int(i)] for i in index_U], dtype=np.float32),
        position_VT=np.searchsorted(index_U, index_VT),
        valid_VT=valid_VT,
        flip_V=tuple(is_mirrored(v) for v in range(config.num_views)),
        num_decoded=taken.num_decoded,
        notes=tuple(notes),
    )


def _upright(frame: Any, size: tuple[int, int]) -> Bytes:
    """RGB [H, W, 3] with square pixels, turned as the file's display matrix says."""
    width, height = size
    rgb: Bytes = frame.to_ndarray(format="rgb24", width=width, height=height)
    quarter_turns, rest = divmod(frame.rotation, 90)
    if rest:
        raise ClipError(
            "decode", f"the picture is rotated by {frame.rotation} degrees; multiples of 90 are supported"
        )
    return np.ascontiguousarray(np.rot90(rgb, quarter_turns))


def _short(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return str(text).splitlines()[0] if text else type(error).__name__

"""The sampled frames of a file, decoded in one sequential pass, or in two.

Letters: U sampled frames, each once; V views; T frames per view; H, W picture.
"""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from pipeline.errors import ClipError
from pipeline.frames.sampling import FrameConfig, is_mirrored, sample_indices
from pipeline.frames.source import Window, can_jump, count_packets, jump_to, open_video, seconds_of, short
from pipeline.types import Bytes, Frames

_LARGEST_ASPECT = 10.0
_PICTURE_BRANDS = ("avif", "heic", "heix", "mif1")
"""Still pictures that come in a video's container."""


def decode_clip(
    path: Path, config: FrameConfig, *, start_seconds: float | None = None, end_seconds: float | None = None
) -> Frames:
    """Decode the sampled frames of a video file, or of its part from `start_seconds` to `end_seconds`.

    Raises ClipError (stage ``open`` or ``decode``) for whatever is not a video with frames.
    """
    window = Window(start_seconds or -math.inf, math.inf if end_seconds is None else end_seconds)
    jump = can_jump(path, window)
    guess = count_packets(path, window, jump=jump)
    taken = _decode_pass(path, window, _wanted(guess, config), jump=jump)
    if taken.num_decoded == 0:
        errors = f"; {taken.num_errors} packets did not decode" if taken.num_errors else ""
        raise ClipError("decode", f"no frame decodes{window}{errors}")
    if taken.num_decoded != guess:
        taken = _decode_pass(path, window, _wanted(taken.num_decoded, config), jump=jump)
    if taken.is_still:
        raise ClipError("decode", "a still picture, not a video: it holds one frame")
    return _frames(taken, config)


@dataclass(frozen=True, kw_only=True)
class _Taken:
    """What one pass over a file brought home."""

    frames: dict[int, Any]
    seconds: dict[int, float]
    first_size: tuple[int, int]
    num_decoded: int
    num_errors: int
    num_corrupt: int
    num_untimed: int
    is_still: bool
    aspect: float


def _wanted(num_decoded: int, config: FrameConfig) -> frozenset[int]:
    if num_decoded == 0:
        return frozenset()
    return frozenset(int(i) for i in sample_indices(num_decoded, config)[0].ravel())


def _decode_pass(path: Path, window: Window, wanted: frozenset[int], *, jump: bool) -> _Taken:
    container, stream = open_video(path)
    frames: dict[int, Any] = {}
    seconds: dict[int, float] = {}
    errors = _Errors()
    first_size = (0, 0)
    place = untimed = corrupt = 0
    rate = float(stream.average_rate or stream.guessed_rate or 25)
    with container:
        if jump:
            jump_to(container, stream, window)
        number = 0
        for frame in _decoded(container, stream, errors):
            time = number / rate if frame.pts is None else seconds_of(frame.pts, stream)
            number += 1
            if time >= window.end:
                break
            if time < window.start:
                continue
            untimed += frame.pts is None
            corrupt += bool(frame.is_corrupt)
            if place == 0:
                first_size = (frame.width, frame.height)
            if place in wanted:
                frames[place], seconds[place] = frame, time
            place += 1
        return _Taken(
            frames=frames,
            seconds=seconds,
            first_size=first_size,
            num_decoded=place,
            num_errors=errors.count,
            num_corrupt=corrupt,
            num_untimed=untimed,
            is_still=number == 1 and _may_be_picture(container),
            aspect=_aspect(stream),
        )


def _may_be_picture(container: Any) -> bool:
    return container.format.name == "gif" or container.metadata.get("major_brand") in _PICTURE_BRANDS


def _aspect(stream: Any) -> float:
    """Width of a stored pixel over its height, 1 where the file does not say."""
    aspect = float(stream.sample_aspect_ratio or 1)
    if not 1 / _LARGEST_ASPECT <= aspect <= _LARGEST_ASPECT:
        raise ClipError("decode", f"pixels {aspect:g} times as wide as high; allowed: 0.1 to 10")
    return aspect


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
            yield from stream.codec_context.decode(None)  # what the decoder still holds
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
    width, height = taken.first_size
    size = (max(1, round(width * taken.aspect)), height)
    notes = []
    if any((f.width, f.height) != (width, height) for f in taken.frames.values()):
        notes.append(f"the picture changes size; all frames are scaled to {size[0]}x{size[1]}")
    if taken.num_errors:
        notes.append(f"{taken.num_errors} packets did not decode")
    if taken.num_corrupt:
        notes.append(f"{taken.num_corrupt} frames are marked corrupt")
    if taken.num_untimed:
        notes.append(f"{taken.num_untimed} frames have no time stamp; times follow from the frame rate")
    reformatter = VideoReformatter()
    return Frames(
        rgb_UHWC=np.stack([_upright(taken.frames[int(i)], size, reformatter) for i in index_U]),
        index_U=index_U,
        seconds_U=np.array([taken.seconds[int(i)] for i in index_U], dtype=np.float32),
        position_VT=np.searchsorted(index_U, index_VT),
        valid_VT=valid_VT,
        flip_V=tuple(is_mirrored(v) for v in range(config.num_views)),
        num_decoded=taken.num_decoded,
        notes=tuple(notes),
    )


def _upright(frame: Any, size: tuple[int, int], reformatter: VideoReformatter) -> Bytes:
    """RGB [H, W, 3] with square pixels, turned and mirrored as the file's display matrix says.

    One thread: by default every frame would start two of its own, and keep them.
    """
    width, height = size
    quarter_turns, is_mirror = _orientation(frame)
    try:
        picture = reformatter.reformat(frame, width=width, height=height, format="rgb24", threads=1)
        rgb: Bytes = np.asarray(picture.to_ndarray(), dtype=np.uint8)
    except (av.error.FFmpegError, ValueError) as error:
        raise ClipError("decode", f"pixels {frame.format.name} do not convert: {short(error)}") from error
    return np.ascontiguousarray(np.rot90(rgb[:, ::-1] if is_mirror else rgb, quarter_turns))


def _orientation(frame: Any) -> tuple[int, bool]:
    """Quarter turns to the left that make the picture upright, once mirrored where that is true.

    The display matrix [a b; c d] takes stored (x, y) to shown (a x + c y, b x + d y), y downwards.
    """
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return 0, False
    a, b, _, c, d = struct.unpack("=5i", bytes(matrix)[:20])
    is_mirror = a * d - b * c < 0
    degrees = -math.degrees(math.atan2(-b, -a) if is_mirror else math.atan2(b, a))
    quarter_turns = round(degrees / 90)
    if abs(degrees - 90 * quarter_turns) > 1:
        raise ClipError(
            "decode", f"the picture is rotated by {degrees:.0f} degrees; multiples of 90 are supported"
        )
    return quarter_turns, is_mirror

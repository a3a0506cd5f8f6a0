"""The sampled frames of a file, decoded in one sequential pass, or in two.

Letters: U sampled frames, each once; V views; T frames per view; H, W picture.
"""

import math
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from pipeline.errors import ClipError
from pipeline.frames.sampling import FrameConfig, is_mirrored, sample_indices
from pipeline.frames.source import Clock, Packets, Window, can_jump, short
from pipeline.types import Bytes, Frames

_LARGEST_ASPECT = 10.0
_PICTURE_BRANDS = ("avif", "heic", "heix", "mif1")
"""Still pictures that come in a video's container."""

_MAX_RGB_BYTES = 1 << 30
"""Of all sampled frames of a clip: 16 frames of 22 million pixels."""


def decode_clip(
    path: Path, config: FrameConfig, *, start_seconds: float | None = None, end_seconds: float | None = None
) -> Frames:
    """Decode the sampled frames of a video file, or of its part from `start_seconds` to `end_seconds`.

    Raises ClipError (stage ``open`` or ``decode``) for whatever is not a video with frames, or has
    more pixels than allowed, and MemoryError where those allowed do not fit.
    """
    window = Window(start_seconds or -math.inf, math.inf if end_seconds is None else end_seconds)
    jump = can_jump(path, window)
    with Packets(path, window, jump=jump) as packets:
        guess = packets.count()
        taken = _decode_pass(packets, window, _wanted(guess, config))
    if taken.num_decoded == 0:
        errors = f"; {taken.num_errors} packets did not decode" if taken.num_errors else ""
        raise ClipError("decode", f"no frame decodes{window}{errors}")
    if taken.num_decoded != guess:
        wanted = _wanted(taken.num_decoded, config)
        del taken  # its pictures; two passes' worth would be twice the memory
        with Packets(path, window, jump=jump) as packets:
            taken = _decode_pass(packets, window, wanted)
    if taken.is_still:
        raise ClipError("decode", "a still picture, not a video: it holds one frame")
    return _frames(taken, config)


@dataclass(frozen=True, kw_only=True)
class _Taken:
    """What one pass over a file brought home."""

    pictures: "_Pictures"
    num_decoded: int
    num_errors: int
    num_corrupt: int
    num_untimed: int
    is_still: bool


def _wanted(num_decoded: int, config: FrameConfig) -> frozenset[int]:
    if num_decoded == 0:
        return frozenset()
    return frozenset(int(i) for i in sample_indices(num_decoded, config)[0].ravel())


def _decode_pass(packets: Packets, window: Window, wanted: frozenset[int]) -> _Taken:
    stream = packets.stream
    pictures = _Pictures(len(wanted), _aspect(stream))
    clock, errors = Clock(stream), _Errors()
    number = place = untimed = corrupt = 0
    rate = float(stream.average_rate or stream.guessed_rate or 25)
    for frame in _decoded(packets, stream, errors):
        time = number / rate if frame.pts is None else clock.seconds(frame.pts)
        number += 1
        if time >= window.end:
            break
        if time < window.start:
            continue
        untimed += frame.pts is None
        corrupt += bool(frame.is_corrupt)
        if place == 0:
            pictures.set_size(frame)
        if place in wanted:
            pictures.add(place, time, frame)
        place += 1
    return _Taken(
        pictures=pictures,
        num_decoded=place,
        num_errors=errors.count,
        num_corrupt=corrupt,
        num_untimed=untimed,
        is_still=number == 1 and _may_be_picture(packets.container),
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


def _decoded(packets: Iterable[Any], stream: Any, errors: _Errors) -> Iterator[Any]:
    """Every frame that decodes, in order of presentation; damage is counted and passed over.

    Raises MemoryError: a lack of memory is no damage of the file's.
    """
    unread = iter(packets)
    while True:
        try:
            packet = next(unread)
        except StopIteration:
            return
        except MemoryError:
            raise
        except av.error.FFmpegError:
            errors.count += 1
            yield from stream.codec_context.decode(None)  # what the decoder still holds
            return
        try:
            yield from packet.decode()
        except av.error.EOFError:
            return
        except MemoryError:
            raise
        except av.error.FFmpegError:
            errors.count += 1


class _Pictures:
    """The wanted frames as RGB with square pixels, upright, all of the first frame's size.

    They are converted one by one as they come, into one array: no decoded frame is kept.
    """

    def __init__(self, num_wanted: int, aspect: float) -> None:
        self.index: list[int] = []
        self.seconds: list[float] = []
        self.stored_size = (0, 0)
        self.size = (0, 0)
        self.changes_size = False
        self._num_wanted = num_wanted
        self._aspect = aspect
        self._rgb_UHWC: Bytes | None = None
        self._reformatter = VideoReformatter()

    @property
    def rgb_UHWC(self) -> Bytes:
        """The pictures taken so far, uint8 [U, H, W, 3]."""
        assert self._rgb_UHWC is not None, "a pass that decodes a frame wants one"
        return self._rgb_UHWC[: len(self.index)]

    def set_size(self, first: Any) -> None:
        """Take the pictures' size from the clip's first frame. Raises ClipError when they would not fit."""
        self.stored_size = (first.width, first.height)
        self.size = (max(1, round(first.width * self._aspect)), first.height)
        width, height = self.size
        num_bytes, allowed = self._num_wanted * height * width * 3, _MAX_RGB_BYTES
        if num_bytes > _MAX_RGB_BYTES:
            raise ClipError(
                "decode",
                f"{self._num_wanted} frames of {width}x{height} pixels are {num_bytes >> 20} MiB; "
                f"allowed: {allowed >> 20} MiB. Scale the file down, or take fewer frames or views",
            )

    def add(self, place: int, seconds: float, frame: Any) -> None:
        """Convert the frame that stands at `place` of the clip."""
        self.changes_size |= (frame.width, frame.height) != self.stored_size
        picture = _upright(frame, self.size, self._reformatter)
        if self._rgb_UHWC is None:
            self._rgb_UHWC = np.empty((self._num_wanted, *picture.shape), dtype=np.uint8)
        if picture.shape != self._rgb_UHWC.shape[1:]:
            raise ClipError("decode", f"the picture is turned in the middle of the clip, at frame {place}")
        self._rgb_UHWC[len(self.index)] = picture
        self.index.append(place)
        self.seconds.append(seconds)


def _frames(taken: _Taken, config: FrameConfig) -> Frames:
    pictures = taken.pictures
    index_VT, valid_VT = sample_indices(taken.num_decoded, config)
    index_U = np.unique(index_VT)
    if pictures.index != index_U.tolist():
        raise ClipError(
            "decode", f"two passes over the file differ: {taken.num_decoded} frames in the second"
        )
    notes = []
    if pictures.changes_size:
        width, height = pictures.size
        notes.append(f"the picture changes size; all frames are scaled to {width}x{height}")
    if taken.num_errors:
        notes.append(f"{taken.num_errors} packets did not decode")
    if taken.num_corrupt:
        notes.append(f"{taken.num_corrupt} frames are marked corrupt")
    if taken.num_untimed:
        notes.append(f"{taken.num_untimed} frames have no time stamp; times follow from the frame rate")
    return Frames(
        rgb_UHWC=pictures.rgb_UHWC,
        index_U=index_U,
        seconds_U=np.array(pictures.seconds, dtype=np.float32),
        position_VT=np.searchsorted(index_U, index_VT),
        valid_VT=valid_VT,
        flip_V=tuple(is_mirrored(v) for v in range(config.num_views)),
        num_decoded=taken.num_decoded,
        notes=tuple(notes),
    )


def _upright(frame: Any, size: tuple[int, int], reformatter: VideoReformatter) -> Bytes:
    """RGB [H, W, 3] with square pixels, turned and mirrored as the file's display matrix says: a view.

    One thread: by default every frame would start two of its own, and keep them.
    """
    width, height = size
    quarter_turns, is_mirror = _orientation(frame)
    try:
        picture = reformatter.reformat(frame, width=width, height=height, format="rgb24", threads=1)
        (plane,) = picture.planes
    except MemoryError:
        raise
    except (av.error.FFmpegError, ValueError) as error:
        raise ClipError("decode", f"pixels {frame.format.name} do not convert: {short(error)}") from error
    rows = np.frombuffer(memoryview(plane), dtype=np.uint8).reshape(-1, plane.line_size)
    rgb: Bytes = rows[:height, : 3 * width].reshape(height, width, 3)
    return np.rot90(rgb[:, ::-1] if is_mirror else rgb, quarter_turns)


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

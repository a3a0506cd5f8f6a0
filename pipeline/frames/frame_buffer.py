"""Decoded frames as upright RGB with square pixels, all of one size, and the buffer of a clip's frames.

Letters: U sampled frames, each once; H, W frame.
"""

import math
import struct
from collections.abc import Callable, Sequence
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from pipeline.errors import ClipError
from pipeline.frames.container import short
from pipeline.frames.sampling import FrameConfig, is_mirrored, sample_indices, wanted_frames
from pipeline.types import Bytes, FrameMeta, Frames, Note, NoteKind

MAX_RGB_BYTES = 1 << 30
"""Most bytes of all sampled frames of a clip: 16 frames of 22 million pixels."""


class FrameConverter:
    """Conversion of decoded frames to upright RGB with square pixels, all of one size.

    A frame of another size is scaled to fit, between black bars, as a player shows it.

    Args:
        aspect_of: Function that returns the width of a frame's stored pixels divided by their height.

    Attributes:
        size: Width and height of the converted frames; set it before the first conversion.
        changes_size: Whether a converted frame had another size.
    """

    def __init__(self, aspect_of: Callable[[Any], float]) -> None:
        self.size = (0, 0)
        self.changes_size = False
        self._aspect_of = aspect_of
        self._reformatter = VideoReformatter()

    def upright_size(self, frame: Any) -> tuple[int, int]:
        """Return width and height of a frame as a player shows it."""
        quarter_turns, _ = _orientation(frame)
        width, height = self._square_size(frame)
        return (height, width) if quarter_turns % 2 else (width, height)

    def write(self, frame: Any, target_HWC: Bytes) -> None:
        """Write the pixels of a frame into an array, uint8 [H, W, 3] of `size`.

        Raises ClipError (stage ``decode``) for pixels that do not convert.
        """
        quarter_turns, is_mirror = _orientation(frame)
        size, shown = self._square_size(frame), self.upright_size(frame)
        if shown == self.size:
            target_HWC[:] = _upright(_rgb(frame, size, self._reformatter), quarter_turns, is_mirror)
            return
        self.changes_size = True
        size = _fitted(size, shown, self.size)
        _letterbox(_upright(_rgb(frame, size, self._reformatter), quarter_turns, is_mirror), target_HWC)

    def _square_size(self, frame: Any) -> tuple[int, int]:
        """Return width and height of a frame with square pixels, before it is turned."""
        return max(1, round(frame.width * self._aspect_of(frame))), frame.height


class Pictures:
    """Sampled frames as RGB with square pixels, upright, all of the first frame's size.

    Each frame is converted into one array when it is added (`FrameConverter`), and no decoded frame is kept.

    Args:
        num_wanted: Number of frames that will be added.
        aspect_of: Function that returns the width of a frame's stored pixels divided by their height.
    """

    def __init__(self, num_wanted: int, aspect_of: Callable[[Any], float]) -> None:
        self.index: list[int] = []
        self.seconds: list[float] = []
        self._num_wanted = num_wanted
        self._converter = FrameConverter(aspect_of)
        self._rgb_UHWC: Bytes | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of all frames."""
        return self._converter.size

    @property
    def changes_size(self) -> bool:
        """Whether a frame that was added had another size."""
        return self._converter.changes_size

    @property
    def rgb_UHWC(self) -> Bytes:
        """The frames so far, uint8 [U, H, W, 3]."""
        assert self._rgb_UHWC is not None, "a pass that decodes a frame samples at least one"
        return self._rgb_UHWC[: len(self.index)]

    def set_size_of(self, frame: Any) -> None:
        """Set the size of all frames from the clip's first frame. Raises ClipError if they do not fit."""
        self.set_size(*self._converter.upright_size(frame))

    def set_size(self, width: int, height: int) -> None:
        """Set width and height of all frames. Raises ClipError if they do not fit into `MAX_RGB_BYTES`."""
        self._converter.size = (width, height)
        num_bytes, allowed = self._num_wanted * height * width * 3, MAX_RGB_BYTES
        if num_bytes > MAX_RGB_BYTES:
            raise ClipError(
                "decode",
                f"{self._num_wanted} frames of {width}x{height} pixels are {num_bytes >> 20} MiB; "
                f"allowed: {allowed >> 20} MiB. Scale the clip down, take fewer frames or views, "
                "or reduce detector.rate",
            )

    def add(self, place: int, seconds: float, frame: Any) -> None:
        """Convert and add a frame.

        Args:
            place: Number of the frame in the clip, ascending.
            seconds: Time of the frame.
            frame: Decoded PyAV frame.
        """
        if self._rgb_UHWC is None:
            width, height = self.size
            self._rgb_UHWC = np.empty((self._num_wanted, height, width, 3), dtype=np.uint8)
        self._converter.write(frame, self._rgb_UHWC[len(self.index)])
        self.index.append(place)
        self.seconds.append(seconds)

    def frames(
        self,
        num_decoded: int,
        config: FrameConfig,
        notes: Sequence[Note],
        *,
        cuts: tuple[int, ...] | None = None,
        step: int = 0,
    ) -> Frames:
        """Return the frames with their layout by view.

        Args:
            num_decoded: Number of decoded frames of the clip.
            config: Settings of the sampling.
            notes: Notes on the clip.
            cuts: First frame of every new shot; None if they were not searched.
            step: Step between further frames (`wanted_frames`); 0 for none.

        Raises:
            ClipError: The added frames are not those that are wanted of `num_decoded` frames.
        """
        index_VT, valid_VT = sample_indices(num_decoded, config)
        index_U = np.array(sorted(wanted_frames(num_decoded, config, step)), dtype=np.int64)
        if self.index != index_U.tolist():
            raise ClipError("decode", f"two passes over the clip differ: {num_decoded} frames in the second")
        width, height = self.size
        resized = [
            Note(
                NoteKind.SIZE,
                f"the frame size changes; frames of another size are letterboxed into {width}x{height}",
            )
        ]
        meta = FrameMeta(
            index_U=index_U,
            seconds_U=np.array(self.seconds, dtype=np.float32),
            position_VT=np.searchsorted(index_U, index_VT),
            valid_VT=valid_VT,
            flip_V=tuple(is_mirrored(v) for v in range(config.num_views)),
            num_decoded=num_decoded,
            height_px=height,
            width_px=width,
            notes=(*(resized if self.changes_size else ()), *notes),
            cuts=cuts,
        )
        return Frames(meta=meta, rgb_UHWC=self.rgb_UHWC)


def _fitted(size: tuple[int, int], shown: tuple[int, int], into: tuple[int, int]) -> tuple[int, int]:
    """Scale `size` so that the frame, whose upright size is `shown`, fits into a size."""
    scale = min(into[0] / shown[0], into[1] / shown[1])
    width, height = size
    return max(1, round(width * scale)), max(1, round(height * scale))


def _letterbox(picture: Bytes, target: Bytes) -> None:
    """Put an image into the middle of a larger one, with black around it."""
    height, width, _ = picture.shape
    top, left = (target.shape[0] - height) // 2, (target.shape[1] - width) // 2
    target[:] = 0
    target[top : top + height, left : left + width] = picture


def _rgb(frame: Any, size: tuple[int, int], reformatter: VideoReformatter) -> Bytes:
    """Convert a frame to RGB [H, W, 3] of this width and height.

    It uses one thread; by default every frame would start two threads and keep them.
    """
    width, height = size
    try:
        picture = reformatter.reformat(frame, width=width, height=height, format="rgb24", threads=1)
        (plane,) = picture.planes
    except MemoryError:
        raise
    except (av.error.FFmpegError, ValueError) as error:
        raise ClipError("decode", f"pixels {frame.format.name} do not convert: {short(error)}") from error
    rows = np.frombuffer(memoryview(plane), dtype=np.uint8).reshape(-1, plane.line_size)
    rgb: Bytes = rows[:height, : 3 * width].reshape(height, width, 3)
    return rgb


def _upright(rgb: Bytes, quarter_turns: int, is_mirror: bool) -> Bytes:
    """Return a view of an image that is turned and mirrored by the file's display matrix."""
    return np.rot90(rgb[:, ::-1] if is_mirror else rgb, quarter_turns)


def _orientation(frame: Any) -> tuple[int, bool]:
    """Return the quarter turns to the left that make a frame upright, and whether it is mirrored before.

    The display matrix [a b; c d] maps stored (x, y) to shown (a x + c y, b x + d y), y downwards.
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
            "decode", f"frames are rotated by {degrees:.0f} degrees; multiples of 90 are supported"
        )
    return quarter_turns, is_mirror

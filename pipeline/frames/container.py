"""Open video files, and the part of a file that is the clip: containers, streams, packets.

A video file never refers to other files. FFmpeg also reads playlists, concatenation scripts and stream
descriptions, which would open further files or addresses; these are rejected.
"""

import math
import stat
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Self

import av

from pipeline.errors import ClipError
from pipeline.frames.clock import FileClock

_VIDEOS = (
    "3gp,amv,apng,asf,asf_o,av1,avi,dirac,dv,flv,gif,gxf,h261,h263,h264,hevc,ivf,live_flv,m4v,matroska,"
    "mjpeg,mov,mpeg,mpegts,mpegtsraw,mpegvideo,mxf,nut,obu,ogg,rm,roq,swf,vc1,wtv,yuv4mpegpipe"
)
_PICTURES = (
    "bmp_pipe,gif_pipe,ico,j2k_pipe,jpeg_pipe,jpegls_pipe,jpegxl_pipe,pbm_pipe,pgm_pipe,png_pipe,ppm_pipe,"
    "psd_pipe,tiff_pipe,webp_pipe"
)
_SOUNDS = "aac,ac3,aiff,amr,ape,au,caf,dts,eac3,flac,mp3,tta,w64,wav,wv"
_READ_ONLY_THIS = {
    # FFmpeg's names; images and sounds are included so that they are rejected with their kind
    "format_whitelist": f"{_VIDEOS},{_PICTURES},{_SOUNDS}",
    "protocol_whitelist": "file",
}
_SEEKABLE = ("mov", "matroska")
"""Containers with an index of key frames, in which a seek is cheap."""
_COVERS = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
"""Streams of single images: cover art, and previews of chapters."""

_ANY_METADATA: dict[str, Any] = (
    {} if int(av.__version__.partition(".")[0]) >= 19 else {"metadata_errors": "replace"}
)
"""Metadata may be invalid UTF-8: PyAV 18 raises unless this is set, PyAV 19 has no such argument."""

MAX_PIXELS = 40_000_000
"""Most pixels of a frame, more than 8K has. A decoder keeps up to 17 frames, so this limits its memory."""

_KEPT_BYTES = 32 << 20
_PACKET_OVERHEAD_BYTES = 1 << 10


@dataclass(frozen=True)
class Window:
    """Part of a file from `start` up to `end`, in seconds of `clock.FileClock`; infinite if it is open."""

    start: float
    end: float

    def __str__(self) -> str:
        start = "" if self.start == -math.inf else f" from {self.start:g} s"
        return start + ("" if self.end == math.inf else f" before {self.end:g} s")


def open_video(path: Path) -> tuple[Any, Any]:
    """Open a video file for decoding in one thread.

    Returns:
        The container, and its first video stream that is marked as default, else its first video stream.

    Raises:
        ClipError: (stage ``open``) It is not a video; (stage ``decode``) its frames have too many pixels.
    """
    _refuse_non_file(path)
    try:
        name = str(path.absolute())
        container: Any = av.open(name, mode="r", options=_READ_ONLY_THIS, **_ANY_METADATA)
    except MemoryError:
        raise
    except av.error.ArgumentError as error:
        raise ClipError("open", "a playlist or another kind of file that is not read as video") from error
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise ClipError("open", f"not a readable video: {short(error)}") from error
    streams = videos_of(container)
    if not streams:
        kinds = {"cover image" if s.type == "video" else s.type for s in container.streams}
        container.close()
        raise ClipError("open", f"no video stream; streams: {', '.join(sorted(kinds)) or 'none'}")
    name = container.format.name
    if name.endswith("_pipe") or name == "ico":
        container.close()
        raise ClipError("open", f"a still image ({name}), not a video")
    stream = streams[0]
    decoder = stream.codec_context
    if decoder is None:
        container.close()
        raise ClipError("open", "a video of an unknown codec; convert it, for example to H.264")
    decoder.thread_count = 1
    decoder.options = {"max_pixels": str(MAX_PIXELS)}  # applies also if the size changes later
    if decoder.width * decoder.height > MAX_PIXELS:
        size = f"{decoder.width}x{decoder.height}"
        container.close()
        raise ClipError(
            "decode",
            f"frames of {size} pixels; allowed: {MAX_PIXELS / 1e6:g} million. Scale the file down",
        )
    return container, stream


def videos_of(container: Any) -> list[Any]:
    """Return the video streams without cover art, the one to read first."""
    videos = [stream for stream in container.streams.video if not stream.disposition & _COVERS]
    return sorted(videos, key=lambda stream: not stream.disposition & av.stream.Disposition.default)


def can_jump(path: Path, window: Window) -> bool:
    """Return whether a seek to the window's start ends at or before it, so that no frame is lost.

    It may end after it: if frames are stored in another order than they are shown, a key frame that is stored
    before a time can be shown after it.
    """
    if window.start <= 0:
        return False
    container, stream = open_video(path)
    with container:
        if not any(kind in container.format.name for kind in _SEEKABLE):
            return False
        try:
            clock = FileClock(container, stream)
            jump_to(container, stream, window, clock)
            first = next(container.decode(stream), None)
        except (av.error.FFmpegError, OverflowError):
            return False
        time = None if first is None else clock.of_frame(first)
        return time is not None and time <= window.start


def jump_to(container: Any, stream: Any, window: Window, clock: FileClock) -> None:
    """Seek to the key frame for the start of a window.

    Args:
        container: PyAV container.
        stream: Its video stream.
        window: The window.
        clock: Clock of the stream.
    """
    container.seek(clock.ticks(window.start), backward=True, any_frame=False, stream=stream)


class Packets:
    """Packets of a file's window, in the file's order. It is a context manager.

    Counting reads the file once. Up to 32 MiB of packets are kept for the decoder; a longer file is read
    again, so that memory does not grow with the length of the video.
    """

    def __init__(self, path: Path, window: Window, *, jump: bool) -> None:
        self.path, self._window, self._jump = path, window, jump
        self._kept: deque[Any] = deque()
        self._broken: Exception | None = None
        self._open()

    def count(self) -> int:
        """Return the number of packets that should each contain one frame: an estimate without decoding."""
        count = num_bytes = 0
        clock = self.clock
        try:
            for packet in self._unread:
                num_bytes += packet.size + _PACKET_OVERHEAD_BYTES
                if num_bytes <= _KEPT_BYTES:
                    self._kept.append(packet)
                else:
                    self._kept.clear()
                if not packet.size or packet.is_discard:
                    continue
                time, due = clock.of_packet(packet), clock.of_decoding(packet)
                if time is None:
                    count += 1
                elif due is not None and due >= self._window.end:
                    break
                else:
                    count += self._window.start <= time < self._window.end
        except av.error.FFmpegError as error:
            self._broken = error  # the decoding pass finds the same damage and records it
        if num_bytes > _KEPT_BYTES:
            self.container.close()
            self._open()
        return count

    def __iter__(self) -> Iterator[Any]:
        """Yield every packet once, the counted ones first. Raises FFmpegError at damage."""
        while self._kept:
            yield self._kept.popleft()
        if self._broken is not None:
            raise self._broken
        yield from chain(self._unread)  # PyAV's generator, exhausted, cannot be delegated to

    def _open(self) -> None:
        self.container, self.stream = open_video(self.path)
        self.clock = FileClock(self.container, self.stream)
        if self._jump:
            jump_to(self.container, self.stream, self._window, self.clock)
        self._kept.clear()
        self._broken = None
        self._unread: Iterator[Any] = self.container.demux(self.stream)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._kept.clear()
        self.container.close()


def short(error: Exception) -> str:
    """Return the first line of an error's text."""
    text = getattr(error, "strerror", None) or str(error)
    return str(text).splitlines()[0] if text else type(error).__name__


def _refuse_non_file(path: Path) -> None:
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        raise ClipError("open", f"cannot be read: {short(error)}") from error
    if stat.S_ISDIR(found.st_mode):
        raise ClipError("open", "a directory, not a video file")
    if not stat.S_ISREG(found.st_mode):
        raise ClipError("open", "a pipe or device, not a video file")
    if found.st_size == 0:
        raise ClipError("open", "the file is empty")

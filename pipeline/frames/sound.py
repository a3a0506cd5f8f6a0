"""Sound of a video, with times from the start of its file.

Use it only for files that a decoding process has decoded before, because a file can crash the decoder.
"""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av

from pipeline.frames.clock import FileClock
from pipeline.frames.container import open_video


class SoundReader:
    """The first audio stream of a video. It is a context manager.

    Args:
        path: The video.

    Attributes:
        stream: PyAV stream; None if the file has no sound that can be decoded.

    Raises:
        ClipError: (stage ``open`` or ``decode``) It is not a video.
    """

    def __init__(self, path: Path) -> None:
        self._container, video = open_video(path)
        self._clock = FileClock(self._container, video)
        known = [stream for stream in self._container.streams.audio if stream.codec_context is not None]
        self.stream: Any = known[0] if known else None

    def packets(self) -> Iterator[tuple[float, Any]]:
        """Yield the time of every packet in seconds, and the packet, whose stamps start with the file.

        It ends at damage. Packets without a time are left out.
        """
        if self.stream is None:
            return
        tick = Fraction(self.stream.time_base.numerator, self.stream.time_base.denominator)
        shift = round(Fraction(self._clock.of_stream(Fraction(0))) / tick)
        try:
            for packet in self._container.demux(self.stream):
                if packet.pts is None or packet.dts is None:
                    continue
                packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                yield float(packet.pts * tick), packet
        except av.error.FFmpegError:
            return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._container.close()

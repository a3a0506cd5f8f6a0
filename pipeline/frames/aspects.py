"""Aspect ratio of stored pixels, which can change within a clip."""

from typing import Any

from pipeline.errors import ClipError

_LARGEST = 10.0


class Aspects:
    """Width of stored pixels divided by their height, by size of the frames.

    It is the stream's value, with which a container may override the codec's, until the codec's value
    differs from its value at the first frame. Only a key frame can change it. The decoder reads ahead, so
    that frames from before the change still follow.

    Attributes:
        codec_ratios: The codec's values so far. With several of them, a pass that begins in the middle of the
            file may take another one for the first.
    """

    def __init__(self, stream: Any) -> None:
        self._decoder = stream.codec_context
        self._of_stream = _checked(stream.sample_aspect_ratio)
        self._first: Any = None
        self.codec_ratios: set[Any] = set()
        self._by_size: dict[tuple[int, int], float] = {}

    def see(self, frame: Any) -> None:
        """Record the aspect ratio of the next frame in order of presentation.

        Raises ClipError (stage ``decode``) for an aspect ratio outside of 0.1 to 10.
        """
        size = (frame.width, frame.height)
        if size in self._by_size and not frame.key_frame:
            return
        now = self._decoder.sample_aspect_ratio
        self.codec_ratios.add(now)
        if not self._by_size:
            self._first = now
        self._by_size[size] = self._of_stream if now == self._first else _checked(now)

    def of(self, frame: Any) -> float:
        """Return the aspect ratio of the frame that was recorded last."""
        return self._by_size[frame.width, frame.height]


def _checked(ratio: Any) -> float:
    """Return a ratio as a number, 1 if the file has none."""
    aspect = float(ratio or 1)
    if not 1 / _LARGEST <= aspect <= _LARGEST:
        raise ClipError("decode", f"pixels {aspect:g} times as wide as high; allowed: 0.1 to 10")
    return aspect

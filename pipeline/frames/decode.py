"""The sampled frames of a file, decoded in one sequential pass, or in two.

Letters: U sampled frames, each once; V views; T frames per view; H, W picture.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from pipeline.errors import ClipError
from pipeline.frames.rgb import Pictures
from pipeline.frames.sampling import FrameConfig, wanted_frames
from pipeline.frames.source import Clock, Packets, Window, can_jump
from pipeline.types import Frames, Note, NoteKind

_LARGEST_ASPECT = 10.0
_PICTURE_BRANDS = ("avif", "heic", "heix", "mif1")
"""Still pictures that come in a video's container."""


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
        taken = _decode_pass(packets, window, wanted_frames(guess, config))
    if taken.num_decoded == 0:
        errors = f"; {taken.num_errors} packets did not decode" if taken.num_errors else ""
        raise ClipError("decode", f"no frame decodes{window}{errors}")
    if taken.num_decoded != guess:
        wanted = wanted_frames(taken.num_decoded, config)
        del taken  # its pictures; two passes' worth would be twice the memory
        with Packets(path, window, jump=jump) as packets:
            taken = _decode_pass(packets, window, wanted)
    if taken.is_still:
        raise ClipError("decode", "a still picture, not a video: it holds one frame")
    return _frames(taken, config)


@dataclass(frozen=True, kw_only=True)
class _Taken:
    """What one pass over a file brought home."""

    pictures: Pictures
    num_decoded: int
    num_errors: int
    num_corrupt: int
    num_untimed: int
    is_still: bool


def _decode_pass(packets: Packets, window: Window, wanted: frozenset[int]) -> _Taken:
    stream = packets.stream
    pictures = Pictures(len(wanted), _aspect(stream))
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
            pictures.set_size(frame.width, frame.height)
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


def _frames(taken: _Taken, config: FrameConfig) -> Frames:
    notes = []
    if taken.num_errors:
        notes.append(Note(NoteKind.DAMAGE, f"{taken.num_errors} packets did not decode"))
    if taken.num_corrupt:
        notes.append(Note(NoteKind.DAMAGE, f"{taken.num_corrupt} frames are marked corrupt"))
    if taken.num_untimed:
        text = f"{taken.num_untimed} frames have no time stamp; times follow from the frame rate"
        notes.append(Note(NoteKind.TIMES, text))
    return taken.pictures.frames(taken.num_decoded, config, notes)

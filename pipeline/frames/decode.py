"""Sampled frames of a video file, decoded in one or two sequential passes.

Letters: U sampled frames, each once; V views; T frames per view; H, W frame.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from pipeline.errors import ClipError
from pipeline.frames.announced import note_missing
from pipeline.frames.aspects import Aspects
from pipeline.frames.clock import RunningClock
from pipeline.frames.container import Packets, Window, can_jump, videos_of
from pipeline.frames.frame_buffer import Pictures
from pipeline.frames.remarks import Remarks, note_streams
from pipeline.frames.sampling import FrameConfig, wanted_frames
from pipeline.frames.windows import file_end, note_beyond_end, require_frames
from pipeline.types import Frames, Note, NoteKind

_PICTURE_BRANDS = ("avif", "heic", "heix", "mif1")
"""Brands of still images in a video container."""


def decode_clip(
    path: Path, config: FrameConfig, *, start_seconds: float | None = None, end_seconds: float | None = None
) -> Frames:
    """Decode the sampled frames of a video file, or of a part of it.

    Args:
        path: The video.
        config: Settings of the sampling.
        start_seconds: Start of the clip from the start of the file, as a player shows it; None for the start.
        end_seconds: End of the clip; None for the end of the file.

    Raises:
        ClipError: (stage ``open`` or ``decode``) It is not a video with frames, or has too many pixels.
        MemoryError: The frames do not fit into memory.
    """
    window = Window(start_seconds or -math.inf, math.inf if end_seconds is None else end_seconds)
    jump = can_jump(path, window)
    with Packets(path, window, jump=jump) as packets:
        guess = packets.count()
        taken = _decode_pass(packets, window, wanted_frames(guess, config))
    damage = "; ".join(note.text for note in taken.notes if note.kind is NoteKind.DAMAGE)
    require_frames(taken.num_decoded, window, taken.end, taken.nearest, damage)
    if taken.num_decoded != guess:
        wanted = wanted_frames(taken.num_decoded, config)
        del taken  # frees its frames; both passes would need twice the memory
        with Packets(path, window, jump=jump) as packets:
            taken = _decode_pass(packets, window, wanted)
    if taken.is_still:
        raise ClipError("decode", "a still image, not a video: it has one frame")
    return taken.pictures.frames(taken.num_decoded, config, taken.notes)


@dataclass(frozen=True, kw_only=True)
class _Taken:
    """Result of one decoding pass over a file.

    Attributes:
        pictures: The sampled frames.
        num_decoded: Decoded frames of the window.
        nearest: Start of the last frame before the window and of the first after it, in seconds; infinite
            if there is none.
        end: End of the file, in seconds.
        notes: Notes on the clip.
        is_still: Whether the file is a still image.
    """

    pictures: Pictures
    num_decoded: int
    nearest: tuple[float, float]
    end: float
    notes: list[Note]
    is_still: bool


def _decode_pass(packets: Packets, window: Window, wanted: frozenset[int]) -> _Taken:
    stream = packets.stream
    aspects = Aspects(stream)
    pictures = Pictures(len(wanted), aspects.of)
    running, remarks = RunningClock(packets.clock, stream), Remarks()
    number, place, first = 0, 0, math.inf
    before, after = -math.inf, math.inf
    for frame in _decoded(packets, stream, remarks):
        time = running.seconds(frame)
        number += 1
        first = min(first, time)
        if time >= window.end:
            after = time
            break
        if time < window.start:
            before = time
            continue
        aspects.see(frame)
        remarks.add(frame)
        if place == 0:
            pictures.set_size_of(frame)
        if place in wanted:
            pictures.add(place, time, frame)
        place += 1
    return _Taken(
        pictures=pictures,
        num_decoded=place,
        nearest=(before, after),
        end=file_end(packets, running),
        notes=[
            *remarks.notes(running),
            *note_missing(packets, window, running, first),
            *note_beyond_end(packets, window, running),
            *note_streams(videos_of(packets.container)),
        ],
        is_still=number == 1 and _may_be_picture(packets.container),
    )


def _may_be_picture(container: Any) -> bool:
    return container.format.name == "gif" or container.metadata.get("major_brand") in _PICTURE_BRANDS


def _decoded(packets: Iterable[Any], stream: Any, remarks: Remarks) -> Iterator[Any]:
    """Yield every frame that decodes, in order of presentation; damage is counted and skipped.

    MemoryError is raised, because a lack of memory is no damage of the file.
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
            remarks.num_errors += 1
            yield from stream.codec_context.decode(None)  # frames that the decoder still keeps
            return
        try:
            yield from packet.decode()
        except av.error.EOFError:
            return
        except MemoryError:
            raise
        except av.error.FFmpegError:
            remarks.num_errors += 1

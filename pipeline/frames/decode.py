"""Sampled frames of a video file, decoded in one or two sequential passes.

Letters: U sampled frames, each once; V views; T frames per view; H, W frame.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import ClipError
from pipeline.frames.announced import note_missing
from pipeline.frames.aspects import Aspects
from pipeline.frames.clock import RunningClock, frame_rate
from pipeline.frames.container import Packets, Window, can_jump, videos_of
from pipeline.frames.cut_search import CutSearch
from pipeline.frames.cuts import ShotConfig
from pipeline.frames.decoded_frames import decoded_frames
from pipeline.frames.frame_buffer import Pictures
from pipeline.frames.remarks import Remarks, note_streams
from pipeline.frames.sampling import FrameConfig, step_of, wanted_frames
from pipeline.frames.windows import file_end, note_beyond_end, require_frames
from pipeline.types import Frames, Note, NoteKind

_PICTURE_BRANDS = ("avif", "heic", "heix", "mif1")
"""Brands of still images in a video container."""


def decode_clip(
    path: Path,
    config: FrameConfig,
    *,
    start_seconds: float | None = None,
    end_seconds: float | None = None,
    cuts: ShotConfig | None = None,
    rate: float = 0.0,
) -> Frames:
    """Decode the sampled frames of a video file, or of a part of it.

    A search for cuts changes nothing else. In a window it also decodes up to `MARGIN_SECONDS` of video before
    and after it.

    Args:
        path: The video.
        config: Settings of the sampling.
        start_seconds: Start of the clip from the start of the file, as a player shows it; None for the start.
        end_seconds: End of the clip; None for the end of the file.
        cuts: Settings of the search for cuts; None, or ``search="none"``, for no search.
        rate: Frames per second that are decoded into pixels besides the sampled ones, for detection; 0 for
            none. No view samples them.

    Raises:
        ClipError: (stage ``open`` or ``decode``) It is not a video with frames, or has too many pixels.
        MemoryError: The frames do not fit into memory.
    """
    window = Window(start_seconds or -math.inf, math.inf if end_seconds is None else end_seconds)
    jump = can_jump(path, window)
    with Packets(path, window, jump=jump) as packets:
        guess = packets.count()
        search = _search(path, packets, window, cuts, jump=jump)
        step = step_of(float(frame_rate(packets.stream)), rate)
        taken = _decode_pass(packets, window, wanted_frames(guess, config, step), search)
    damage = "; ".join(note.text for note in taken.notes if note.kind is NoteKind.DAMAGE)
    require_frames(taken.num_decoded, window, taken.end, taken.nearest, damage)
    if taken.num_decoded != guess:
        wanted = wanted_frames(taken.num_decoded, config, step)
        del taken  # frees its frames; both passes would need twice the memory
        with Packets(path, window, jump=jump) as packets:
            taken = _decode_pass(packets, window, wanted)
    if taken.is_still:
        raise ClipError("decode", "a still image, not a video: it has one frame")
    found = None if search is None else search.cuts(taken.num_decoded)
    return taken.pictures.frames(taken.num_decoded, config, taken.notes, cuts=found, step=step)


def _search(
    path: Path, packets: Packets, window: Window, cuts: ShotConfig | None, *, jump: bool
) -> CutSearch | None:
    """Return a search for the cuts of a window, None if none is wanted. One decoding pass suffices for it."""
    if cuts is None or cuts.search == "none":
        return None
    return CutSearch(path, packets, window, cuts, jump=jump)


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


def _decode_pass(
    packets: Packets, window: Window, wanted: frozenset[int], search: CutSearch | None = None
) -> _Taken:
    stream = packets.stream
    aspects = Aspects(stream)
    pictures = Pictures(len(wanted), aspects.of)
    running, remarks = RunningClock(packets.clock, stream), Remarks()
    number, place, first = 0, 0, math.inf
    before, after = -math.inf, math.inf
    decoded = decoded_frames(packets, stream, remarks)
    for frame in decoded:
        time = running.seconds(frame)
        if search is not None:
            search.add(time, frame)
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
    taken = _Taken(
        pictures=pictures,
        num_decoded=place,
        nearest=(before, after),
        end=file_end(packets, running),
        notes=[
            *remarks.notes(running.num_jumps),
            *note_missing(packets, window, running, first),
            *note_beyond_end(packets, window, running),
            *note_streams(videos_of(packets.container)),
        ],
        is_still=number == 1 and may_be_picture(packets.container),
    )
    if search is not None and after < math.inf:
        search.add_after(running, decoded)
    return taken


def may_be_picture(container: Any) -> bool:
    """Return whether a file of one frame is a still image by its format."""
    return container.format.name == "gif" or container.metadata.get("major_brand") in _PICTURE_BRANDS

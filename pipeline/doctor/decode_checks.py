"""Checks of opened clips: clips that do not decode, and unusual properties of the others."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import median

from pipeline.doctor.finding import Finding
from pipeline.doctor.inputs import Inputs, quoted
from pipeline.errors import counted, some
from pipeline.types import EMPTY_WINDOW, WINDOW_BEYOND_END, Note, NoteKind

_CROP_SIDES_PX = (112, 224, 256)
_FAR = 10
"""Factor above or below the median beyond which a clip's size or duration is unusual."""

_UNSTEADY = 1.2
"""Ratio of the longest and the shortest time between frames, above which the frame rate varies."""

_MOST_NAMED_SIZES = 4

_NOTED: Mapping[str, tuple[str, NoteKind]] = {
    "damaged": ("of which parts do not decode or are missing", NoteKind.DAMAGE),
    "times": ("whose time stamps are missing or go back", NoteKind.TIMES),
    "hdr": ("with an HDR transfer function", NoteKind.HDR),
    "interlaced": ("with interlaced frames", NoteKind.INTERLACED),
    "video-streams": ("with several video streams", NoteKind.STREAMS),
}
"""Kind of finding -> its text, and the kind of a clip's notes that it reports."""


@dataclass(frozen=True, kw_only=True)
class Opened:
    """Properties of an opened clip.

    Attributes:
        failure: Why it does not decode; empty if it does. All other attributes then have their defaults.
        num_frames: Number of frames that decode.
        width_px: Width of its frames.
        height_px: Height of its frames.
        seconds: Duration; NaN for a directory of images.
        steadiness: Longest time between frames divided by the shortest.
        turns: Quarter turns that make it upright.
        num_sizes: Number of different sizes of its frames.
        notes: Notes of the decoder.
        stray_boxes: Why most of its face boxes, or the box of its named subject, are less than half inside
            the frame; empty if they are not.
    """

    failure: str = ""
    num_frames: int = 0
    width_px: int = 0
    height_px: int = 0
    seconds: float = math.nan
    steadiness: float = 1.0
    turns: int = 0
    num_sizes: int = 1
    notes: tuple[Note, ...] = ()
    stray_boxes: str = ""


def check_opened(inputs: Inputs, opened: Mapping[str, Opened]) -> Iterator[Finding]:
    """Report clips that do not decode, and clips that are unlike the others."""
    for kind, what, cases in (*_failures(opened), *_oddities(opened)):
        if cases:
            named = tuple(f"{quoted(clip_id)}{detail}" for clip_id, detail in sorted(cases.items()))
            yield Finding(kind=kind, what=f"{counted(len(cases), 'clip')} {what}", cases=named)
    sizes = {(one.width_px, one.height_px) for one in opened.values() if not one.failure}
    if inputs.form != "crops" and sizes and sizes <= {(side, side) for side in _CROP_SIDES_PX}:
        sides = " or ".join(f"{width}x{height}" for width, height in sorted(sizes))
        yield Finding(kind="face-crops", what=f"All clips are {sides} pixels, probably aligned faces")


_Cases = tuple[str, str, dict[str, str]]


def _failures(opened: Mapping[str, Opened]) -> Iterator[_Cases]:
    failed = {clip_id: one.failure for clip_id, one in opened.items() if one.failure}
    silent = {clip_id for clip_id, why in failed.items() if "no video stream" in why and "audio" in why}
    beyond = {clip_id for clip_id, why in failed.items() if WINDOW_BEYOND_END in why}
    between = {clip_id for clip_id, why in failed.items() if EMPTY_WINDOW in why}
    reasons = {clip_id: f" ({why})" for clip_id, why in failed.items()}
    unreadable = reasons.keys() - silent - beyond - between
    yield "unreadable", "that cannot be read", {clip_id: reasons[clip_id] for clip_id in unreadable}
    late = _noted(opened, NoteKind.WINDOW) | {clip_id: reasons[clip_id] for clip_id in beyond}
    yield "window-beyond-end", "with a window beyond the end of the file", late
    yield "window-empty", "with a window between two frames", {i: reasons[i] for i in between}
    yield "audio-only", "without frames, with sound only", dict.fromkeys(silent, "")


def _oddities(opened: Mapping[str, Opened]) -> Iterator[_Cases]:
    sound = {clip_id: one for clip_id, one in opened.items() if not one.failure}
    noted = {kind: _noted(sound, note_kind) for kind, (_, note_kind) in _NOTED.items()}
    sizes = _odd({clip_id: float(one.width_px * one.height_px) for clip_id, one in sound.items()})
    durations = _odd({i: one.seconds for i, one in sound.items() if math.isfinite(one.seconds)})
    stray = {clip_id: f" ({one.stray_boxes})" for clip_id, one in sound.items() if one.stray_boxes}
    yield "boxes-beyond-frame", "with most face boxes less than half inside the frame", stray
    for kind, (what, _) in _NOTED.items():
        yield kind, what, noted[kind]
    mixed = {clip_id: "" for clip_id, one in sound.items() if one.num_sizes > 1}
    yield "size-mixed", "whose frames change size", mixed
    odd_sizes = {clip_id: f" {sound[clip_id].width_px}x{sound[clip_id].height_px}" for clip_id in sizes}
    yield "size-odd", "of a size far from the others'", odd_sizes
    odd_durations = {clip_id: f" {sound[clip_id].seconds:.1f} s" for clip_id in durations}
    yield "duration-odd", "of a duration far from the others'", odd_durations
    turned = {clip_id: f" by {90 * one.turns} degrees" for clip_id, one in sound.items() if one.turns}
    yield "rotated", "stored rotated", turned
    uneven = {clip_id for clip_id, one in sound.items() if one.steadiness > _UNSTEADY}
    unsteady = dict.fromkeys(uneven - noted["damaged"].keys(), "")  # lost frames leave gaps in time
    yield "rate-varies", "of variable frame rate", unsteady


def _noted(opened: Mapping[str, Opened], kind: NoteKind) -> dict[str, str]:
    """Return the clips with notes of a kind, and the texts of these notes."""
    found = {i: [note.text for note in one.notes if note.kind is kind] for i, one in opened.items()}
    return {clip_id: f" ({'; '.join(texts)})" for clip_id, texts in found.items() if texts}


def describe(opened: Mapping[str, Opened]) -> list[str]:
    """Describe sizes, durations and numbers of frames of the clips that decode, in a few lines."""
    sound = [one for one in opened.values() if not one.failure]
    if not sound:
        return []
    sizes = Counter(f"{one.width_px}x{one.height_px}" for one in sound).most_common()
    seconds = [one.seconds for one in sound if math.isfinite(one.seconds)]
    frames = [one.num_frames for one in sound]
    lines = [f"frame size  {some([f'{size} ({many})' for size, many in sizes], _MOST_NAMED_SIZES)}"]
    if seconds:
        hours = sum(seconds) / 3600
        total = f"{hours:.1f} h in all" if hours >= 1 else f"{60 * hours:.1f} min in all"
        lines.append(
            f"durations   {min(seconds):.1f} to {max(seconds):.1f} s, median {median(seconds):.1f} s; {total}"
        )
    return [*lines, f"frames      {min(frames)} to {max(frames)}, median {median(frames):g}"]


def _odd(values: Mapping[str, float]) -> list[str]:
    """Return the keys of values that are many times the median, or a small fraction of it."""
    if not values:
        return []
    middle = median(values.values())
    return [key for key, value in values.items() if not middle / _FAR <= value <= middle * _FAR]

"""Decoding of every clip as extraction does it. This is the only module of the doctor that needs torch."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.config import from_dict
from pipeline.doctor.decode_checks import Opened
from pipeline.doctor.scan import side_by_side
from pipeline.process import (
    DecodePool,
    ExtractConfig,
    make_decode_job,
    picture_sizes,
    quarter_turns,
    stray_boxes,
)
from pipeline.types import ClipFailed, ClipRef, Frames, NoteKind


def open_all(
    root: Path, clips: Sequence[ClipRef], num_frames: int, num_processes: int, on_clip: Callable[[], None]
) -> dict[str, Opened]:
    """Decode clips in other processes. No pixels are kept.

    Args:
        root: Directory of the dataset.
        clips: The clips.
        num_frames: Frames to decode per clip.
        num_processes: Number of decoding processes.
        on_clip: Called after each clip.

    Returns:
        Properties of each clip, by clip id.
    """
    config = from_dict(ExtractConfig, {"frames": {"num_frames": num_frames}})
    jobs = [make_decode_job(root, clip, config) for clip in clips]
    found: dict[str, Opened] = {}
    with DecodePool(num_processes) as pool, closing(pool.stream(jobs)) as answers:
        for place, answer in answers:
            if isinstance(answer, ClipFailed):
                found[clips[place].clip_id] = Opened(failure=f"{answer.stage}: {answer.reason}")
            else:
                found[clips[place].clip_id] = _of(clips[place], answer.frames)
            del answer
            on_clip()
    return found


def add_headers(
    root: Path, clips: Sequence[ClipRef], opened: Mapping[str, Opened], on_clip: Callable[[], None]
) -> dict[str, Opened]:
    """Add the properties that are read from the files: rotation, and sizes of all images.

    Args:
        root: Directory of the dataset.
        clips: The clips.
        opened: Result of `open_all`.
        on_clip: Called after each clip that decodes.

    Returns:
        The properties with `turns` and `num_sizes`, by clip id.
    """
    found = dict(opened)
    sound = [clip for clip in clips if not opened[clip.clip_id].failure]
    for clip, (turns, sizes) in side_by_side(lambda clip: _header(root / clip.path), sound):
        one = opened[clip.clip_id]
        found[clip.clip_id] = replace(one, turns=turns, num_sizes=max(one.num_sizes, sizes))
        on_clip()
    return found


def _of(clip: ClipRef, frames: Frames) -> Opened:
    _, height, width, _ = frames.rgb_UHWC.shape
    provided = (clip.provided_boxes, clip.subject.boxes if clip.subject else None)
    stray = [stray_boxes(boxes, height, width) for boxes in provided if boxes]
    steps = np.diff(frames.meta.seconds_U.astype(np.float64)) / np.diff(frames.meta.index_U)
    steps = steps[np.isfinite(steps) & (steps > 0)]
    return Opened(
        num_frames=frames.meta.num_decoded,
        width_px=width,
        height_px=height,
        seconds=float(np.median(steps)) * frames.meta.num_decoded if len(steps) else math.nan,
        steadiness=float(steps.max() / steps.min()) if len(steps) else 1.0,
        num_sizes=1 + any(note.kind is NoteKind.SIZE for note in frames.meta.notes),
        notes=frames.meta.notes,
        stray_boxes=next(filter(None, stray), ""),
    )


def _header(path: Path) -> tuple[int, int]:
    """Return the quarter turns of a video, and the number of sizes of a directory's images."""
    return (0, len(picture_sizes(path))) if path.is_dir() else (quarter_turns(path), 1)

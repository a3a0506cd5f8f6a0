"""Comparison of numbers of frames: requested, stated in lists, on disk, and of face crops."""

from collections.abc import Iterator, Mapping

from pipeline.doctor.finding import Finding
from pipeline.doctor.inputs import Inputs, quoted
from pipeline.errors import counted


def check_numbers(
    inputs: Inputs, frames: Mapping[str, int], crops: Mapping[str, int], num_frames: int
) -> Iterator[Finding]:
    """Compare numbers of frames.

    Args:
        inputs: Inputs of the checks.
        frames: Number of frames by clip id, for clips where it is known.
        crops: Number of face crops by clip id, for clips that have them.
        num_frames: Frames per clip of the later extraction.
    """
    short = [f"{quoted(clip_id)} {many}" for clip_id, many in frames.items() if many < num_frames]
    odd = [
        f"{quoted(clip_id)} {many} for {frames[clip_id]}"
        for clip_id, many in crops.items()
        if clip_id in frames and frames[clip_id] != many
    ]
    claims: dict[str, str] = {}
    for _, entry in inputs.lines():
        if entry.num_frames is None or entry.clip_id is None:
            continue
        counts = {known[entry.clip_id] for known in (frames, crops) if entry.clip_id in known}
        if counts and entry.num_frames not in counts:
            there = " or ".join(map(str, sorted(counts)))
            claims[entry.clip_id] = f"{quoted(entry.clip_id)} {entry.num_frames} for {there}"
    for kind, what, cases in (
        ("short", f"with fewer frames than the {num_frames} requested", short),
        ("crops-count", "with another number of face crops than of frames", odd),
        ("claimed-count", "with another number of frames than a list states", list(claims.values())),
    ):
        if cases:
            yield Finding(kind=kind, what=f"{counted(len(cases), 'clip')} {what}", cases=tuple(cases))

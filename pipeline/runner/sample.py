"""Choice of the clips that are timed for an estimate: a few of all sizes, in blocks like those of the run."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pipeline.file_status import FileStatus
from pipeline.runner.tasks import Workload
from pipeline.store.sources import size_of
from pipeline.types import ClipRef

_MOST_SIZES = 2048
"""Most clips whose size is determined, because for a directory of images it needs the size of every image."""

Size = tuple[float, float]
"""Bytes of a clip's file or images, and seconds of the clip's window, 0 if the clip is the whole file."""


def sizes_of(
    root: Path, clips: Sequence[ClipRef | None], workload: Workload, *, with_crops: bool
) -> dict[int, Size]:
    """Return the sizes of clips that have a file. If there are more than 2048, they are evenly sampled.

    Args:
        root: Directory that the paths of clips start from.
        clips: Clips by row of the cache; None for a row that is not in the dataset.
        workload: The pending blocks.
        with_crops: Whether the size includes face crops of the dataset.

    Returns:
        Sizes by row of the cache.
    """
    rows = [row for _, block in workload.blocks for row in block if row not in workload.missing]
    sampled = rows[:: max(1, -(-len(rows) // _MOST_SIZES))]
    files = FileStatus(root)
    return {row: _size(files, clip, with_crops) for row in sampled if (clip := clips[row]) is not None}


def blocks_to_time(workload: Workload, size_by_row: Mapping[int, Size], number: int) -> list[list[int]]:
    """Make blocks that represent all blocks of the run in which a clip has a file.

    Each has as many clips with and without a file as one of the run's blocks. Together they contain clips of
    all sizes in the run's proportions, and so does each block as far as its length allows.

    Args:
        workload: The pending blocks.
        size_by_row: Sizes of the clips to choose from, by row of the cache.
        number: Number of blocks, at most that of the run.

    Returns:
        Rows of the cache, by block.
    """
    blocks = [set(rows) for rows in workload.blocks_there]
    kinds = [(float(len(rows - workload.missing)), float(len(rows & workload.missing))) for rows in blocks]
    chosen = [kinds[place] for place in spread(kinds, number)]
    rows = list(size_by_row)
    rows_there = [rows[place] for place in spread(list(size_by_row.values()), int(sum(n for n, _ in chosen)))]
    missing = sorted(set().union(*blocks) & workload.missing)
    new_blocks: list[list[int]] = [[] for _ in chosen]
    while rows_there:
        for block, (num_there, _) in zip(new_blocks, chosen, strict=True):
            if rows_there and len(block) < num_there:
                block.append(rows_there.pop())
    for block, (_, num_missing) in zip(new_blocks, chosen, strict=True):
        block += missing[: int(num_missing)]
    return [sorted(block) for block in new_blocks if not workload.missing.issuperset(block)]


def spread(sizes: Sequence[Size], number: int) -> list[int]:
    """Return the positions of `number` sizes that represent all of them, the smallest first.

    All sizes are sorted and cut into `number` parts of equal length. From each part, the size nearest to its
    mean is chosen, so that the mean of the chosen sizes is near the mean of all.
    """
    order = sorted(range(len(sizes)), key=sizes.__getitem__)
    parts = np.array_split(np.array(order), min(number, len(order))) if order else []
    return [_nearest_to_mean(part.tolist(), sizes) for part in parts]


def _nearest_to_mean(part: list[int], sizes: Sequence[Size]) -> int:
    first, second = np.array([sizes[place] for place in part]).mean(axis=0).tolist()
    return min(part, key=lambda place: (abs(sizes[place][0] - first), abs(sizes[place][1] - second)))


def _size(files: FileStatus, clip: ClipRef, with_crops: bool) -> Size:
    seconds = 0.0 if clip.end_seconds is None else clip.end_seconds - (clip.start_seconds or 0.0)
    return float(size_of(files, clip, with_crops=with_crops)), seconds

"""Estimated duration of a run, from a part of it that the run's own workers process for timing."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.errors import counted
from pipeline.runner.cache_setup import checked
from pipeline.runner.outline import Outline
from pipeline.runner.run_loop import BlockExecutor
from pipeline.runner.sample import blocks_to_time, sizes_of
from pipeline.runner.timing import Timed, Timing
from pipeline.runner.worker import model_info

FEWEST_CLIPS = 8
"""Least number of timed clips that have a file, if there are so many."""
_SHORT_SECONDS, _ENOUGH_SECONDS = 6.0, 12.0
"""If a timing is shorter than the first, more blocks are timed, so many that they take about the second."""
_EMPTY_BLOCKS_PER_THREAD = 4


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Estimated duration of a run, and the measurement behind it.

    Attributes:
        num_pending: Clips to process.
        seconds: Duration of the whole run; None if no pending clip has a file, or every timed clip failed.
        load_seconds: Part of `seconds` in which the models are loaded.
        num_timed: Clips that were timed.
        num_failed: Timed clips that failed.
        where: Description of the executor.
        num_workers: Number of workers.
        device: Name of the workers' device.
        precision: Precision of the encoder.
        stand_ins: Models with random weights, because theirs are not on this machine.
    """

    num_pending: int
    seconds: float | None
    load_seconds: float
    num_timed: int
    num_failed: int
    where: str
    num_workers: int
    device: str
    precision: str
    stand_ins: tuple[str, ...]


def estimate(outline: Outline, executor: BlockExecutor, say: Callable[[str], None] | None = None) -> Estimate:
    """Time a part of the run: blocks of clips that have a file, of all sizes, as `extract` processes them.

    The executor loads its models. An executor of `make_executor(..., for_timing=True)` uses random weights
    for models whose weights are not on this machine. Loading, the start of decoders and a first pass are not
    part of the timing. Nothing is written.

    Args:
        outline: The plan of the run.
        executor: The run's workers.
        say: Called with remarks for people, such as the number of timed clips.

    Raises:
        CacheError: The cache is of other models.
        WeightsError: Weights are damaged.
    """
    began = time.monotonic()
    if say is not None:
        say(f"{executor.where}; loading the models")
    info = model_info(executor, say)
    load_seconds = time.monotonic() - began
    opening = checked(outline.index, outline.config, info, outline.cache)
    workload, root = outline.workload, outline.index.root
    timing = Timing(executor, info, opening, root, outline.cache.resolved(), workload.missing)
    timed, seconds = Timed(seconds=0.0, num_clips=0, num_failed=0), None
    if workload.num_there:
        timed = _timed(outline, timing, say)
    if timed.num_clips > timed.num_failed:
        seconds = load_seconds + timed.seconds * workload.num_there / timed.num_clips
        seconds += _of_empty_blocks(outline, timing)
    return Estimate(
        num_pending=workload.num_clips,
        seconds=seconds,
        load_seconds=load_seconds,
        num_timed=timed.num_clips,
        num_failed=timed.num_failed,
        where=executor.where,
        num_workers=max(1, executor.num_workers),
        device=info.device,
        precision=info.precision,
        stand_ins=info.stand_ins,
    )


def _timed(outline: Outline, timing: Timing, say: Callable[[str], None] | None) -> Timed:
    """Time one block per thread and at least `FEWEST_CLIPS` clips; then more blocks, if that was quick."""
    workload, meta = outline.workload, outline.opening.meta
    sizes = sizes_of(outline.index.root, outline.opening.clips, workload, with_crops=meta.takes_crops)
    num_blocks = len(workload.blocks_there)
    blocks_per_clip = num_blocks / workload.num_there
    most = max(1, math.floor(len(sizes) * blocks_per_clip))

    def timed(number: float) -> Timed:
        blocks = blocks_to_time(workload, sizes, min(most, math.ceil(number)))
        if say is not None:
            there = sum(row not in workload.missing for rows in blocks for row in rows)
            say(
                f"timing {counted(there, 'clip')} of {workload.num_there}, in "
                f"{counted(len(blocks), 'block')}; Ctrl-C ends the timing, and the plan above stays valid"
            )
        return timing.time(blocks)

    if say is not None:
        say("starting the decoders, and a first pass that is not timed")
    fewest = max(timing.num_threads, FEWEST_CLIPS * blocks_per_clip)
    timing.warm_up(blocks_to_time(workload, sizes, min(most, math.ceil(fewest))))
    found = timed(fewest)
    if found.seconds < _SHORT_SECONDS and fewest < most:
        found = timed(fewest * _ENOUGH_SECONDS / max(found.seconds, 1e-3))
    return found


def _of_empty_blocks(outline: Outline, timing: Timing) -> float:
    """Return the seconds for blocks without any file, whose failures are recorded."""
    blocks = outline.workload.blocks_missing
    some = blocks[: _EMPTY_BLOCKS_PER_THREAD * timing.num_threads]
    return timing.time(some).seconds * len(blocks) / len(some) if some else 0.0

"""Cost of Dask with empty blocks, and gain of a second worker."""

import contextlib
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.bench.clips import prepared_clips
from pipeline.bench.result import Goal, Measured
from pipeline.executor import TaskContext
from pipeline.executor.machine import available_cores
from pipeline.process import ExtractConfig, StageSeconds
from pipeline.runner import BlockExecutor, ExecutorOptions, extract, make_executor, model_info
from pipeline.runner.block_task import BlockReport, BlockTask
from pipeline.runner.worker import SLOTS, BlockWorkerSetup
from pipeline.scratch import ScratchDirectory
from pipeline.types import ClipRef, DatasetIndex, Split

_A_MILLION = 15_625
"""Number of blocks of 64 clips in a million clips, for which the goal of the client's memory is set."""
_CLIPS_PER_BLOCK = 64
_BLOCKS_PER_WORKER, _BLOCK_OF_CPU = 6, 8
_SHORT_FRAMES, _SHORT_SAMPLED = 24, 4
_MB = 1e6


class EmptyWorker:
    """Worker that does nothing with a block."""

    def run(self, task: BlockTask, context: TaskContext) -> BlockReport:
        """Return the report of a finished block at once."""
        context.advance(float(len(task.clips)))
        return BlockReport(
            start=task.start, num_clips=len(task.clips), num_failed=0, num_pictures=0, seconds=StageSeconds()
        )

    def close(self) -> None:
        """Do nothing; there is nothing to close."""


class EmptySetup:
    """Setup of a worker without models, with as many blocks at a time as a worker with models."""

    slots, queued = BlockWorkerSetup.slots, BlockWorkerSetup.queued

    def start(self, cores: tuple[int, ...] | None = None) -> EmptyWorker:
        """Start the worker that does nothing."""
        return EmptyWorker()


def dask(num_blocks: int) -> Measured:
    """Measure seconds, and growth of this process, for empty blocks of 64 clips on two workers."""
    from pipeline.executor.cluster import ClusterExecutor

    clips = tuple(
        ClipRef(clip_id=f"part/clip-{n:08d}", path=f"part/clip-{n:08d}.mp4", label=0, splits=(Split.TRAIN,))
        for n in range(_CLIPS_PER_BLOCK)
    )
    tasks = (
        BlockTask(
            cache="none", root=Path("/none"), start=n * _CLIPS_PER_BLOCK,
            rows=tuple(range(_CLIPS_PER_BLOCK)), clips=clips, num_clips=num_blocks * _CLIPS_PER_BLOCK,
            fingerprint="",
        )
        for n in range(num_blocks)
    )  # fmt: skip
    executor = ClusterExecutor.on_cores(2, EmptySetup())
    try:
        began, before = time.perf_counter(), _resident_mb()
        done = sum(report.num_clips for _, report in executor.run(tasks) if report is not None)
        seconds, grown = time.perf_counter() - began, _resident_mb() - before
    finally:
        executor.close()
    assert done == num_blocks * _CLIPS_PER_BLOCK, done
    goal = Goal(what="Dask, growth of the client, MB", value=grown, at_least=200, aim=200, below=True)
    numbers = {"blocks": num_blocks, "seconds": seconds, "ms_per_block": 1e3 * seconds / num_blocks}
    return Measured(
        numbers=numbers | {"client_growth_mb": grown}, goals=(goal,) if num_blocks >= _A_MILLION else ()
    )


def dask_goal(ms_per_block: float, clips_per_second: float) -> Goal:
    """Return the goal for Dask's time of an empty block, divided by the time of a full block on this device.

    Args:
        ms_per_block: Result of `dask`.
        clips_per_second: Speed of a run of `extract` in the same bench.
    """
    value = 1e-3 * ms_per_block * clips_per_second / _CLIPS_PER_BLOCK
    return Goal(
        what="Dask, an empty block / a block of 64 clips here",
        value=value,
        at_least=0.05,
        aim=0.01,
        below=True,
    )


def workers(videos: Path, config: ExtractConfig, encoder: str) -> Measured:
    """Measure clips per second of one worker on one core, and of two workers on one core each.

    Each worker has its decoding process on its own core. This process, which is client and scheduler, has the
    same cores both times: the remaining ones, or the first worker's if there are none. On a machine with one
    core all processes share it, as `client_and_scheduler` shows.

    Args:
        videos: Directory of videos.
        config: The settings of all steps.
        encoder: Name of a small CLIP model, used with random weights.
    """
    small = replace(
        config,
        frames=replace(config.frames, num_frames=_SHORT_SAMPLED),
        encoder=replace(config.encoder, name=encoder, weights="random"),
    )
    cores = available_cores()
    own = cores[2:] or cores[:1]
    with ScratchDirectory("bench") as folder:
        index = prepared_clips(videos, 2 * _BLOCKS_PER_WORKER * _BLOCK_OF_CPU, folder, _SHORT_FRAMES)
        one = _on_cores(cores[:1], own, index, small)
        two = _on_cores(cores[:2], own, index, small)
    numbers = {
        "cores": len(cores),
        "client_and_scheduler": "on cores of their own" if cores[2:] else "on the first worker's core",
        "clips": len(index.clips),
        "blocks": -(-len(index.clips) // one.block_clips),
        "one_worker_clips_per_second": one.clips_per_second,
        "two_workers_clips_per_second": two.clips_per_second,
    }
    ratio = two.clips_per_second / one.clips_per_second
    return Measured(
        numbers=numbers,
        goals=(Goal(what="two workers / one, a core each", value=ratio, at_least=1.7, aim=1.9),),
    )


@dataclass(frozen=True, kw_only=True)
class _Speed:
    block_clips: int
    clips_per_second: float


def _on_cores(worker_cores: list[int], own: list[int], index: DatasetIndex, config: ExtractConfig) -> _Speed:
    """Measure the speed with a worker per core, after a run that loads the models on all workers."""
    before = available_cores()
    _move_this_process(worker_cores)
    try:
        executor = make_executor(config, ExecutorOptions(workers=len(worker_cores), decoders=1))
        try:
            _move_this_process(own)
            block_clips = model_info(executor).block_clips
            warm_up = index.clips[: 2 * SLOTS * len(worker_cores) * block_clips]
            _run(replace(index, clips=warm_up), config, executor)
            return _Speed(
                block_clips=block_clips, clips_per_second=len(index.clips) / _run(index, config, executor)
            )
        finally:
            executor.close()
    finally:
        _move_this_process(before)


def _move_this_process(cores: list[int]) -> None:
    """Restrict every thread of this process, and all threads that they start, to these cores."""
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(ProcessLookupError):  # it has ended
            os.sched_setaffinity(int(thread.name), cores)


def _run(index: DatasetIndex, config: ExtractConfig, executor: BlockExecutor) -> float:
    with ScratchDirectory("bench") as folder:
        began = time.perf_counter()
        done = extract(index, config, executor, folder / "feats.zarr")
        seconds = time.perf_counter() - began
    assert not done.failures, done.failures
    return seconds


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / _MB

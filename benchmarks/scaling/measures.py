"""Costs of the client, of Dask, of planning and of a start, measured on this machine."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import torch

from benchmarks.scaling.requests import BLOCK_CLIPS, settings
from pipeline.bench.cluster import EmptySetup
from pipeline.datasets import read_dataset
from pipeline.executor import Executor, TaskContext
from pipeline.executor.cluster import ClusterExecutor
from pipeline.executor.cluster.dispatch import Dispatch
from pipeline.footage import leaks_of_index
from pipeline.process import load_models
from pipeline.runner.cache_setup import open_cache
from pipeline.runner.model_metadata import ModelInfo
from pipeline.runner.tasks import RunOptions, Workload, blocks_to_do, tasks_of
from pipeline.store.claim import Claim
from pipeline.store.location import Location
from pipeline.store.reader import FeatureCache
from pipeline.store.writer import CacheWriter
from pipeline.types import DatasetIndex, Status

_SLOTS, _QUEUED = EmptySetup.slots, EmptySetup.queued
_LOOP_WORKERS = (25, 50, 100, 200, 400)
_EVENTS_PER_TASK, _EVENT_TASKS = 200, 20


def planning_seconds(num_clips: int) -> dict[str, float]:
    """Return seconds of this process per clip for the steps of `extract` before the first block.

    No file of a clip exists. The steps are those of a new cache on a local disk.

    Args:
        num_clips: Number of clips in the list.
    """
    with TemporaryDirectory(prefix="ous-planning-") as folder:
        config, info = settings()
        place = Location(str(Path(folder) / "feats.zarr"))
        stages, last = {}, time.process_time()

        def ended(stage: str) -> None:
            nonlocal last
            now = time.process_time()
            stages[stage], last = (now - last) / num_clips, now

        index = _index_of(Path(folder), num_clips)
        ended("list")
        leaks_of_index(index)
        ended("leaks")
        opening = open_cache(index, config, info, place)
        ended("create")
        workload = Workload.of(index.root, opening.clips, blocks_to_do(opening, RunOptions()))
        claim = Claim(place=str(place), name="whole", token="")
        num_tasks = sum(1 for _ in tasks_of(index.root, opening.clips, claim, opening.meta, workload))
        ended("plan")
    assert num_tasks == -(-num_clips // info.block_clips), num_tasks
    return stages


def loop_seconds_per_worker(repeats: int = 200) -> float:
    """Return the seconds that a wake-up of the client takes for each worker when none has room.

    A wake-up looks for room at every worker and for tasks of dead workers, as `ClusterExecutor.run` does.
    """
    costs = []
    for number in _LOOP_WORKERS:
        workers = {f"tls://10.0.0.{n}:40000": _SLOTS for n in range(number)}
        dispatch = Dispatch(iter(range(number * 10)), _SLOTS, _QUEUED)
        out = {str(n): (None, assigned) for n, assigned in enumerate(dispatch.assign(workers))}
        began = time.perf_counter()
        for _ in range(repeats):
            assert not dispatch.assign(workers)
            assert not [key for key, (_, at) in out.items() if at.address not in workers]
        costs.append((time.perf_counter() - began) / repeats / number)
    return median(costs)


@dataclass
class SleepingWorker:
    """Worker whose blocks take one of two slots, then the device alone, then the slot for writing."""

    device_seconds: float
    write_seconds: float
    device: Any = None

    def __post_init__(self) -> None:
        self.device = threading.Lock()

    def run(self, task: int, context: TaskContext) -> int:
        """Sleep, with the device locked for its part."""
        with self.device:
            time.sleep(self.device_seconds)
        time.sleep(self.write_seconds)
        return task

    def close(self) -> None:
        """Do nothing; there is nothing to close."""


@dataclass(frozen=True)
class SleepingSetup:
    """Setup of a `SleepingWorker`, with as many blocks at a time as a worker with models."""

    device_seconds: float
    write_seconds: float
    slots: ClassVar[int] = _SLOTS
    queued: ClassVar[int] = _QUEUED

    def start(self, cores: tuple[int, ...] | None = None) -> SleepingWorker:
        """Start the worker."""
        return SleepingWorker(self.device_seconds, self.write_seconds)


class EventWorker:
    """Worker whose tasks report progress many times, without the pause of a real task between two reports."""

    def run(self, task: int, context: TaskContext) -> int:
        """Send progress as `worker_plugin.run` does."""
        from distributed import get_worker

        for _ in range(task):
            get_worker().log_event("ous-events", 1.0)
        return task

    def close(self) -> None:
        """Do nothing; there is nothing to close."""


class EventSetup:
    """Setup of an `EventWorker`."""

    slots, queued = _SLOTS, _QUEUED

    def start(self, cores: tuple[int, ...] | None = None) -> EventWorker:
        """Start the worker."""
        return EventWorker()


def _timed(executor: Executor[Any, Any], tasks: list[int]) -> float:
    """Return the seconds in which two workers run the tasks, after one task each."""
    for _ in executor.run([tasks[0]] * 2):
        pass
    began = time.perf_counter()
    done = sum(1 for _ in executor.run(tasks))
    assert done == len(tasks), done
    return time.perf_counter() - began


def event_seconds() -> float:
    """Return the seconds that scheduler, client and workers on the same cores need for a progress report."""
    executor: Any = ClusterExecutor.on_cores(2, EventSetup())
    received, all_of_them = [0], threading.Event()
    expected = _EVENTS_PER_TASK * _EVENT_TASKS

    def count(_: Any) -> None:
        received[0] += 1
        if received[0] >= expected:
            all_of_them.set()

    try:
        executor._client.subscribe_topic("ous-events", count)  # as the executor itself does
        _timed(executor, [0] * _EVENT_TASKS)
        began = time.perf_counter()
        for _ in executor.run([_EVENTS_PER_TASK] * _EVENT_TASKS):
            pass
        if not all_of_them.wait(60):
            msg = f"{received[0]} of {expected} progress reports arrived within 60 s."
            raise RuntimeError(msg)
        return (time.perf_counter() - began) / expected
    finally:
        executor.close()


def chunk_seconds(num_blocks: int = 300) -> tuple[float, float]:
    """Return the CPU time for reading one small chunk from a local disk by zarr, and without zarr."""
    with TemporaryDirectory(prefix="ous-chunks-") as folder:
        index, place = (
            _index_of(Path(folder), num_blocks * BLOCK_CLIPS),
            Location(str(Path(folder) / "feats.zarr")),
        )
        config, info = settings()
        writer = CacheWriter(place, open_cache(index, config, _narrow(info), place).meta)
        for start in range(0, num_blocks * BLOCK_CLIPS, BLOCK_CLIPS):
            rows = writer.empty_rows(start)
            rows["status"][:] = Status.DONE
            writer.write_block(start, rows)
        with FeatureCache.open(place) as cache:
            by_zarr, by_program = (
                _cpu_seconds(read) / num_blocks
                for read in (lambda: cache._arrays["status"][:], lambda: cache.read("status"))
            )
        return by_zarr, by_program


def _index_of(folder: Path, num_clips: int) -> DatasetIndex:
    """Write a manifest of clips without files, and read it."""
    lines = (
        f"part{n // 1000}/clip{n:08d}.mp4,anger,{'train' if n % 5 else 'test'},1\n" for n in range(num_clips)
    )
    (folder / "manifest.csv").write_text("path,label,split,fold\n" + "".join(lines), encoding="utf-8")
    return read_dataset("manifest", folder / "manifest.csv")


def _narrow(info: ModelInfo) -> ModelInfo:
    return replace(info, embed_width=1, encoder_width=1)


def cluster_start_seconds() -> float:
    """Return the seconds from the call to two workers that have each run a task, without models."""
    began = time.perf_counter()
    executor: Any = ClusterExecutor.on_cores(2, SleepingSetup(0, 0))
    try:
        for _ in executor.run(range(8)):
            pass
        return time.perf_counter() - began
    finally:
        executor.close()


def load_seconds() -> float:
    """Return the seconds for loading ViT-L/14 on the CPU, with the drawing of random weights."""
    config, _ = settings()
    return _seconds(lambda: load_models(config, torch.device("cpu")))


def _cpu_seconds(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def two_workers_seconds(num_blocks: int, device_seconds: float, write_seconds: float) -> float:
    """Return the seconds in which two real Dask workers process blocks that only sleep."""
    executor: Any = ClusterExecutor.on_cores(2, SleepingSetup(device_seconds, write_seconds))
    try:
        return _timed(executor, list(range(num_blocks)))
    finally:
        executor.close()

"""The loop over blocks ends within about a second if its lock is taken over, and reads it no more often."""

import time
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from pipeline.errors import CacheError
from pipeline.process import StageSeconds
from pipeline.runner.block_task import BlockReport
from pipeline.runner.run_loop import run_blocks
from pipeline.store.location import Location
from pipeline.store.lock import hold
from pipeline.store.lock_records import records_of

NUM_BLOCKS, ROBBED = 40, 10


class QuickBlocks:
    """Executor whose blocks take `seconds` each by the lock's clock. at_block: called with each number."""

    num_workers, is_waiting, warnings = 1, False, ()

    def __init__(self, seconds, clock, at_block=lambda _: None):
        self.seconds, self.clock, self.at_block = seconds, clock, at_block
        self.num_done = 0

    def run(self, tasks, observer):
        for task in tasks:
            observer.on_tick()
            self.at_block(task)
            self.clock.now += self.seconds
            self.num_done += 1
            yield (
                task,
                BlockReport(start=task, num_clips=1, num_failed=0, num_pictures=1, seconds=StageSeconds()),
            )


@pytest.fixture
def clock(monkeypatch):
    """The lock's clock, which stands still."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(
        "pipeline.store.lock.time",
        SimpleNamespace(monotonic=lambda: clock.now, time=time.time, sleep=time.sleep),
    )
    return clock


def run(executor, lock):
    info = SimpleNamespace(num_decoders=1)
    return run_blocks(executor, range(NUM_BLOCKS), NUM_BLOCKS, info, lock)


@pytest.mark.parametrize(("seconds", "num_reads"), [(0.001, 2), (0.25, 11), (1.0, 41), (30.0, 41)])
def test_the_lock_is_read_once_a_second_and_after_the_last_block(
    tmp_path, clock, monkeypatch, seconds, num_reads
):
    place, reads = tmp_path / "feats.zarr", []
    records = type(records_of(Location.of(place)))
    with hold(place, beat_seconds=600) as lock, monkeypatch.context() as patch:
        real = records.read
        patch.setattr(records, "read", lambda self, name: (reads.append(name), real(self, name))[1])
        found = run(QuickBlocks(seconds, clock), lock)
    assert found.speed.clips == NUM_BLOCKS
    assert len(reads) == num_reads


@pytest.mark.parametrize(
    ("seconds", "most_blocks"), [(0.001, NUM_BLOCKS), (0.25, ROBBED + 5), (30, ROBBED + 1)]
)
def test_a_run_whose_lock_is_taken_over_ends_within_a_second_or_its_block(
    tmp_path, clock, seconds, most_blocks
):
    place = tmp_path / "feats.zarr"
    with ExitStack() as robber, hold(place, beat_seconds=600) as lock:

        def rob(number):
            if number == ROBBED:
                robber.enter_context(hold(place, take_over=True, beat_seconds=600))

        executor = QuickBlocks(seconds, clock, rob)
        with pytest.raises(CacheError, match="was taken over by .*; this run ends here"):
            run(executor, lock)
        assert ROBBED < executor.num_done <= most_blocks

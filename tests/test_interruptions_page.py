"""docs/interruptions.md: its numbers are those of the program."""

from pathlib import Path

import pytest

from pipeline.process import Pace
from pipeline.runner.worker import _SECONDS_OF_BUCKET, SLOTS
from pipeline.store.block_size import choose_block_clips
from pipeline.store.lock_owner import BEAT_SECONDS
from trainer.prediction import clip_session
from trainer.training_state import _LARGEST_SHARE

TEXT = " ".join((Path(__file__).parents[1] / "docs/interruptions.md").read_text().split())


@pytest.mark.parametrize(
    ("tokens", "device", "shown"),
    [
        ("cls", "cuda", "A block has {} clips if the cache was begun on a GPU"),
        ("cls", "cpu", ", {} on a CPU"),
        ("all", "cuda", ", {} with `--tokens all`"),
    ],
)
def test_the_sizes_of_blocks(tokens, device, shown):
    assert shown.format(choose_block_clips(tokens, device)) in TEXT


def test_the_blocks_in_work_of_a_worker():
    assert SLOTS == 2
    assert "the blocks in work, at most two per worker" in TEXT


def test_the_work_of_a_block_that_may_be_lost():
    assert f"with its finished clips after every {Pace().seconds:g} s of work" in TEXT
    assert f"({_SECONDS_OF_BUCKET:g} s on object storage)" in TEXT


def test_the_block_of_a_list():
    assert f"every block of {clip_session._BLOCK} clips" in TEXT


def test_the_time_that_a_training_may_lose():
    assert f"takes at most {_LARGEST_SHARE:.0%} of the time since the last state" in TEXT
    times = round(1 / _LARGEST_SHARE)
    assert f"less than {times} times the time of storing plus one epoch" in TEXT
    assert f"if storing takes 2 s and an epoch 10 s, less than {2 * times + 10} s are lost" in TEXT


def test_the_time_until_a_lock_of_another_machine_is_taken():
    assert f"it waits for {3 * BEAT_SECONDS:g} s and takes the lock" in TEXT

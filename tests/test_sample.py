import numpy as np
import pytest

from pipeline.runner.sample import blocks_to_time, sizes_of, spread
from pipeline.runner.tasks import Workload
from pipeline.types import ClipRef, Split


def workload(num_clips: int, block: int, missing=()) -> Workload:
    blocks = [
        (start, list(range(start, min(start + block, num_clips)))) for start in range(0, num_clips, block)
    ]
    return Workload(blocks=blocks, missing=frozenset(missing))


@pytest.mark.parametrize("number", [8, 16, 50])
def test_those_that_are_taken_stand_for_all_sizes(number):
    lengths = np.random.default_rng(0).lognormal(0, 1, 5000)
    taken = spread([(length, 0.0) for length in lengths], number)
    assert len(set(taken)) == number
    assert lengths[taken].mean() == pytest.approx(lengths.mean(), rel=0.02)
    assert lengths[taken].max() > 5 * np.median(lengths)


def test_windows_of_one_file_are_spread_by_their_seconds():
    taken = spread([(9.0, float(second)) for second in range(40)], 4)
    assert taken == [4, 14, 24, 34]
    assert spread([], 3) == []
    assert spread([(1.0, 0.0)] * 2, 9) == [0, 1]


def test_whole_blocks_of_clips_that_are_there_hold_clips_of_all_sizes():
    sizes = {row: (float(row), 0.0) for row in range(80)}
    blocks = blocks_to_time(workload(80, 8), sizes, 2)
    assert [len(rows) for rows in blocks] == [8, 8]
    assert [np.mean(rows) for rows in blocks] == pytest.approx([39.5, 39.5], abs=3)
    assert not set(blocks[0]) & set(blocks[1])


def test_blocks_have_as_many_clips_without_a_file_as_those_of_the_run():
    there = [3, 4, 11, 33]
    work = workload(64, 8, missing=set(range(64)) - set(there))
    assert [len(rows) for rows in work.blocks_there] == [8, 8, 8]
    assert len(work.blocks_missing) == 5
    blocks = blocks_to_time(work, {row: (1.0, 0.0) for row in there}, 3)
    assert sorted(sum(row in there for row in rows) for rows in blocks) == [1, 1, 2]
    assert [len(rows) for rows in blocks] == [8, 8, 8]


def test_all_blocks_are_taken_where_there_are_few():
    blocks = blocks_to_time(workload(12, 8), {row: (1.0, 0.0) for row in range(12)}, 5)
    assert sorted(row for rows in blocks for row in rows) == list(range(12))


def test_sizes_are_those_of_files_and_windows(tmp_path):
    (tmp_path / "a.mp4").write_bytes(bytes(10))
    clips = [
        ClipRef(clip_id=str(n), path=name, label=0, splits=(Split.TRAIN,), start_seconds=1.0, end_seconds=end)
        for n, (name, end) in enumerate([("a.mp4", None), ("a.mp4", 3.5), ("gone.mp4", None)])
    ]
    found = sizes_of(tmp_path, clips, workload(3, 8, missing=[2]), with_crops=False)
    assert found == {0: (10.0, 0.0), 1: (10.0, 2.5)}

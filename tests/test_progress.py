import dataclasses

import pytest

from pipeline.display.json_values import to_json_values
from pipeline.process import StageSeconds
from pipeline.runner import executor_of, model_info
from pipeline.runner.block_task import BlockReport
from pipeline.runner.progress import Progress
from tests.small_clips import small_models


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("pipeline.runner.progress.time.monotonic", lambda: now[0])
    return now


def block(**seconds):
    return BlockReport(start=0, num_clips=8, num_failed=1, num_pictures=224, seconds=StageSeconds(**seconds))


def test_rates_and_shares_of_the_wall_time(clock):
    info = dataclasses.replace(model_info(executor_of(small_models())), num_decoders=4)
    progress = Progress(80, info, num_workers=2)
    for part in (3.0, 5.0):
        progress.advance(part)
    clock[0] += 10
    progress.finish(block(decode=40.0, detect=4.0, encode=12.0, write=1.0))
    speed = progress.speed()
    assert (speed.clips, speed.total, speed.failed, speed.pictures, speed.seconds) == (8, 80, 1, 224, 10)
    assert (speed.clips_per_second, speed.pictures_per_second) == (0.8, 22.4)
    assert speed.busy == pytest.approx({"decode": 0.5, "detect": 0.2, "encode": 0.6, "write": 0.05})
    assert speed.bottleneck == "encode"
    told = "0.80 clips/s; 22 images/s; 1 failed; busy: decode 50%, detect 20%, encode 60%, write 5%"
    assert str(speed) == told
    assert to_json_values(speed)["busy"]["decode"] == 0.5


def test_a_run_that_has_not_begun_has_no_bottleneck(clock):
    progress = Progress(8, model_info(executor_of(small_models())), num_workers=1)
    assert progress.speed().bottleneck == ""
    assert str(progress.speed()) == "0.00 clips/s"


def test_a_block_that_is_done_twice_does_not_count_beyond_the_whole(clock):
    progress = Progress(8, model_info(executor_of(small_models())), num_workers=1)
    progress.advance(8)
    progress.advance(8)
    assert progress.speed().clips == 8

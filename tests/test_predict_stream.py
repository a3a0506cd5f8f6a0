"""Answers for a stream equal those for a video of its frames, and arrive while it runs."""

from itertools import islice

import numpy as np
import pytest

from pipeline.config import override
from pipeline.errors import ConfigError
from pipeline.frames import InlineDecoder
from pipeline.process.windows import scan_source, stream_frames
from tests.pixel_faces import pixel_models, two_people
from tests.tiny_cache import tiny_cache
from trainer import load_run, predict, predict_stream
from trainer.prediction.extraction import RunModels
from trainer.presets import smoke
from trainer.training import train

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")
RATE = 10.0
OPTIONS = {"window": 0.8, "stride": 0.4, "min_face": 0}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run, models, a video of two people, and its frames."""
    folder = tmp_path_factory.mktemp("stream")
    cache = tiny_cache(folder / "feats.zarr")
    train(cache, folder / "run", override(smoke(), ["schedule.max_epochs=1"]), device="cpu")
    path = two_people(folder / "two.mp4")
    scan = scan_source(path, cuts=None, decoder=InlineDecoder())
    frames = [one.rgb_HWC for one in stream_frames(path, scan, range(scan.num_frames), InlineDecoder())]
    models = RunModels(models=pixel_models(), identity={}, banners=())
    return load_run(folder / "run", device="cpu"), models, path, frames


def test_the_answers_are_those_for_the_video(made):
    run, models, path, frames = made
    with predict(run, path, shots="none", models=models, **OPTIONS) as prediction:
        of_video = {(one.first_frame, one.track): one for one in prediction.windows}
    found = list(predict_stream(run, frames, rate=RATE, models=models, **OPTIONS))
    assert len({one.first_frame for one in found}) == 11
    assert {one.track for one in found} >= {"s00p1", "s00p2"}
    for one in found:
        other = of_video[one.first_frame, one.track]
        assert (one.answer, one.probability, one.margin) == (other.answer, other.probability, other.margin)
        assert (one.start_seconds, one.num_frames, one.frames_found, one.box_xyxy_px) == (
            other.start_seconds, other.num_frames, other.frames_found, other.box_xyxy_px,
        )  # fmt: skip
        assert one.with_other_scenes == other.with_other_scenes


def test_an_answer_arrives_with_the_last_sampled_frame_of_its_window(made):
    run, models, _, frames = made
    read = []

    def camera():
        for number in range(10**9):
            read.append(number)
            yield frames[number % len(frames)]

    for answer in islice(predict_stream(run, camera(), rate=RATE, models=models, **OPTIONS), 12):
        assert answer.first_frame < read[-1] < answer.first_frame + answer.num_frames


def test_the_memory_of_the_caller_may_be_used_again(made):
    run, models, _, frames = made
    memory = np.empty_like(frames[0])

    def reused():
        for frame in frames:
            memory[:] = frame
            yield memory

    again, plain = (
        [one.probability for one in predict_stream(run, given, rate=RATE, models=models, **OPTIONS)]
        for given in (reused(), frames)
    )
    assert again == plain


def test_the_stream_ends_with_the_planned_time(made):
    run, models, _, frames = made
    read = []
    given = (read.append(1) or frame for frame in frames)
    found = list(predict_stream(run, given, rate=RATE, models=models, most_hours=2 / 3600, **OPTIONS))
    assert len(read) == 20
    assert max(one.first_frame + one.num_frames for one in found) <= 20


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (np.zeros((8, 8), np.uint8), r"is uint8 \[8, 8\]; RGB images are needed"),
        (np.zeros((8, 8, 3)), r"is float64 \[8, 8, 3\]; RGB images are needed"),
        ("frame.png", "is str; RGB images are needed"),
        (np.zeros((8, 9, 3), np.uint8), r"has shape \(8, 9, 3\), and those before have"),
    ],
)
def test_a_frame_that_is_no_image_of_this_stream_is_one_line(made, frame, message):
    run, models, _, frames = made
    with pytest.raises(ConfigError, match=rf"Frame 1 of the stream {message}"):
        list(predict_stream(run, [frames[0], frame], rate=RATE, models=models, **OPTIONS))


def test_a_window_with_too_few_frames_is_rejected_before_models_load(made, monkeypatch):
    run, models, _, _ = made
    monkeypatch.setattr("trainer.prediction.stream.check_run", lambda *_, **__: models.models.config)
    monkeypatch.setattr("trainer.prediction.stream.load_run_models", lambda *_, **__: pytest.fail("loaded"))
    with pytest.raises(ConfigError, match="--window 0.1 s has 1 frame"):
        predict_stream(run, [], rate=RATE, window=0.1)


@pytest.mark.parametrize("rate", [0, -1, float("nan"), 1e6])
def test_a_rate_out_of_range_is_rejected_before_models_load(made, rate):
    with pytest.raises(ConfigError, match="rate is"):
        predict_stream(made[0], [], rate=rate)

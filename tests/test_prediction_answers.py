"""The answer for a window does not depend on the windows beside it."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.config import override
from pipeline.process.windows import Window, WindowSample
from pipeline.types import Features
from tests.tiny_cache import tiny_cache
from trainer.prediction.answers import Answerer, Head
from trainer.presets import smoke
from trainer.runs import load_run
from trainer.training import train

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")
SECONDS = np.arange(100) / 10


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("answers")
    cache = tiny_cache(folder / "feats.zarr")
    train(cache, folder / "run", override(smoke(), ["schedule.max_epochs=1"]), device="cpu")
    return load_run(folder / "run", device="cpu")


def sample_of(number, run, reason=""):
    random, info = np.random.default_rng(number), run.info
    t, valid = info.num_frames, 2 if number % 5 == 0 else info.num_frames
    features = Features(
        face_embedding=random.normal(size=(1, t, info.embed_width)).astype(np.float16),
        scene_embedding=random.normal(size=(1, t, info.embed_width)).astype(np.float16),
        scene_early=random.normal(size=(1, t, 4, 3, info.encoder_width)).astype(np.float16),
    )
    window = Window(first=number, num_frames=16, shot=0, is_short=number == 3, index_U=np.arange(4) + number)
    return WindowSample(
        window=window, track="s00p1", frames_found=4, num_sampled=4,
        box_xyxy_px=np.array([1.234, 2, 3, 4], np.float32),
        is_doubtful=number == 4, has_gap=False, reason=reason, features=None if reason else features,
        valid_T=np.arange(t) < valid, in_view_T=np.arange(t) < valid,
    )  # fmt: skip


def answerer(run, end_seconds=10.0, seconds=SECONDS):
    return Answerer(Head(run), video="a.mp4", seconds_N=seconds, end_seconds=end_seconds)


def test_answers_do_not_depend_on_their_batch(run):
    samples = [sample_of(number, run, "no face was found" if number % 7 == 6 else "") for number in range(40)]
    together = answerer(run).answers(samples)
    assert [one.first_frame for one in together] == list(range(40))
    for size in (1, 3, 17):
        parts = [samples[start : start + size] for start in range(0, 40, size)]
        assert [one for part in parts for one in answerer(run).answers(part)] == together


def test_an_answer_has_its_window_and_a_reason_only_without_one(run):
    found = answerer(run).answers([sample_of(number, run) for number in (3, 4, 84)])
    assert [one.flags for one in found] == [("short",), ("doubtful",), ()]
    assert [(one.start_seconds, one.end_seconds) for one in found] == [(0.3, 1.9), (0.4, 2.0), (8.4, 10.0)]
    assert found[0].box_xyxy_px == (1.23, 2.0, 3.0, 4.0)
    for one in found:
        largest, second = sorted(one.probability.values(), reverse=True)[:2]
        assert one.margin == pytest.approx(largest - second, abs=2e-6)
        assert one.reason is None
    (without,) = answerer(run).answers([replace(sample_of(1, run, "too small"))])
    assert (without.answer, without.probability, without.margin, without.reason) == (
        None,
        None,
        None,
        "too small",
    )


def test_without_times_windows_have_none(run):
    (one,) = answerer(run, np.nan, np.full(100, np.nan)).answers([sample_of(1, run)])
    assert (one.start_seconds, one.end_seconds, one.first_frame) == (None, None, 1)

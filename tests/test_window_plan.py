"""Windows are inside shots, cover them, share frames, and are those that `extract` samples."""

from itertools import pairwise

import numpy as np
import pytest

from pipeline.config import from_dict
from pipeline.errors import ConfigError
from pipeline.frames import FOLDER_RATE, sample_indices
from pipeline.process import ExtractConfig
from pipeline.process.windows import WindowPlan, clock_of, plan_windows
from pipeline.process.windows.plan import _timed_spans, meta_of


def config(num_frames=16, *, num_views=1, rate=None):
    sections = {"frames": {"num_frames": num_frames, "num_views": num_views}}
    return from_dict(ExtractConfig, sections | ({} if rate is None else {"detector": {"rate": rate}}))


def steady(num_frames, rate, digits=None):
    seconds = np.arange(num_frames) / rate
    return (seconds if digits is None else seconds.round(digits)), num_frames / rate


def plan(seconds_N, until, cuts=(), *, window=2.0, stride=0.5, settings=None, **part):
    made = plan_windows(
        seconds_N, until, cuts, settings or config(), window_seconds=window, stride_seconds=stride, **part
    )
    require_sound(made, len(seconds_N), settings or config())
    return made


def require_sound(made: WindowPlan, num_frames, settings):
    """Rules of every plan: order, shots, frames that `extract` samples, and no window twice."""
    assert all(0 <= window.first < window.end <= num_frames for window in made.windows)
    assert len({(window.first, window.end) for window in made.windows}) == len(made.windows)
    order = [(int(window.index_U[-1]), window.first) for window in made.windows]
    assert order == sorted(order)
    for window in made.windows:
        assert made.shots[window.shot] <= window.first < window.end <= made.shots[window.shot + 1]
        assert made.shot_of(window.first) == made.shot_of(window.end - 1) == window.shot
        sampled = window.first + sample_indices(window.num_frames, settings.frames)[0]
        assert set(sampled.ravel().tolist()) <= set(window.index_U.tolist())
        assert (np.diff(window.index_U) > 0).all()
        assert window.is_short >= (len(np.unique(sampled[0])) < settings.frames.num_frames)
    assert made.wanted.tolist() == sorted({n for window in made.windows for n in window.index_U.tolist()})


def spans(made):
    return sorted((window.first, window.end) for window in made.windows)


@pytest.mark.parametrize(
    ("rate", "window", "stride", "per_second"),
    [(12, 32, 6, 6.0), (15, 32, 8, 7.5), (24, 48, 12, 8.0), (25, 48, 12, 8.33), (30, 64, 16, 7.5),
     (50, 96, 24, 8.33), (60, 128, 32, 7.5), (30000 / 1001, 64, 16, 7.49), (120, 240, 60, 8.0)],
)  # fmt: skip
@pytest.mark.parametrize("digits", [None, 3])
def test_windows_of_a_constant_rate_share_their_frames(rate, window, stride, per_second, digits):
    made = plan(*steady(int(60 * rate), rate, digits))
    assert (made.window_frames, made.stride_frames) == (window, stride)
    assert made.window_seconds == pytest.approx(window / rate, rel=1e-4)
    assert made.stride_seconds == pytest.approx(stride / rate, rel=1e-4)
    whole = made.windows[:-1]
    assert [one.first for one in whole] == [n * stride for n in range(len(whole))]
    assert {one.num_frames for one in made.windows} == {window}
    assert made.windows[-1].end == int(60 * rate)
    assert len(made.wanted) / 60 == pytest.approx(per_second, rel=0.04)
    assert not any(one.is_short for one in made.windows)


def test_the_last_window_of_a_shot_ends_with_it():
    made = plan(*steady(100, 25))
    assert spans(made) == [(0, 48), (12, 60), (24, 72), (36, 84), (48, 96), (52, 100)]
    exact = plan(*steady(96, 25))
    assert spans(exact) == [(0, 48), (12, 60), (24, 72), (36, 84), (48, 96)]


def test_windows_begin_again_with_every_shot_and_short_ones_are_whole():
    made = plan(*steady(200, 25), cuts=(70, 80, 81, 129))
    assert made.shots == (0, 70, 80, 81, 129, 200)
    by_shot = {n: [(w.first, w.end) for w in made.windows if w.shot == n] for n in range(5)}
    assert by_shot == {
        0: [(0, 48), (12, 60), (22, 70)],
        1: [(70, 80)],
        2: [(80, 81)],
        3: [(81, 129)],
        4: [(129, 177), (141, 189), (152, 200)],
    }
    assert [w.shot for w in made.windows if w.is_short] == [1, 2]
    (one,) = [w for w in made.windows if w.shot == 2]
    assert one.index_U.tolist() == [80]


def test_a_stride_beyond_the_window_leaves_parts_out():
    made = plan(*steady(500, 25), window=2.0, stride=5.0)
    assert made.stride_frames == 126
    assert spans(made) == [(0, 48), (126, 174), (252, 300), (378, 426)]
    seconds_N = variable(500)
    sparse = plan(seconds_N, seconds_N[-1] + 0.04, window=2.0, stride=5.0)
    starts = [float(seconds_N[window.first]) for window in sparse.windows]
    assert all(later - earlier == pytest.approx(5, abs=0.1) for earlier, later in pairwise(starts))


@pytest.mark.parametrize("num_frames", [1, 2, 15, 16, 17])
def test_the_shortest_sources_are_one_window(num_frames):
    made = plan(*steady(num_frames, 25))
    assert spans(made) == [(0, num_frames)]
    assert made.windows[0].is_short


def test_the_part_between_start_and_end_is_used_alone():
    seconds_N, end = steady(500, 25)
    made = plan(seconds_N, end, (100, 200, 300), start=5.0, end=10.0)
    assert made.shots == (125, 200, 250)
    assert (made.windows[0].first, made.windows[-1].end) == (125, 250)
    assert plan(seconds_N, end, (125,), start=5.0).shots == (125, 500)
    for part, message in (
        ({"start": 20.0}, r"No frame begins from 20 s; the last frame begins at 19\.96 s"),
        ({"end": 0.0}, "No frame begins before 0 s"),
        ({"start": 3.01, "end": 3.02}, "No frame begins from 3.01 s before 3.02 s"),
        ({"start": 9.0, "end": 3.0}, "Change --start or --end"),
    ):
        with pytest.raises(ConfigError, match=message):
            plan(seconds_N, end, **part)


@pytest.mark.parametrize(("rate", "least"), [(25, 0.64), (12, 1.34), (60, 0.27), (1, 16.0)])
def test_a_window_with_fewer_frames_than_the_model_is_refused_with_the_shortest(rate, least):
    seconds_N, end = steady(40 * rate, rate)
    message = rf"the model takes 16, so that frames would be repeated; allowed: --window {least:g} or longer"
    with pytest.raises(ConfigError, match=message):
        plan(seconds_N, end, window=0.6 * least)
    assert not any(window.is_short for window in plan(seconds_N, end, window=least).windows)


def variable(num_frames, seed=0):
    steps = np.random.default_rng(seed).uniform(0.01, 0.07, num_frames)
    return np.cumsum(steps) - steps[0]


def test_windows_of_a_variable_rate_begin_and_end_at_times():
    seconds_N = variable(800)
    end = float(seconds_N[-1] + 0.04)
    made = plan(seconds_N, end, (303, 310))
    assert (made.window_frames, made.stride_frames) == (None, None)
    assert (made.window_seconds, made.stride_seconds) == (2.0, 0.5)
    times = np.append(seconds_N, end)
    for window in made.windows:
        if not window.is_short:
            assert times[window.end] - times[window.first] == pytest.approx(2.0, abs=0.15)
            assert window.end - window.first >= 16
    for shot in (0, 2):
        own = [window for window in made.windows if window.shot == shot]
        assert (own[0].first, max(window.end for window in own)) == (made.shots[shot], made.shots[shot + 1])


def test_a_gap_in_the_times_makes_no_empty_window_and_few_frames_are_flagged():
    seconds_N = np.concatenate([np.arange(100) / 25, 10.0 + np.arange(3) * 0.9, 20.0 + np.arange(100) / 25])
    made = plan(seconds_N, 24.0)
    few = [window for window in made.windows if window.num_frames < 16]
    assert few
    assert all(window.is_short for window in few)
    assert {n for window in made.windows for n in range(window.first, window.end)} == set(range(203))


def test_an_enormous_gap_does_not_take_longer():
    seconds_N = np.concatenate([np.arange(5000) / 500, 1e9 + np.arange(100) / 25])
    spans = list(_timed_spans(0, 5100, np.append(seconds_N, 1e9 + 4.0), 4.0, 0.01))
    assert (spans[0], spans[-1]) == ((0, 2000, False), (5000, 5100, False))
    assert len(dict.fromkeys(spans)) < 2000


def test_frames_of_one_time_are_one_window():
    made = plan(np.zeros(40), 0.0)
    assert spans(made) == [(0, 40)]


def test_images_without_times_count_as_frames_of_a_rate():
    clock_N = clock_of(np.full(80, np.nan))
    assert np.array_equal(clock_N, np.arange(80) / FOLDER_RATE)
    timed = variable(10)
    assert clock_of(timed) is timed
    made = plan(clock_N, 80 / FOLDER_RATE, window=44 / FOLDER_RATE, stride=12 / FOLDER_RATE)
    assert (made.window_frames, made.stride_frames) == (48, 12)


@pytest.mark.parametrize("num_views", [1, 2, 3])
def test_frames_of_a_window_are_those_of_a_clip_with_its_times(num_views):
    settings = config(16, num_views=num_views, rate=12.5)
    seconds_N, end = steady(130, 25)
    made = plan(seconds_N, end, settings=settings)
    for window in (*made.windows[:2], made.windows[-1]):
        meta = meta_of(window, seconds_N, settings, 48, 64)
        index_VT, valid_VT = sample_indices(window.num_frames, settings.frames)
        assert np.array_equal(meta.index_U[meta.position_VT], index_VT)
        assert np.array_equal(meta.valid_VT, valid_VT)
        assert set(range(0, window.num_frames, 2)) <= set(meta.index_U.tolist())
        assert np.array_equal(meta.seconds_U, seconds_N[window.index_U].astype(np.float32))
        assert meta.num_decoded == window.num_frames
        assert meta.flip_V == (False, True, False)[:num_views]

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.frames import FrameConfig, is_mirrored, sample_indices, view_offset


def config(num_frames: int = 4, num_views: int = 1) -> FrameConfig:
    return FrameConfig(num_frames=num_frames, num_views=num_views)


def test_indices_lie_in_the_middle_of_equal_parts():
    # parts of 2.5 frames: floor(1.25), floor(3.75), floor(6.25), floor(8.75)
    index, valid = sample_indices(10, config(4))
    assert index.tolist() == [[1, 3, 6, 8]]
    assert valid.all()


def test_as_many_frames_as_asked_gives_each_once():
    assert sample_indices(4, config(4))[0].tolist() == [[0, 1, 2, 3]]


def test_a_short_clip_repeats_its_last_frame_as_invalid():
    index, valid = sample_indices(3, config(5, num_views=2))
    assert index.tolist() == [[0, 1, 2, 2, 2]] * 2
    assert valid.tolist() == [[True, True, True, False, False]] * 2


def test_further_views_move_within_the_parts():
    # parts of 4 frames: offsets 1/2, 1/2 (mirrored), 1/4, 3/4, 1/8
    index, _ = sample_indices(8, config(2, num_views=5))
    assert index.tolist() == [[2, 6], [2, 6], [1, 5], [3, 7], [0, 4]]
    assert [view_offset(v) for v in range(8)] == [1 / 2, 1 / 2, 1 / 4, 3 / 4, 1 / 8, 5 / 8, 3 / 8, 7 / 8]
    assert [is_mirrored(v) for v in range(4)] == [False, True, False, False]


@given(n=st.integers(1, 10**7), t=st.integers(1, 512), views=st.integers(1, 16))
def test_indices_rise_and_stay_in_range(n, t, views):
    index, valid = sample_indices(n, config(t, views))
    assert index.shape == valid.shape == (views, t)
    assert index.min() >= 0
    assert index.max() < n
    assert (np.diff(index, axis=1)[:, : min(n, t) - 1] >= 1).all(), "valid frames are distinct and in order"
    assert (valid.sum(axis=1) == min(n, t)).all()
    assert (index[~valid] == n - 1).all()
    if n >= t:
        exact = [[int((i + Fraction(view_offset(v))) * n / t) for i in range(t)] for v in range(views)]
        assert index.tolist() == exact


@given(n=st.integers(1, 10**6), t=st.integers(1, 64), views=st.integers(1, 15))
def test_more_views_leave_the_earlier_ones_as_they_are(n, t, views):
    fewer, more = sample_indices(n, config(t, views)), sample_indices(n, config(t, views + 1))
    assert np.array_equal(fewer[0], more[0][:views])
    assert np.array_equal(fewer[1], more[1][:views])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_frames": 0}, "frames.num_frames is 0; allowed: 1 to 512."),
        ({"num_frames": 513}, "frames.num_frames is 513; allowed: 1 to 512."),
        ({"num_views": 17}, "frames.num_views is 17; allowed: 1 to 16."),
    ],
)
def test_config_is_checked(values, message):
    with pytest.raises(ConfigError, match=message):
        FrameConfig(**values)

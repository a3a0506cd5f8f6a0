import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.small_predictions import prediction, window, windows
from trainer.prediction.spans import axis_of, spans_of


def spans(made, *tracks):
    axis = axis_of(made)
    tracks = tracks or {one.track for one in made.windows}
    return [(span.start, span.end, span.index) for span in spans_of(made, axis, tracks)]


def test_a_window_has_half_a_stride_around_its_middle_and_the_shots_ends_go_to_the_nearest():
    made = prediction(windows("hhh"))
    assert spans(made) == [(0.0, 1.25, 0), (1.25, 1.75, 1), (1.75, 3.0, 2)]


def test_the_last_window_moved_back_shares_the_time_between_the_middles():
    made = prediction([*windows("hh"), window(0.7, "sadness")])
    assert spans(made) == [(0.0, 1.25, 0), (1.25, 1.6, 1), (1.6, 2.7, 2)]


def test_a_sparse_timeline_has_gaps_beyond_half_a_stride_only_where_windows_are_missing():
    made = prediction([window(at, "happiness") for at in (2.0, 6.0)], stride=4.0, seconds=10.0)
    assert spans(made) == [(1.0, 5.0, 0), (5.0, 9.0, 1)]
    made = prediction([window(at, "happiness") for at in (0.0, 8.0)], stride=4.0, seconds=10.0)
    assert spans(made) == [(0.0, 3.0, 0), (7.0, 10.0, 1)], "clipped to the video"


def test_spans_end_at_cuts():
    made = prediction(
        [window(0.0, "happiness", track="s00p1"), window(2.5, "sadness", track="s01p1", shot=1)],
        stride=4.0,
        cuts=[2.25],
    )
    assert spans(made) == [(0.0, 2.25, 0), (2.25, 5.5, 1)]


def test_of_two_tracks_at_the_same_time_the_window_with_an_answer_counts():
    made = prediction([window(0.0, None, track="a"), window(0.0, "sadness", track="b")])
    assert spans(made) == [(0.0, 2.0, 1)]
    found = {"frames_found": 9}
    made = prediction([window(0.0, "sadness", track="a"), window(0.0, "happiness", track="b", **found)])
    assert spans(made) == [(0.0, 2.0, 0)]


def test_a_track_that_is_away_has_no_span_meanwhile():
    made = prediction([window(0.0, "happiness"), window(5.0, "happiness")])
    assert spans(made) == [(0.0, 2.0, 0), (5.0, 7.0, 1)]


def test_a_time_that_one_window_contains_belongs_to_it():
    made = prediction([window(0.0, "happiness", seconds=8.0), window(8.0, "sadness", seconds=1.0)])
    assert spans(made) == [(0.0, 8.0, 0), (8.0, 9.0, 1)]


def test_without_times_the_unit_is_a_frame():
    made = prediction(windows("hh", has_times=False), seconds=None)
    axis = axis_of(made)
    assert (axis.unit, axis.end, axis.stride, axis.has_times) == ("frames", 250.0, 12, False)
    assert spans(made) == [(0.0, 31.0, 0), (31.0, 62.0, 1)]


def test_a_video_without_windows_has_an_axis():
    axis = axis_of(prediction([]))
    assert (axis.end, axis.shots) == (10.0, {})


@given(
    st.lists(
        st.tuples(
            st.integers(0, 60), st.sampled_from(["a", "b", "c"]), st.sampled_from(["happiness", None]),
            st.integers(0, 2),
        ),
        max_size=30,
    ),
    st.sampled_from([0.1, 0.5, 3.0]),
)  # fmt: skip
def test_spans_never_overlap_whatever_tracks_a_person_has(found, stride):
    made = prediction(
        [window(20 * shot + at / 7, answer, track=track, shot=shot) for at, track, answer, shot in found],
        {"P1": ["a", "b", "c"]},
        stride=stride,
        cuts=[20.0, 40.0],
        seconds=60.0,
    )
    result = spans(made)
    assert all(start < end for start, end, _ in result)
    assert all(one[1] <= other[0] for one, other in zip(result, result[1:], strict=False))
    middles = {made.windows[index].middle_seconds for *_, index in result}
    assert middles == {one.middle_seconds for one in made.windows}


@pytest.mark.parametrize("stride", [0.3, 0.7])
def test_neighbours_touch_in_spite_of_rounding(stride):
    made = prediction(windows("h" * 30, stride=stride), stride=stride, seconds=40.0)
    result = spans(made)
    assert all(one[1] == other[0] for one, other in zip(result, result[1:], strict=False))

import pytest

from tests.small_predictions import answer_of, prediction, window, windows
from trainer.prediction.label_runs import timelines
from trainer.prediction.people_summary import summaries
from trainer.prediction.results import UNKNOWN


def of(made):
    return summaries(made, timelines(made))


def test_shares_are_weighted_by_time():
    (one,) = of(prediction(windows("hhs-")))
    assert one.answered == 2.25
    assert one.shares == {
        "happiness": pytest.approx(1.75 / 2.25),
        "sadness": pytest.approx(0.5 / 2.25),
        "neutral": 0.0,
    }
    assert sum(one.means.values()) == pytest.approx(1)
    assert one.means["happiness"] == pytest.approx((1.75 * 0.8 + 0.5 * 0.1) / 2.25)


def test_time_on_screen_counts_the_frames_with_a_face():
    (one,) = of(prediction([window(0.0, "happiness", frames_found=12), window(4.0, None, frames_found=4)]))
    assert one.on_screen == 2 * 12 / 16 + 2 * 4 / 16


def test_windows_without_an_answer_are_counted_by_reason():
    made = prediction([*windows("h--"), window(1.5, None, reason="too small")])
    (one,) = of(made)
    assert (one.num_windows, one.num_unanswered) == (4, 3)
    assert one.reasons == {"the face was found on 4 of 16 frames": 2, "too small": 1}


def test_a_person_without_any_answer_has_no_shares():
    (nothing,) = of(prediction([]))
    assert (nothing.shares, nothing.means, nothing.on_screen, nothing.num_windows) == (None, None, 0, 0)
    (unanswered,) = of(prediction(windows("--")))
    assert (unanswered.shares, unanswered.answered, unanswered.num_windows) == (None, 0, 2)


def test_the_face_only_run_has_means_of_its_own():
    (one,) = of(prediction([window(0.0, "happiness", face_run=answer_of("sadness", 0.6))]))
    assert one.face_run_means["sadness"] == pytest.approx(0.6)
    assert of(prediction(windows("h")))[0].face_run_means is None


def test_unknown_tracks_of_the_same_time_all_count():
    answers = [window(0.0, "happiness", track="a"), window(0.0, "sadness", track="b")]
    (one,) = of(prediction(answers, {UNKNOWN: ["a", "b"]}))
    assert (one.answered, one.num_windows) == (4.0, 2)
    assert one.shares["happiness"] == 0.5

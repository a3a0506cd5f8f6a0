import pytest

from tests.small_predictions import prediction, window, windows
from trainer.prediction.label_runs import timelines
from trainer.prediction.results import UNKNOWN


def runs(made):
    (line,) = timelines(made)
    return [(run.start, run.end, run.answer) for run in line.runs]


def test_equal_answers_of_neighbours_are_one_run():
    made = prediction(windows("hhsh"))
    assert runs(made) == [
        (0.0, 1.75, "happiness"),
        (1.75, 2.25, "sadness"),
        (2.25, 3.5, "happiness"),
    ]


def test_a_runs_probability_is_weighted_by_time():
    made = prediction([window(0.0, "happiness", largest=0.5), window(0.5, "happiness", largest=0.9)])
    ((line,), (run,)) = (timelines(made), timelines(made)[0].runs)
    assert run.probability == pytest.approx((1.25 * 0.5 + 1.25 * 0.9) / 2.5)
    assert (run.indices, run.tracks, run.shot, run.length) == ((0, 1), ("s00p1",), 0, 2.5)
    assert line.tracks == ("s00p1",)


def test_windows_without_an_answer_are_a_run_with_their_reasons():
    reasons = ["the face is smaller than 24 px", "the face was found on 4 of 16 frames"]
    made = prediction([*windows("h"), window(0.5, None, reason=reasons[0]), *windows("--h", start=1.0)])
    (line,) = timelines(made)
    assert [run.answer for run in line.runs] == ["happiness", None, "happiness"]
    gap = line.runs[1]
    assert (gap.start, gap.end, gap.probability) == (1.25, 2.75, None)
    assert gap.reasons == tuple(reasons)


def test_a_cut_ends_a_run():
    made = prediction(
        [window(0.0, "happiness", track="s00p1"), window(2.0, "happiness", track="s01p1", shot=1)],
        cuts=[2.0],
    )
    assert runs(made) == [(0.0, 2.0, "happiness"), (2.0, 4.0, "happiness")]


def test_time_without_windows_ends_a_run():
    assert runs(prediction([window(0.0, "happiness"), window(5.0, "happiness")])) == [
        (0.0, 2.0, "happiness"),
        (5.0, 7.0, "happiness"),
    ]


def test_two_tracks_of_a_person_make_one_run():
    made = prediction([window(0.0, "happiness", track="a"), window(0.5, "happiness", track="b")])
    (line,) = timelines(made)
    (run,) = line.runs
    assert run.tracks == ("a", "b")


def test_unknown_tracks_of_the_same_time_have_timelines_of_their_own():
    answers = [
        window(0.0, "happiness", track="a"),
        window(0.0, "sadness", track="b"),
        window(4.0, "happiness", track="c"),
    ]
    lines = timelines(prediction(answers, {"P1": ["x"], UNKNOWN: ["a", "b", "c", "d"]}))
    assert [(line.name, line.tracks) for line in lines] == [
        ("P1", ("x",)),
        ("unknown", ("a", "c")),
        ("unknown (2)", ("b",)),
    ]
    assert [run.answer for run in lines[1].runs] == ["happiness", "happiness"]
    assert all(line.person.name == UNKNOWN for line in lines[1:])


def test_equal_unknown_tracks_side_by_side_are_not_one_run():
    answers = [window(0.0, "happiness", track="a"), window(2.0, "happiness", track="b")]
    (line,) = timelines(prediction(answers, {UNKNOWN: ["a", "b"]}))
    assert [(run.start, run.end) for run in line.runs] == [(0.0, 2.0), (2.0, 4.0)]

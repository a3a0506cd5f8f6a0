from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import DatasetError
from tests.small_predictions import CLASSES, prediction, window, windows
from trainer.prediction.label_scores import (
    NO_WINDOW,
    NOT_PREDICTED,
    NOT_YET,
    STOPPED,
    collect_scores,
    score_labels,
    score_video,
)
from trainer.prediction.labels import LabelRow, Labels
from trainer.prediction.results import UNKNOWN


def row(start=None, end=None, label="happiness", person="", video="a", line=2):
    return LabelRow(
        where=f"labels.csv, line {line}", path=f"{video}.mp4", video=video, label=label,
        class_name=label if label in CLASSES else None, start_seconds=start, end_seconds=end, person=person,
    )  # fmt: skip


def score(made, *args, **kwargs):
    (found,) = score_labels([row(*args, **kwargs)], made)
    return found


def labels(*rows):
    return Labels(file=Path("labels.csv"), class_names=CLASSES, rows=rows)


def test_the_answer_is_that_of_the_mean_of_the_windows_with_their_middle_in_the_span():
    answers = [
        window(0.0, "sadness", largest=0.9),  # middle 1.0
        window(0.5, "happiness", largest=0.5),
        window(1.0, "happiness", largest=0.5),
        window(1.5, "neutral", largest=0.9),  # middle 2.5, the end of the span, which is excluded
    ]
    found = score(prediction(answers), 1.0, 2.5)
    assert found.probability == pytest.approx(
        {"happiness": (0.05 + 0.5 + 0.5) / 3, "sadness": (0.9 + 0.25 + 0.25) / 3, "neutral": 0.55 / 3}
    )
    assert (found.prediction, found.num_windows, found.person) == ("sadness", 3, "P1")


def test_a_row_without_times_is_the_whole_video_also_without_seconds():
    found = score(prediction(windows("hhs")))
    assert (found.prediction, found.num_windows) == ("happiness", 3)
    made = prediction([window(0.0, "sadness", has_times=False)], seconds=None)
    assert score(made).prediction == "sadness"
    with pytest.raises(DatasetError, match=r"line 2: end_seconds is 2, and the images have no times; give"):
        score(made, None, 2.0)


def test_a_span_between_middles_has_the_windows_that_overlap_it_most():
    answers = [window(0.0, "happiness"), window(4.0, "sadness"), window(6.0, "neutral")]
    found = score(prediction(answers), 5.2, 6.5)  # 0.8 s of the second, 0.5 s of the third
    assert (found.prediction, found.num_windows) == ("sadness", 1)
    found = score(prediction(windows("hsn", stride=1.0)), 1.2, 1.8)  # inside the first two alike
    assert found.num_windows == 2
    assert found.probability["happiness"] == pytest.approx(found.probability["sadness"])


def test_windows_without_an_answer_are_not_in_the_mean():
    found = score(prediction(windows("h-s-", stride=1.0)), 0.0, 2.5)
    assert (found.prediction, found.num_windows) == ("happiness", 1)
    found = score(prediction(windows("h-s-", stride=1.0)), 3.5, 4.5)
    assert (found.prediction, found.num_windows) == (None, 0)
    assert found.reason == "the face was found on 4 of 16 frames"


def test_a_span_where_nobody_is_has_the_reason_of_its_windows():
    made = prediction([*windows("h"), window(6.0, None, track="", reason="no face")], {"P1": ["s00p1"]})
    assert score(made, 6.0, 8.0).reason == "no face"
    assert score(made, 4.0, 5.0).reason == NO_WINDOW


def test_without_a_person_the_one_with_the_longest_time_with_an_answer_counts():
    answers = [*windows("hhh"), *windows("ss--ss", track="s00p2")]
    made = prediction(answers, {"P1": ["s00p1"], "P2": ["s00p2"]})
    found = score(made)
    assert (found.person, found.prediction, found.num_people) == ("P2", "sadness", 2)
    found = score(made, 1.75, 2.5)
    assert (found.person, found.num_people) == ("P1", 1)
    found = score(made, person="P1")
    assert (found.person, found.prediction) == ("P1", "happiness")
    assert score(made, person="s00p2").prediction == "sadness"


def test_a_person_of_two_tracks_has_the_windows_of_both_and_one_of_each_time():
    answers = [*windows("hs"), *windows("s-", track="s00p2"), *windows("ss", start=4.0, track="s00p3")]
    made = prediction(answers, {"Anna": ["s00p1", "s00p2", "s00p3"]})
    found = score(made, person="Anna")
    assert (found.num_windows, found.num_people) == (4, 1)


def test_tracks_of_unknown_are_people_of_their_own():
    answers = [*windows("hh"), *windows("ssss", track="s00p2")]
    made = prediction(answers, {UNKNOWN: ["s00p1", "s00p2"]})
    found = score(made)
    assert (found.person, found.num_people, found.num_windows) == ("s00p2", 2, 4)
    with pytest.raises(DatasetError, match="allowed: nobody with a name, and the tracks s00p1, s00p2"):
        score(made, person=UNKNOWN)


def test_a_person_or_a_time_that_the_video_does_not_have_is_rejected():
    made = prediction(windows("h"))
    with pytest.raises(DatasetError) as caught:
        score(made, person="Bert")
    assert str(caught.value) == (
        "labels.csv, line 2: person is 'Bert'; allowed: the people P1, and the tracks s00p1. Correct the row "
        "and repeat the command; the prediction is kept."
    )
    with pytest.raises(DatasetError, match=r"start_seconds is 1500; allowed: less than 10, the length of 'a"):
        score(made, 1500.0, 3000.0)


def test_a_stopped_prediction_answers_only_spans_that_are_done():
    made = prediction(windows("hhhh"), done_seconds=3.0)
    assert score(made, 0.0, 2.0).prediction == "happiness"
    assert score(made, 0.0, 3.5).reason == STOPPED
    assert score(made).reason == STOPPED
    assert score(made, 0.0, 2.0, person="P7").reason == NOT_YET


def test_the_metrics_are_over_rows_with_an_answer_and_a_class_with_videos_as_groups():
    rows = (
        row(0.0, 1.5, line=2),
        row(1.5, 3.0, line=3),  # wrong
        row(0.0, 2.0, video="b", label="sadness", line=4),
        row(2.5, 4.0, video="b", line=5),  # without an answer
        row(0.0, 1.0, video="b", label="contempt", line=6),
        row(video="c", line=7),
    )
    given = labels(*rows)
    scores = [
        score_video(given, "b", prediction(windows("sss---"), name="b.mp4")),
        score_video(given, "a", prediction([window(0.0, "happiness"), window(1.5, "neutral")])),
    ]
    found = collect_scores(given, scores, "full", ["RANDOM"])
    assert tuple(one.row for one in found.scores) == rows
    metrics = found.metrics
    np.testing.assert_array_equal(metrics.confusion, [[1, 0, 1], [0, 1, 0], [0, 0, 0]])
    assert (metrics.war, metrics.uar, metrics.recalls) == (2 / 3, 0.75, (0.5, 1.0, None))
    assert metrics.groups.number_G.tolist() == [0, 1]
    assert found.unanswered == {"the face was found on 4 of 16 frames": 1, NOT_PREDICTED: 1}
    assert found.scores[4].prediction == "sadness"


def test_spans_with_several_people_are_counted_if_the_row_has_no_person():
    made = prediction([*windows("hh"), *windows("ss", track="s00p2")], {"P1": ["s00p1"], "P2": ["s00p2"]})
    given = labels(row(0.0, 2.0), row(0.0, 2.0, person="P2"), row(5.0, 6.0))
    assert collect_scores(given, [score_video(given, "a", made)], "full").num_several_people == 1


def test_an_error_of_one_video_comes_after_the_others():
    given = labels(row(person="Bert"), row(person="Cleo", video="b"))
    scores = [score_video(given, video, prediction(windows("h"))) for video in ("a", "b")]
    with pytest.raises(DatasetError, match="person is 'Bert'"):
        collect_scores(given, scores, "full")


def test_without_any_answer_there_are_no_metrics():
    found = collect_scores(labels(row()), [None], "full")
    assert (found.metrics, found.unanswered) == (None, {NOT_PREDICTED: 1})

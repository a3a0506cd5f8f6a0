import csv
import io

import pytest

from tests.small_predictions import CLASSES, RANDOM, answer_of, face, prediction, window, windows
from trainer.prediction.results import NOTICE, UNKNOWN
from trainer.prediction.tables import FEX_EMOTIONS, fex_csv, frames_csv, people_csv, windows_csv


def rows(lines):
    text = "".join(lines)
    assert text.endswith("\n")
    assert "\r" not in text
    found = list(csv.DictReader(io.StringIO(text), strict=True))
    assert all(None not in row and None not in row.values() for row in found)
    return found


def header(lines):
    return next(iter(lines)).rstrip("\n").split(",")


def test_windows_have_one_header_for_ever():
    expected = (
        "video,shot,track,start_seconds,end_seconds,first_frame,num_frames,frames_found,num_sampled,x0,y0,x1,y1,"
        "answer,margin,calibrated,reason,flags,polarity_negative,polarity_neutral,polarity_positive,"
        "p_happiness,p_sadness,p_neutral,"
        "other_scenes_p_happiness,other_scenes_p_sadness,other_scenes_p_neutral,"
        "face_run_p_happiness,face_run_p_sadness,face_run_p_neutral,person,banner"
    )
    assert header(windows_csv(prediction([]))) == expected.split(",")
    assert list(rows(windows_csv(prediction(windows("h"))))[0]) == expected.split(",")


def test_a_window_has_its_values():
    one = window(
        12.48,
        "happiness",
        flags=("short", "doubtful"),
        polarity={"negative": 0.1, "neutral": 0.2, "positive": 0.7},
        face_run=answer_of("sadness", 0.5),
    )
    (row,) = rows(windows_csv(prediction([one], banners=(RANDOM,))))
    assert (row["start_seconds"], row["end_seconds"], row["first_frame"]) == ("12.48", "14.48", "312")
    assert [row[name] for name in ("x0", "y0", "x1", "y1")] == ["10.0", "20.0", "60.0", "90.0"]
    assert [row[f"p_{name}"] for name in CLASSES] == ["0.8", "0.1", "0.1"]
    assert [row[f"face_run_p_{name}"] for name in CLASSES] == ["0.25", "0.5", "0.25"]
    assert [row[f"other_scenes_p_{name}"] for name in CLASSES] == ["", "", ""]
    assert [row[f"polarity_{name}"] for name in ("negative", "neutral", "positive")] == ["0.1", "0.2", "0.7"]
    assert (row["answer"], row["person"], row["flags"]) == ("happiness", "P1", "short doubtful")
    assert (row["calibrated"], row["margin"], row["reason"]) == ("true", "0.7", "")
    assert row["banner"] == f"{RANDOM} | {NOTICE}"


def test_a_window_without_an_answer_has_the_reason_and_empty_cells():
    (row,) = rows(windows_csv(prediction(windows("-"), seconds=None)))
    assert row["reason"] == "the face was found on 4 of 16 frames"
    assert {row[name] for name in ("answer", "margin", "p_happiness")} == {""}
    (row,) = rows(windows_csv(prediction([window(0, None, box_xyxy_px=None, has_times=False)], seconds=None)))
    assert {row[name] for name in ("x0", "y1", "start_seconds", "end_seconds")} == {""}


def test_frames_have_the_face_of_every_track():
    made = prediction(windows("h"), faces=[face(0), face(3)])
    found = rows(frames_csv(made))
    assert list(found[0]) == [
        "frame", "seconds", "track", "person", "x0", "y0", "x1", "y1", "score", "banner",
    ]  # fmt: skip
    assert list(found[1].values()) == [
        "3", "0.12", "s00p1", "P1", "10.25", "20.0", "60.75", "90.0", "0.987", "",
    ]  # fmt: skip
    assert found[0]["banner"] == NOTICE
    assert rows(frames_csv(prediction([], faces=[face(0, rate=None)])))[0]["seconds"] == ""


def test_people_have_shares_that_add_up():
    answers = [*windows("hhs-"), window(6.0, "sadness", track="s00p2")]
    made = prediction(answers, {"P1": ["s00p1"], "P2": ["s00p2"], UNKNOWN: []})
    first, second, unknown = rows(people_csv(made))
    assert list(first) == [
        "person", "tracks", "seconds_on_screen", "seconds_with_answer", "windows", "windows_without_answer",
        "share_happiness", "share_sadness", "share_neutral", "margin", "banner",
    ]  # fmt: skip
    assert sum(float(first[f"share_{name}"]) for name in CLASSES) == pytest.approx(1, abs=1e-5)
    assert (first["seconds_with_answer"], first["windows"], first["windows_without_answer"]) == (
        "2.25",
        "4",
        "1",
    )
    assert (second["person"], second["share_sadness"], second["margin"]) == ("P2", "1.0", "")
    assert (unknown["tracks"], unknown["share_sadness"], unknown["windows"]) == ("", "", "0")


def test_without_times_people_are_counted_in_frames():
    made = prediction(windows("h", has_times=False), seconds=None)
    (row,) = rows(people_csv(made))
    assert (row["frames_on_screen"], row["frames_with_answer"]) == ("50.0", "50.0")


def test_fex_has_the_columns_of_py_feat():
    made = prediction(windows("hs"), faces=[face(0), face(40)])
    first, second = rows(fex_csv(made))
    assert list(first)[:13] == [
        "frame", "FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight", "FaceScore",
        "anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral",
    ]  # fmt: skip
    assert [first[name] for name in list(first)[:6]] == ["0", "10.25", "20.0", "50.5", "70.0", "0.987"]
    assert (first["happiness"], first["sadness"], first["anger"]) == ("0.8", "0.1", "")
    assert (second["happiness"], second["sadness"]) == ("0.1", "0.8"), "1.6 s belongs to the second window"
    assert (first["Identity"], first["input"], first["FrameHeight"]) == ("P1", "a.mp4", "480")
    assert not any("AU" in name for name in first), "py-feat takes such columns for action units"


def test_fex_knows_classes_by_other_names_and_keeps_those_of_no_column():
    classes = ("Happy", "joy", "contempt")
    made = prediction(
        [window(0, "Happy", probability=answer_of("Happy", 0.6, classes))],
        class_names=classes,
        faces=[face(0)],
    )
    (row,) = rows(fex_csv(made))
    assert (row["happiness"], row["p_joy"], row["p_contempt"]) == ("0.6", "0.2", "0.2")
    assert "p_Happy" not in row
    assert [row[name] for name in FEX_EMOTIONS if name != "happiness"] == [""] * 6


def test_a_face_has_the_answer_of_its_own_track():
    answers = [window(0, "happiness", track="a"), window(0, "sadness", track="b"), window(4, None, track="a")]
    faces = [face(5, "a"), face(5, "b"), face(5, "c"), face(110, "a"), face(240, "a")]
    made = prediction(answers, {"P1": ["a", "b", "c"]}, faces=faces)
    assert [row["sadness"] for row in rows(fex_csv(made))] == ["0.1", "0.8", "", "", ""]


@pytest.mark.parametrize("name", ["=cmd()", "+1", "-1", "@x"])
def test_a_text_is_no_formula_and_stays_on_its_line(name):
    made = prediction([window(0, "happiness", video=name)], {name: ["s00p1"]}, faces=[face(0)], name=name)
    assert rows(windows_csv(made))[0]["video"] == f"'{name}"
    assert rows(people_csv(made))[0]["person"] == f"'{name}"
    assert rows(fex_csv(made))[0]["input"] == f"'{name}"


def test_quotes_commas_and_line_ends_in_a_name_do_not_break_rows():
    made = prediction([window(0, "happiness", video='a",\n;b.mp4')])
    assert "".join(windows_csv(made)).count("\n") == 2
    assert rows(windows_csv(made))[0]["video"] == 'a",?;b.mp4'


def test_a_window_without_a_track_has_no_person():
    (row,) = rows(windows_csv(prediction([window(0, None, track="", reason="no face was found")], {})))
    assert (row["track"], row["person"], row["reason"]) == ("", "", "no face was found")

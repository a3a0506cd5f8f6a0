import json
import math

from pipeline.strict_json import to_json
from tests.small_predictions import RANDOM, face, prediction, window, windows
from trainer.prediction.documents import prediction_values
from trainer.prediction.results import NOTICE


def test_a_document_has_the_format_people_and_runs():
    made = prediction(windows("hhs-"), banners=(RANDOM,), cuts=[9.0], faces=[face(0)], done_seconds=8.0)
    values = prediction_values(made)
    assert json.loads(to_json(values)) == values, "plain JSON values"
    assert (values["format"], values["version"], values["notice"]) == ("ous-prediction", 1, NOTICE)
    assert (values["banners"], values["run"], values["unit"]) == ([RANDOM], "full", "seconds")
    assert (values["num_windows"], values["num_faces"], values["done_seconds"]) == (4, 1, 8.0)
    assert values["num_unfollowed"] == 0
    (person,) = values["people"]
    assert (person["name"], person["with_answer"], person["margin"]) == ("P1", 2.25, None)
    assert math.isclose(sum(person["share"].values()), 1)
    ((first, second, gap),) = (line["runs"] for line in values["timelines"])
    assert (first["start"], first["end"], first["answer"], first["num_windows"]) == (0, 1.75, "happiness", 2)
    assert (second["answer"], gap["answer"], gap["probability"]) == ("sadness", None, None)
    assert gap["reasons"] == ["the face was found on 4 of 16 frames"]


def test_the_path_of_the_video_does_not_name_the_user(monkeypatch, tmp_path):
    home = tmp_path / "home" / "kimberley"
    home.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("LOGNAME", "kimberley")
    made = prediction([], name=f"{home}/a.mp4")
    made = prediction([], source=made.source.__class__(**{**vars(made.source), "path": f"{home}/a.mp4"}))
    assert prediction_values(made)["source"]["path"] == "~/a.mp4"


def test_the_margin_of_a_join_is_kept_and_videos_without_times_are_in_frames():
    answers = [window(0, "happiness", track="a", has_times=False)]
    values = prediction_values(prediction(answers, {"P1": ["a", "b"]}, seconds=None))
    assert values["people"][0]["margin"] == 2.5
    assert (values["unit"], values["timelines"][0]["runs"][0]["end"]) == ("frames", 50.0)

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.display.json_values import to_json_values
from pipeline.display.text import lines
from pipeline.errors import ConfigError, WeightsError
from pipeline.preview_faces import Looks, load, look, look_all
from pipeline.sheet import read_picture, write_png
from tests.picture_folders import write_folder
from tests.small_clips import write_video


def looks_of(document):
    return Looks(documents=(document,), detector="haar", precision="fp32")


@pytest.fixture(scope="module")
def models():
    return load({"frames": {"num_frames": 3}, "detector": {"name": "haar"}}, torch.device("cpu"))


def test_a_video_gives_a_row_per_sampled_frame(models, tmp_path):
    write_video(tmp_path / "a.mp4", num_frames=9)
    document = look(tmp_path / "a.mp4", models, tmp_path / "out" / "a.mp4.png")
    assert [frame["index"] for frame in document["frames"]] == [1, 4, 7]
    assert [frame["seconds"] for frame in document["frames"]] == pytest.approx([0.1, 0.4, 0.7])
    assert document["subject_found"] == 0
    assert (tmp_path / "out" / "a.mp4.png").is_file()
    json.dumps(document)


def test_a_picture_without_a_face_gives_none(models, tmp_path):
    write_png(np.zeros((100, 100, 3), np.uint8), tmp_path / "black.png")
    document = look(tmp_path / "black.png", models, None)
    assert document["frames"] == [{"faces": []}]
    assert "drawn" not in document
    assert lines(looks_of(document)) == [
        f"{tmp_path}/black.png, image: 0 faces",
        "found by haar, fp32",
    ]


def test_the_precision_that_ran_is_shown_and_at_bf16_how_to_get_the_published_boxes(models, tmp_path):
    found = look_all([], models, None)
    assert to_json_values(found) == {"detector": "haar", "precision": "fp32", "files": []}
    assert lines(found) == ["found by haar, fp32"]
    (line,) = lines(Looks(documents=(), detector="retinaface-resnet50", precision="bf16"))
    assert line == (
        "found by retinaface-resnet50, bf16; --precision fp32 finds the boxes of the published network"
    )


def test_files_of_one_name_do_not_overwrite_each_other(models, tmp_path):
    for folder, grey in (("a", 0), ("b", 200)):
        write_png(np.full((50, 50, 3), grey, np.uint8), tmp_path / folder / "x.png")
    looks = look_all([tmp_path / "a/x.png", tmp_path / "b/x.png"], models, tmp_path / "out")
    drawn = [document["drawn"] for document in looks.documents]
    assert [read_picture(Path(name)).mean() for name in drawn] == [0, 200]


def test_what_cannot_be_read_is_an_error_of_that_file_alone(models, tmp_path):
    (tmp_path / "a.mp4").write_text("no video")
    broken = look(tmp_path / "a.mp4", models, None)
    assert broken["error"].startswith("open: ")
    looks = looks_of(broken)
    assert looks.has_errors
    assert lines(looks) == [f"{tmp_path}/a.mp4: {broken['error']}", "found by haar, fp32"]


def test_settings_are_checked(tmp_path, monkeypatch):
    monkeypatch.setenv("OUS_WEIGHTS", str(tmp_path))
    with pytest.raises(ConfigError, match=r"detector.name is 'yolo'; allowed: retinaface-resnet50"):
        load({"detector": {"name": "yolo"}}, torch.device("cpu"))
    with pytest.raises(
        WeightsError, match="retinaface_mobilenet0.25.pth .*--detector haar needs no download"
    ):
        load({"detector": {"name": "retinaface-mobilenet0.25"}}, torch.device("cpu"))


@pytest.mark.data
def test_real_faces(test_data, tmp_path):
    weights = str(test_data / "weights/retinaface_mobilenet0.25.pth")
    settings = {"detector": {"name": "retinaface-mobilenet0.25", "weights": weights}}
    models = load(settings, torch.device("cpu"))
    document = look(test_data / "videos/people/face_noface.mov", models, tmp_path / "a.png")
    assert [bool(frame["faces"]) for frame in document["frames"]] == [True] * 7 + [False] * 9
    assert document["subject_found"] == 7
    picture = look(test_data / "images/people/13.jpg", models, None)
    assert len(picture["frames"][0]["faces"]) == 3
    assert np.shape(picture["frames"][0]["faces"][0]["landmark_xy_px"]) == (5, 2)


@pytest.mark.parametrize("settings", [{"faces": {"source": "crops"}}, {"detector": {"name": "crops"}}])
def test_face_crops_of_a_dataset_cannot_be_shown(settings):
    with pytest.raises(ConfigError, match=r"^Face crops of a dataset cannot be shown here; .* haar\.$"):
        load(settings, torch.device("cpu"))


@pytest.mark.parametrize("settings", [{"faces": {"source": "boxes"}}, {"detector": {"name": "boxes"}}])
def test_boxes_of_a_dataset_detect_nothing_in_single_files(settings):
    models = load(settings, torch.device("cpu"))
    with pytest.raises(
        ConfigError, match="^Faces come from the boxes of a dataset, and no detector is loaded"
    ):
        look_all([], models, None)


def test_a_folder_of_pictures_is_looked_at_as_a_clip_without_times(models, tmp_path):
    write_folder(tmp_path / "a", 9)
    (tmp_path / "a/notes.txt").touch()
    document = look(tmp_path / "a", models, tmp_path / "out" / "a.png")
    assert [frame["seconds"] for frame in document["frames"]] == [None] * 3
    assert document["notes"] == ["1 other file ignored: notes.txt"]
    shown = lines(looks_of(document))
    assert shown[0] == f"{tmp_path / 'a'}, frame 1: 0 faces"
    json.dumps(document, allow_nan=False)

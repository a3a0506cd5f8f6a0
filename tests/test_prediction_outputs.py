"""Options of outputs, and what of a prediction's files depends on them."""

import re
from dataclasses import replace

import cv2
import numpy as np
import pytest

from pipeline.errors import ConfigError
from pipeline.own_dir import OwnDir
from pipeline.process import InlineDecoder
from pipeline.process.windows import scan_source
from pipeline.strict_json import from_json
from tests.small_clips import write_video
from tests.small_predictions import face, prediction, windows
from trainer.prediction.outputs import ALL_FORMATS, OutputOptions, remove_outputs, write_outputs
from trainer.prediction.source import PlannedSource
from trainer.prediction.thumbnails import face_thumbnails


def planned(path):
    scan = scan_source(path, cuts=None)
    return PlannedSource(path=path, scan=scan, plan=None, settings=None, notes=())


@pytest.fixture
def video(tmp_path):
    write_video(tmp_path / "a.mp4")
    return tmp_path / "a.mp4"


@pytest.mark.parametrize(
    ("text", "formats"),
    [
        ("all", ALL_FORMATS),
        (" csv, html ,csv", ("csv", "html")),
        ("html,all", ALL_FORMATS),
        ("", ()),
    ],
)
def test_formats_of_a_command(text, formats):
    assert OutputOptions.parse(text, embed=False, thumbnails=True).formats == formats


def test_an_unknown_format_is_rejected_with_those_that_are_allowed():
    with pytest.raises(ConfigError, match=re.escape("--formats is 'pdf'; allowed: all, jsonl, csv")):
        OutputOptions.parse("csv,pdf", embed=False, thumbnails=True)


def test_the_page_names_the_source_and_the_annotated_video_in_its_place(video, tmp_path):
    out = OwnDir.of(tmp_path / "out")
    out.make()
    made = prediction(windows("hhs"), {"P1": ["s00p1"]}, seconds=0.9)
    for formats, name in (("html", "../a.mp4"), ("html,mp4", "./annotated.mp4")):
        options = OutputOptions.parse(formats, embed=False, thumbnails=False)
        write_outputs(made, planned(video), out, options, InlineDecoder())
        page = (tmp_path / "out" / "index.html").read_text()
        assert re.findall(r'<video[^>]* src="([^"]*)"', page) == [name]
    assert (tmp_path / "out" / "annotated.mp4").stat().st_size > 0
    assert (tmp_path / "out" / "prediction.json").exists()
    assert not (tmp_path / "out" / "windows.jsonl").exists(), "a prediction writes it while it grows"


def test_windows_are_written_where_nothing_grew(video, tmp_path):
    out = OwnDir.of(tmp_path / "out")
    out.make()
    made = prediction(windows("hhs"), {"P1": ["s00p1"]}, seconds=0.9)
    options = OutputOptions.parse("jsonl", embed=False, thumbnails=False)
    written = write_outputs(made, planned(video), out, options, InlineDecoder(), writes_windows=True)
    assert "windows.jsonl" in written.files
    assert len((tmp_path / "out" / "windows.jsonl").read_text().splitlines()) == 3


def test_a_thumbnail_is_the_best_and_largest_face_of_each_person(video):
    faces = [
        replace(face(0, "s00p1"), box_xyxy_px=(0.0, 0.0, 10.0, 10.0)),
        replace(face(4, "s00p1"), box_xyxy_px=(40.0, 20.0, 80.0, 60.0)),
        replace(face(4, "s00p2"), box_xyxy_px=(-5.0, -5.0, 25.0, 25.0)),
    ]
    made = prediction(windows("hhs"), {"P1": ["s00p1"], "P2": ["s00p2"]}, seconds=0.9, faces=faces)
    found = face_thumbnails(made, planned(video), InlineDecoder())
    assert set(found) == {"P1", "P2"}
    for content in found.values():
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        assert image.shape == (96, 96, 3)
    assert (
        face_thumbnails(
            prediction(windows("h"), {"P1": ["s00p1"]}, seconds=0.9), planned(video), InlineDecoder()
        )
        == {}
    )


def test_a_replaced_prediction_leaves_no_output(video, tmp_path):
    out = OwnDir.of(tmp_path / "out")
    out.make()
    (out / "explain").make()
    for name in ("explain.jsonl", "window-000003.png", "mine.txt"):
        (out / "explain").write_text(name, "x")
    made = prediction(windows("hhs"), {"P1": ["s00p1"]}, seconds=0.9)
    written = write_outputs(
        made, planned(video), out, OutputOptions(formats=ALL_FORMATS), InlineDecoder(), writes_windows=True
    )
    assert len(written.files) == 11
    out.write_text("progress.npz", "")
    remove_outputs(out)
    left = {path.name for path in out.path.rglob("*") if path.is_file()}
    assert left == {"mine.txt"}


def test_files_that_no_prediction_has_written_stay_when_one_is_replaced(tmp_path):
    out = OwnDir.of(tmp_path)
    names = {"clips.csv", "people.csv", "index.html", "labels.json", "windows.jsonl", "annotated.mp4"}
    for name in names:
        out.write_text(name, "mine")
    remove_outputs(out)
    assert {path.name for path in tmp_path.iterdir()} == names


def test_files_of_an_earlier_command_are_removed_and_others_stay(video, tmp_path):
    out = OwnDir.of(tmp_path / "out")
    out.make()
    out.write_text("subtitles.vtt", "of the user")
    made = prediction(windows("hhs"), {"P1": ["s00p1"]}, seconds=0.9)
    found = []
    for formats in ("csv,eaf,mp4", "html", ""):
        options = OutputOptions.parse(formats, embed=False, thumbnails=False)
        write_outputs(made, planned(video), out, options, InlineDecoder())
        found.append({path.name for path in out.path.iterdir()} - {"subtitles.vtt", "prediction.json"})
        listed = from_json(out.read_text("prediction.json", 1 << 20))["files"]
        assert set(listed) == found[-1] | {"windows.jsonl", "prediction.json"}
    tables = {"windows.csv", "frames.csv", "people.csv", "fex.csv"}
    assert found == [{*tables, "timeline.eaf", "annotated.mp4"}, {"index.html"}, set()]
    assert out.read_text("subtitles.vtt", 100) == "of the user"


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"format": "ous-prediction", "files": 3}', '{"files": []}']
)
def test_another_document_in_the_place_of_prediction_json_removes_nothing(video, tmp_path, content):
    out = OwnDir.of(tmp_path / "out")
    out.make()
    out.write_text("prediction.json", content)
    out.write_text("windows.csv", "mine")
    made = prediction(windows("hhs"), {"P1": ["s00p1"]}, seconds=0.9)
    options = OutputOptions.parse("", embed=False, thumbnails=False)
    write_outputs(made, planned(video), out, options, InlineDecoder())
    assert out.read_text("windows.csv", 100) == "mine"

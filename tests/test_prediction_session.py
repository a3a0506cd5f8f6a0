"""Predictions as a user makes them: drawn videos, a trained run, files, the command and the function."""

import json
from contextlib import closing

import pytest

import trainer
from pipeline.errors import ConfigError
from pipeline.executor import LocalExecutor
from tests.command_line import call
from tests.drawn_run import extract_drawn, train_drawn, write_drawn
from trainer.prediction.inputs import find_inputs
from trainer.prediction.outputs import OutputOptions
from trainer.prediction.results import NOTICE
from trainer.prediction.session import predict_all
from trainer.prediction.source import PredictOptions
from trainer.prediction.worker import PredictSetup
from trainer.runs import load_run


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write_drawn(tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="module")
def run(clips, tmp_path_factory):
    """A run on features of detected faces, which knows how they were made."""
    folder = tmp_path_factory.mktemp("trained")
    return train_drawn(extract_drawn("synthetic", clips, folder / "feats.zarr"), folder / "run")


@pytest.fixture(scope="module")
def videos(clips, tmp_path_factory):
    """A directory with a video, and a file that is none."""
    folder = tmp_path_factory.mktemp("videos")
    first = sorted(clips.rglob("*.mp4"))[0]
    (folder / "talk.mp4").write_bytes(first.read_bytes())
    (folder / "broken.mp4").write_bytes(b"no video")
    return folder


def predict_into(run, videos, out, formats="all", **options):
    inputs, is_collection = find_inputs([videos])
    setup = PredictSetup(
        run=run,
        options=PredictOptions(min_face_px=0, **options),
        outputs=OutputOptions.parse(formats, embed=False, thumbnails=True),
        device="cpu",
        decoders=1,
    )
    with closing(LocalExecutor(setup)) as executor:
        return predict_all(inputs, load_run(run, device="cpu"), executor, out, is_collection=is_collection)


@pytest.fixture(scope="module")
def predicted(run, videos, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    return predict_into(run, videos, out), out


def test_a_run_knows_the_length_of_its_clips_and_how_their_features_were_made(run):
    info = load_run(run, device="cpu").info
    assert info.clip_seconds == (1.0, 1.0, 1.0)
    assert info.identity["detector"]["name"] == "haar"


def test_a_broken_video_ends_only_itself(predicted):
    report, out = predicted
    broken, talk = report.videos
    assert (broken.name, talk.name, talk.failure) == ("broken", "talk", "")
    assert broken.failure.startswith("open: not a readable video")
    assert report.num_failed == 1
    page = (out / "index.html").read_text()
    assert "not a readable video" in page
    assert 'href="./talk/index.html"' in page
    index = json.loads((out / "index.json").read_text())
    assert [video["failure"] != "" for video in index["videos"]] == [True, False]


def test_every_format_is_there_and_carries_the_notice(predicted):
    _, out = predicted
    files = {path.name for path in (out / "talk").iterdir()}
    assert files >= {
        "windows.jsonl", "windows.csv", "frames.csv", "people.csv", "fex.csv", "prediction.json",
        "timeline.eaf", "subtitles.srt", "subtitles.vtt", "annotated.mp4", "index.html",
    }  # fmt: skip
    for name in (
        "windows.csv",
        "people.csv",
        "prediction.json",
        "timeline.eaf",
        "subtitles.vtt",
        "index.html",
    ):
        text = (out / "talk" / name).read_text()
        assert NOTICE in text, name
        assert "RANDOM ENCODER WEIGHTS" in text, name


def test_answers_are_those_of_the_run_for_a_window_of_the_whole_clip(predicted, run):
    _, out = predicted
    (line,) = (out / "talk" / "windows.jsonl").read_text().splitlines()
    window = json.loads(line)
    assert (window["first_frame"], window["num_frames"], window["num_sampled"]) == (0, 8, 4)
    assert (window["start_seconds"], window["end_seconds"]) == (0.0, 1.0)
    assert window["answer"] in load_run(run, device="cpu").class_names
    assert sum(window["probability"].values()) == pytest.approx(1, abs=1e-5)


def test_the_function_gives_the_windows_of_the_files_and_writes_none(predicted, run, videos, tmp_path):
    _, out = predicted
    with trainer.predict(str(run), str(videos / "talk.mp4"), min_face=0, decoders=1) as result:
        lines = [window.line() for window in result.windows]
        assert lines == (out / "talk" / "windows.jsonl").read_text().splitlines()
        assert NOTICE in result._repr_html_()
        assert result.banners == (
            "RANDOM ENCODER WEIGHTS: these numbers say nothing about the method",
            *result.banners[1:],
        )
        files = result.write(tmp_path / "written", formats=("jsonl", "csv"))
    assert {path.name for path in files} >= {"windows.jsonl", "windows.csv"}
    assert (tmp_path / "written" / "windows.jsonl").read_text().splitlines() == lines


def test_people_are_renamed_without_computing(predicted, run, videos, tmp_path, monkeypatch, capsys):
    out = tmp_path / "one"
    (tmp_path / "names.txt").write_text("P1 = Anna\n")
    asked = ("predict", videos / "talk.mp4", "--run", run, "--out", out, "--min-face", 0, "--formats", "csv")
    assert call(monkeypatch, capsys, *asked)[0] == 0
    before = (out / "windows.jsonl").read_bytes()
    monkeypatch.setattr("trainer.prediction.predict.WindowReader", None)  # would fail if it were used
    code, shown, _ = call(monkeypatch, capsys, *asked, "--people-file", tmp_path / "names.txt")
    assert code == 0
    assert "Anna" in shown
    assert "Anna" in (out / "people.csv").read_text()
    assert (out / "windows.jsonl").read_bytes() == before


def test_a_dry_run_needs_no_weights_and_writes_nothing(run, videos, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("trainer.prediction.extraction.load_models", None)
    monkeypatch.chdir(tmp_path)
    code, shown, _ = call(monkeypatch, capsys, "predict", videos, "--run", run, "--dry-run", "--json")
    broken, talk = json.loads(shown)["videos"]
    assert code == 0
    assert broken["failure"]
    assert (talk["num_windows"], talk["num_frames"], talk["num_images"]) == (1, 4, 8)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--window", "0.2"), "the model takes 4, so that frames would be repeated; allowed: --window"),
        (("--people", "none"), "--people is 'none'; allowed: all, main, or a number"),
        (("--formats", "pdf"), "--formats is 'pdf'; allowed"),
        (("--start", "9"), "No frame begins from 9 s"),
        (("--face-run", "{run}"), "uses the scene; give a face-only run"),
        (("--explain", "few"), "--explain is 'few'; allowed: all, none"),
    ],
)
def test_a_wrong_option_is_one_line(options, message, run, videos, tmp_path, monkeypatch, capsys):
    given = [option.format(run=run) for option in options]
    asked = ("predict", videos / "talk.mp4", "--run", run, "--out", tmp_path / "out")
    code, _, shown = call(monkeypatch, capsys, *asked, *given)
    assert code == 2
    (line,) = [line for line in shown.splitlines() if line.startswith("error:")]
    assert message in line


def test_another_video_in_the_same_directory_is_rejected_by_name(run, videos, clips, tmp_path):
    predict_into(run, videos / "talk.mp4", tmp_path / "out", "jsonl")
    other = sorted(clips.rglob("*.mp4"))[1]
    with pytest.raises(ConfigError, match="other settings .*source_sha256.*--restart"):
        predict_into(run, other, tmp_path / "out", "jsonl")

"""A list of clips as a user predicts it: files, command, interruptions, and parity with `extract`."""

import csv
import json
import os
import shutil
import signal
from contextlib import closing

import av
import numpy as np
import pytest

from pipeline.cancel import CancelToken
from pipeline.own_dir import OwnDir
from pipeline.store.reader import FeatureCache
from pipeline.types import Features
from tests.command_line import call
from tests.drawn_run import FACE_ONLY, extract_drawn, train_drawn, write_drawn
from trainer.measurement import measure
from trainer.prediction import clip_answers, clip_session
from trainer.prediction.answers import Head, HeadInput
from trainer.prediction.clip_list import read_clip_list
from trainer.prediction.clip_session import STOPPED, predict_clips
from trainer.prediction.growing_files import LOCK_FILE
from trainer.prediction.outputs import OutputOptions
from trainer.prediction.results import NOTICE
from trainer.prediction.source import PredictOptions
from trainer.prediction.worker import PredictSetup
from trainer.runs import load_run
from trainer.scene_sample import find_scenes

OF_HEAD = ("answer", "probability", "margin", "polarity", "with_other_scenes", "face_run")
BOTH = ("clips.jsonl", "clips.csv")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return write_drawn(tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="module")
def cache(drawn, tmp_path_factory):
    return extract_drawn("synthetic", drawn, tmp_path_factory.mktemp("cache") / "feats.zarr")


@pytest.fixture(scope="module")
def run(cache, tmp_path_factory):
    return train_drawn(cache, tmp_path_factory.mktemp("trained") / "run")


@pytest.fixture(scope="module")
def face_run(cache, tmp_path_factory):
    return train_drawn(cache, tmp_path_factory.mktemp("face") / "face", *FACE_ONLY)


@pytest.fixture(scope="module")
def clips(drawn):
    """Clips of several kinds, below the directory of the lists: whole, with a cut, without a face, broken."""
    first, second, *_ = sorted(drawn.rglob("*.mp4"))
    joined = [frame for path in (first, second) for frame in frames_of(path)]
    write_frames(drawn / "cut.mp4", joined)
    write_frames(drawn / "plain.mp4", [np.full_like(joined[0], 90)] * 8)
    (drawn / "broken.mp4").write_bytes(b"no video")
    return drawn


def frames_of(path):
    with av.open(str(path)) as file:
        return [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]


def write_frames(path, frames):
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=8)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "12"}
        for frame in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        file.mux(stream.encode())


ROWS = (
    "clips/clip_00.mp4,,", "clips/clip_01.mp4,0,0.6", "clips/clip_01.mp4,0.3,0.9", "cut.mp4,,",
    "cut.mp4,0.5,1.5", "plain.mp4,,", "broken.mp4,,", "gone.mp4,,", "clips/clip_02.mp4,0.5,99",
    "clips/clip_03.mp4,0,0.3",
)  # fmt: skip


def write_list(folder, rows, header="path,start_seconds,end_seconds", name="list.csv"):
    path = folder / name
    path.write_text("\n".join([header, *rows, ""]))
    return path


def start(run, *, restart=False, face_run=None, min_share=0.5):
    return PredictSetup(
        run=run,
        face_run=face_run,
        options=PredictOptions(people="main", min_face_px=0, min_share=min_share),
        outputs=OutputOptions(),
        restart=restart,
        takes_provided_faces=True,
        device="cpu",
        decoders=1,
    ).start()


def predict(run, path, out, *, cancel=None, **setup):
    with closing(start(run, **setup)) as worker:
        return predict_clips(read_clip_list(path), worker, OwnDir.of(out), cancel=cancel)


def lines_of(out):
    return [json.loads(line) for line in (out / "clips.jsonl").read_text().splitlines()]


def table_of(out):
    with (out / "clips.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def predicted(clips, run, face_run, tmp_path_factory):
    """A list of all kinds, one row twice, predicted with a face-only run beside."""
    path = write_list(clips, [*ROWS, ROWS[0]])
    out = tmp_path_factory.mktemp("out") / "list"
    return predict(run, path, out, face_run=face_run), out


def test_answers_are_those_for_the_features_of_extract_to_the_bit(predicted, clips, run, face_run, tmp_path):
    _, out = predicted
    lines = {line["clip_id"]: line for line in lines_of(out)}
    made = extract_drawn("manifest", write_list(clips, ROWS, name="parity.csv"), tmp_path / "feats.zarr")
    model = load_run(run, device="cpu")
    head = Head(model, load_run(face_run, device="cpu"), find_scenes(model, None)[0])
    names = ("face/embedding", "scene/embedding", "scene/early")
    compared = []
    with FeatureCache.open(made) as cache:
        arrays = [cache.read(name) for name in names]
        valid_NT, absence_NT = cache.read("frame_valid")[:, 0], cache.read("face_absence")[:, 0]
        cuts, sources = cache.read("shot")[:, 0].max(axis=1), cache.read("source_sha256")
        for n, clip_id in enumerate(cache.read("clip_id").tolist()):
            line = lines[clip_id]
            if line["answer"] is None:
                continue
            face, scene, early = (array[n] for array in arrays)
            features = Features(
                face_embedding=face,
                scene_embedding=scene,
                scene_early=early,
                face_tokens=None,
                scene_tokens=None,
            )
            (answer,) = head.answers(
                [HeadInput(features=features, valid_T=valid_NT[n], in_view_T=absence_NT[n] <= 1)]
            )
            assert {name: line[name] for name in OF_HEAD} == {
                name: dict(value) if isinstance(value := getattr(answer, name), dict) else value
                for name in OF_HEAD
            }
            assert None not in (line["face_run"], line["with_other_scenes"])
            assert line["source_sha256"] == sources[n]
            compared.append((clip_id, bool(cuts[n])))
    assert ("cut.mp4", True) in compared
    assert len(compared) >= 5


def test_answers_are_the_predictions_of_evaluate(drawn, cache, run, tmp_path):
    predict(run, drawn / "manifest.csv", tmp_path, min_share=0)
    lines = {line["clip_id"]: line for line in lines_of(tmp_path)}
    measured = measure(run, "train", cache, "cpu")
    with FeatureCache.open(cache) as features:
        ids = features.read("clip_id")[measured.row_N].tolist()
    logits_NC = measured.scores.logits_NC.astype(np.float64)
    probability_NC = np.exp(logits_NC) / np.exp(logits_NC).sum(axis=1, keepdims=True)
    answered = [number for number, clip_id in enumerate(ids) if lines[clip_id]["answer"]]
    assert len(answered) > len(ids) / 2
    for number in answered:
        line, names = lines[ids[number]], load_run(run, device="cpu").class_names
        assert line["answer"] == names[measured.scores.predicted_N[number]]
        assert list(line["probability"].values()) == pytest.approx(probability_NC[number], abs=1e-4)


def test_every_row_has_one_answer_or_a_reason_in_the_order_of_the_list(predicted):
    report, out = predicted
    lines = {line["clip_id"]: line for line in lines_of(out)}
    assert [line["path"] for line in lines_of(out)] == [row.split(",")[0] for row in (*ROWS, ROWS[0])]
    assert lines_of(out)[-1] == lines_of(out)[0]
    assert (report.num_rows, report.num_clips, report.num_done, report.num_failed) == (11, 10, 11, 2)
    assert report.num_answers == sum(line["answer"] is not None for line in lines_of(out))
    assert lines["broken.mp4"]["reason"].startswith("open: not a readable video")
    assert lines["gone.mp4"]["reason"].startswith("open: cannot be read: No such file")
    assert [lines[name]["failed_at"] for name in ("broken.mp4", "gone.mp4")] == ["open", "open"]
    assert lines["plain.mp4"]["reason"] == "face found on 0 of 4 frames; at least 2 are needed"
    assert lines["plain.mp4"]["failed_at"] is None
    assert lines["clips/clip_02.mp4#0.5-99"]["flags"] == ["beyond_end"]
    assert lines["clips/clip_03.mp4#0-0.3"]["flags"] == ["short"]


def test_the_table_and_the_document_carry_the_notice(predicted, run):
    report, out = predicted
    first, *_, last = table_of(out)
    assert first == last
    assert first["clip_id"] == first["path"] == "clips/clip_00.mp4"
    names = load_run(run, device="cpu").class_names
    assert first["answer"] == max(names, key=lambda name: float(first[f"p_{name}"]))
    assert all(first[f"{kind}_{name}"] for kind in ("face_run_p", "other_scenes_p") for name in names)
    assert all(first[f"polarity_{name}"] for name in ("negative", "neutral", "positive"))
    assert NOTICE in first["banner"]
    assert "RANDOM ENCODER WEIGHTS" in first["banner"]
    document = json.loads((out / "prediction.json").read_text())
    assert (document["format"], document["version"], document["run"]) == ("ous-clip-predictions", 1, "run")
    assert document["settings"] == {"min_face_px": 0, "min_share": 0.5, "people": "main"}
    assert document["notice"] == NOTICE
    assert document["banners"] == list(report.banners)
    assert sum(document["answers"].values()) == document["num_answers"]
    assert "labels" not in document
    assert not (out / "labels.json").exists()


def test_labels_are_scored_and_may_be_added_later(predicted, clips, run, face_run, tmp_path):
    _, out = predicted
    labels = ["joy", "odd", "", "sad", "", "anger", "fear", "", "", "neutral"]
    rows = [f"{row},{label}" for row, label in zip(ROWS, labels, strict=True)]
    path = write_list(clips, [*rows, rows[0]], "path,start_seconds,end_seconds,label", "labelled.csv")
    for name in ("clips.jsonl", "progress.npz"):
        (tmp_path / name).write_bytes((out / name).read_bytes())
    report = predict(run, path, tmp_path, face_run=face_run)
    assert (tmp_path / "clips.jsonl").read_bytes() == (out / "clips.jsonl").read_bytes()
    answers = {line["clip_id"]: line["answer"] for line in lines_of(tmp_path)}
    expected = {"clips/clip_00.mp4": "happiness", "cut.mp4": "sadness", "clips/clip_03.mp4#0-0.3": "neutral"}
    counted = {name: label for name, label in expected.items() if answers[name]}
    values = json.loads((tmp_path / "labels.json").read_text())
    assert values["metrics"]["num_clips"] == len(counted)
    right = sum(answers[name] == label for name, label in counted.items())
    assert report.labels.metrics.war == right / len(counted)
    assert values["other_classes"] == {"odd": 1}
    assert values["num_labels"] == 6
    assert sum(values["unanswered"].values()) == 5 - len(counted)
    assert (tmp_path / "labels.png").read_bytes().startswith(b"\x89PNG")
    assert [row["label"] for row in table_of(tmp_path)] == [*labels, labels[0]]
    predict(run, write_list(clips, [*ROWS, ROWS[0]]), tmp_path, face_run=face_run)
    assert not list(tmp_path.glob("label*"))


@pytest.mark.parametrize("after", [1, 2])
def test_a_stopped_prediction_continues_to_the_byte(
    predicted, clips, run, face_run, tmp_path, monkeypatch, after
):
    _, out = predicted
    monkeypatch.setattr(clip_session, "_BLOCK", 3)
    path, token, calls = write_list(clips, [*ROWS, ROWS[0]]), CancelToken(), []

    def stopping(*arguments, **named):
        calls.append(len(arguments[1]))
        if len(calls) > after:
            token.cancel()
        return clip_answers.answer_clips(*arguments, **named)

    monkeypatch.setattr(clip_session, "answer_clips", stopping)
    part = predict(run, path, tmp_path, cancel=token, face_run=face_run)
    assert (part.is_interrupted, part.num_done) == (True, 3 * after)
    assert lines_of(tmp_path) == lines_of(out)[: 3 * after]
    assert len(table_of(tmp_path)) == 3 * after
    calls.clear()
    monkeypatch.setattr(clip_session, "answer_clips", clip_answers.answer_clips)
    predict(run, path, tmp_path, face_run=face_run)
    assert all((tmp_path / name).read_bytes() == (out / name).read_bytes() for name in BOTH)


def test_a_finished_prediction_computes_nothing(predicted, clips, run, face_run, monkeypatch):
    report, out = predicted
    monkeypatch.setattr(clip_session, "answer_clips", None)
    assert predict(run, write_list(clips, [*ROWS, ROWS[0]]), out, face_run=face_run) == report


def test_ctrl_c_writes_the_files_of_what_is_done(clips, run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(clip_session, "_BLOCK", 2)
    labels = [f"{row},joy" for row in ROWS[:5]]
    path = write_list(clips, labels, "path,start_seconds,end_seconds,label", "stopped.csv")
    calls = []

    def pressed(*arguments, **named):
        calls.append(arguments)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return clip_answers.answer_clips(*arguments, **named)

    monkeypatch.setattr(clip_session, "answer_clips", pressed)
    asked = ("predict", path, "--run", run, "--out", tmp_path / "out", "--min-face", 0, "--decoders", 1)
    code, shown, log = call(monkeypatch, capsys, *asked)
    assert code == 130
    assert "5 rows, only the first 2 done" in shown
    assert "the same command resumes" in log
    assert len(table_of(tmp_path / "out")) == 2
    document = json.loads((tmp_path / "out" / "prediction.json").read_text())
    assert document["is_interrupted"]
    assert document["labels"]["unanswered"][STOPPED] == 3
    code, shown, _ = call(monkeypatch, capsys, *asked, "--json")
    assert code == 0
    assert json.loads(shown)["num_done"] == 5
    assert len(calls) == 4


def test_other_clips_runs_and_options_are_rejected_by_name(
    predicted, clips, run, face_run, tmp_path, capsys, monkeypatch
):
    _, out = predicted
    asked = ("predict", write_list(clips, [*ROWS, ROWS[0]]), "--run", run, "--out", out, "--decoders", 1)
    beside = ("--face-run", face_run, "--min-face", 0)
    other = write_list(clips, ROWS, name="other.csv")
    before = (out / "clips.jsonl").read_bytes()
    for given, message in (
        ((*asked, *beside, "--min-share", 0.25), "options.min_share: 0.25 here, 0.5 there"),
        ((*asked, "--min-face", 0), "face_run"),
        (("predict", other, *asked[2:], *beside), "list.clips_sha256"),
        (("predict", clips / "cut.mp4", *asked[2:], "--formats", "csv"), "face_run.temperature: absent here"),
    ):
        code, _, shown = call(monkeypatch, capsys, *given)
        assert code == 2
        assert message in shown
        assert "Give the same options, another --out, or replace it with --restart" in shown
    assert (out / "clips.jsonl").read_bytes() == before


@pytest.mark.parametrize("name", ["clips.csv", "clips.jsonl", "windows.csv", "labelled.csv"])
@pytest.mark.parametrize("more", [(), ("--restart",)])
def test_a_prediction_never_replaces_its_list(clips, run, tmp_path, monkeypatch, capsys, name, more):
    row = '{"path": "a.mp4"}\n' if name.endswith("l") else "path\na.mp4\n"
    (tmp_path / name).write_text(row)
    (tmp_path / "labels.json").write_text("mine")
    monkeypatch.chdir(tmp_path)
    asked = ("predict", tmp_path / name, "--run", run, "--decoders", 1, "--out", ".", *more)
    code, _, shown = call(monkeypatch, capsys, *asked)
    assert code == 2
    assert f"the prediction would replace the list '{tmp_path / name}'" in shown
    assert {file.name for file in tmp_path.iterdir()} == {name, "labels.json"}
    assert (tmp_path / name).read_text() == row


def test_a_first_prediction_leaves_files_of_the_user(clips, run, tmp_path):
    (tmp_path / "labels.json").write_text("mine")
    predict(run, write_list(clips, ROWS[:1], name="one.csv"), tmp_path)
    assert (tmp_path / "labels.json").read_text() == "mine"


def test_restart_replaces_a_prediction_of_any_kind(clips, run, tmp_path, monkeypatch, capsys):
    path = write_list(clips, [f"{ROWS[0]},joy"], "path,start_seconds,end_seconds,label", "one.csv")
    more = (
        "--run",
        run,
        "--out",
        tmp_path,
        "--min-face",
        0,
        "--decoders",
        1,
        "--restart",
        "--formats",
        "csv",
    )
    assert call(monkeypatch, capsys, "predict", clips / "cut.mp4", *more)[0] == 0
    assert call(monkeypatch, capsys, "predict", path, *more)[0] == 0
    assert {file.name for file in tmp_path.iterdir()} == {
        *BOTH, "prediction.json", "progress.npz", "labels.json", "labelled.csv", "labels.png", LOCK_FILE,
    }  # fmt: skip
    assert call(monkeypatch, capsys, "predict", clips / "cut.mp4", *more)[0] == 0
    names = {file.name for file in tmp_path.iterdir()}
    assert "windows.jsonl" in names
    assert not names & {*BOTH, "labels.json", "labelled.csv", "labels.png"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--window", "2"), "--window does not apply to a list of clips: each row is one clip"),
        (("--stride", "1"), "--stride does not apply to a list of clips: each row is one clip"),
        (("--people", "all"), "--people is 'all'; allowed for a list of clips: main"),
        (("--people", "2"), "--people is '2'; allowed for a list of clips: main"),
        (("--formats", "jsonl,csv,html"), "--formats of a list of clips is 'html'; allowed: all, jsonl, csv"),
        (("--explain", "3"), "--explain does not apply to a list of clips. Leave it out."),
        (("--embed",), "--embed does not apply"),
        (("--no-thumbnails",), "--thumbnails/--no-thumbnails does not apply"),
        (("--start", "1"), "--start does not apply to a list of clips: its columns start_seconds"),
        (("--end", "1"), "--end does not apply"),
        (("--shots", "auto"), "--shots does not apply"),
        (("--rate", "25"), "--rate does not apply"),
        (("--people-file", "x"), "--people-file does not apply"),
        (("--labels", "x"), "--labels does not apply to a list of clips: its column label has the labels"),
        (("--mask", "none"), "--mask does not apply"),
        (("--gpus", "1"), "is predicted in this process; use extract and evaluate for a cluster"),
        (("--workers", "2"), "--workers does not apply"),
        (("--scheduler", "tcp://x:1"), "--scheduler does not apply"),
    ],
)
def test_options_without_a_meaning_are_refused_in_one_line(
    options, message, clips, run, tmp_path, monkeypatch, capsys
):
    path = write_list(clips, ROWS[:1], name="one.csv")
    code, _, shown = call(
        monkeypatch, capsys, "predict", path, "--run", run, "--out", tmp_path / "o", *options
    )
    assert code == 2
    (line,) = [line for line in shown.splitlines() if line.startswith("error:")]
    assert message in line
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--face-run", "{run}"), "uses the scene; give a face-only run"),
        (("--face-run", "{here}/gone"), "Nothing is at"),
        (("--encoder-weights", "{here}/gone.pt"), "No encoder weights at"),
        (("--min-share", "2"), "--min-share is 2"),
        (("--out", "{clips}"), "which has the name of one of its files"),
        (("--out", "{here}/foreign"), "has 'clips.csv', which no prediction has written"),
        (("--out", "{here}/foreign/clips.csv/o"), "is no directory; give another --out"),
    ],
)
def test_what_does_not_fit_a_list_is_one_line_before_any_model_loads(
    options, message, clips, run, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("trainer.prediction.extraction.load_models", None)
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "clips.csv").write_text("")
    path = write_list(clips, ROWS[:1], name="clips.csv")
    given = [option.format(run=run, here=tmp_path, clips=path.parent) for option in options]
    asked = ("predict", path, "--run", run, *(() if "--out" in options else ("--out", tmp_path / "o")))
    code, _, shown = call(monkeypatch, capsys, *asked, *given)
    path.unlink()
    assert code in (1, 2), shown
    (line,) = [line for line in shown.splitlines() if line.startswith("error:")]
    assert message in line
    assert not (tmp_path / "o").exists()


def test_a_dry_run_counts_clips_and_images_without_weights(clips, run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("trainer.prediction.extraction.load_models", None)
    monkeypatch.chdir(tmp_path)
    path = write_list(
        clips, [f"{row},joy" for row in (*ROWS, ROWS[0])], "path,start_seconds,end_seconds,label"
    )
    code, shown, _ = call(monkeypatch, capsys, "predict", path, "--run", run, "--dry-run", "--json")
    plan = json.loads(shown)
    assert code == 0
    counts = [plan[name] for name in ("num_rows", "num_clips", "num_missing", "num_labels", "num_images")]
    assert counts == [11, 10, 1, 10, 9 * 4 * 2]
    assert list(tmp_path.iterdir()) == []
    shown = call(monkeypatch, capsys, "predict", path, "--run", run, "--dry-run")[1]
    assert "11 rows, 10 clips, 1 without a file, 10 with a label" in shown


def test_the_exit_code_shows_failed_clips(clips, run, tmp_path, monkeypatch, capsys):
    asked = ("--run", run, "--min-face", 0, "--decoders", 1)
    none = write_list(clips, ["gone.mp4", "broken.mp4"], "path", "none.csv")
    some = write_list(clips, ["gone.mp4", "clips/clip_00.mp4"], "path", "some.csv")
    monkeypatch.chdir(tmp_path)
    codes = [
        call(monkeypatch, capsys, "predict", path, *asked, *more)[0]
        for path in (none, some)
        for more in ((), ("--strict",))
    ]
    assert codes == [1, 3, 0, 3]
    assert (tmp_path / "predictions" / "some" / "clips.csv").exists()


def test_formats_choose_the_table(clips, run, tmp_path, monkeypatch, capsys):
    path = write_list(clips, ROWS[:1], name="one.csv")
    asked = ("predict", path, "--run", run, "--out", tmp_path, "--min-face", 0, "--decoders", 1)
    assert call(monkeypatch, capsys, *asked, "--formats", "jsonl", "--people", "main")[0] == 0
    grown = {"clips.jsonl", "prediction.json", "progress.npz", LOCK_FILE}
    assert {file.name for file in tmp_path.iterdir()} == grown
    assert call(monkeypatch, capsys, *asked)[0] == 0
    assert (tmp_path / "clips.csv").exists()
    assert call(monkeypatch, capsys, *asked, "--formats", "jsonl", "--people", "main")[0] == 0
    assert {file.name for file in tmp_path.iterdir()} == grown


def test_a_replaced_video_is_answered_again(clips, run, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "own"
    shutil.copytree(clips, folder)
    path = write_list(folder, ROWS[:1], name="one.csv")
    asked = ("predict", path, "--run", run, "--out", tmp_path / "out", "--min-face", 0, "--decoders", 1)
    assert call(monkeypatch, capsys, *asked)[0] == 0
    video = folder / ROWS[0].split(",")[0]
    os.utime(video, ns=(1, 1))
    code, _, shown = call(monkeypatch, capsys, *asked)
    assert code == 2
    assert "list.clips_sha256" in shown


@pytest.mark.parametrize("more", [(), ("--restart",)])
def test_a_file_of_the_user_is_never_replaced(clips, run, tmp_path, monkeypatch, capsys, more):
    path = write_list(clips, [f"{ROWS[0]},joy"], "path,start_seconds,end_seconds,label", "one.csv")
    asked = ("predict", path, "--run", run, "--out", tmp_path, "--min-face", 0, "--decoders", 1, *more)
    for name in ("clips.csv", "labels.png", "prediction.json"):
        (tmp_path / name).write_text("mine")
        code, _, shown = call(monkeypatch, capsys, *asked)
        assert code == 2
        assert f"has '{name}', which no prediction has written; give another --out" in shown
        assert (tmp_path / name).read_text() == "mine"
        (tmp_path / name).unlink()


def test_two_processes_do_not_predict_into_one_directory(clips, run, tmp_path, monkeypatch, capsys):
    path = write_list(clips, ROWS[:1], name="one.csv")
    asked = ("--run", run, "--out", tmp_path, "--min-face", 0, "--decoders", 1)
    with OwnDir.of(tmp_path).lock(LOCK_FILE):
        for source in (path, clips / "cut.mp4"):
            code, _, shown = call(monkeypatch, capsys, "predict", source, *asked)
            assert code == 1
            assert "is locked by another process" in shown
    assert [file.name for file in tmp_path.iterdir()] == [LOCK_FILE]


@pytest.mark.parametrize("change", ["clip", "kind", "missing"])
def test_a_changed_file_is_no_traceback(
    predicted, clips, run, face_run, tmp_path, change, monkeypatch, capsys
):
    _, out = predicted
    for name in ("clips.jsonl", "progress.npz"):
        (tmp_path / name).write_bytes((out / name).read_bytes())
    first, *others = (tmp_path / "clips.jsonl").read_bytes().splitlines(keepends=True)
    if change == "clip":
        first = first.replace(b"clip_00", b"clip_99")
    elif change == "kind":
        first = first.replace(b'"flags": []', b'"flags": 55')
    else:
        lost, *others = others
        first = first[:-1] + b" " * len(lost) + b"\n"
    (tmp_path / "clips.jsonl").write_bytes(b"".join([first, *others]))
    path = write_list(clips, [*ROWS, ROWS[0]])
    asked = ("--run", run, "--face-run", face_run, "--min-face", 0, "--decoders", 1)
    code, _, shown = call(monkeypatch, capsys, "predict", path, *asked, "--out", tmp_path)
    assert code in (1, 2)
    assert "is damaged; predict again with --restart" in shown

"""Predictions as a user makes them: drawn videos, a trained run, files, the command and the function."""

import json
from contextlib import closing
from dataclasses import replace

import pytest

import trainer
from pipeline.cancel import CancelToken
from pipeline.errors import ConfigError, OusError
from pipeline.executor import LocalExecutor
from pipeline.executor.choice import WorkerOptions, executor_for
from tests.command_line import call
from tests.drawn_run import FACE_ONLY, extract_drawn, train_drawn, write_drawn
from tests.long_videos import write_long
from tests.tiny_clip import modest_model
from trainer.export import export_model
from trainer.prediction import early_checks, worker
from trainer.prediction.inputs import find_inputs
from trainer.prediction.outputs import OutputOptions
from trainer.prediction.results import NOTICE
from trainer.prediction.session import predict_all
from trainer.prediction.source import PredictOptions, plan_source
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


def test_the_table_for_notebooks_is_that_of_the_file(predicted, run, videos):
    pandas = pytest.importorskip("pandas")
    file = pandas.read_csv(predicted[1] / "talk" / "windows.csv")
    with trainer.predict(run, videos / "talk.mp4", min_face=0, decoders=1) as result:
        table = result.to_pandas()
    assert list(table.columns) == list(file.columns)
    assert len(table) == len(file) == 1
    for column in file.columns:
        one, other = table[column][0], file[column][0]
        assert one == other or (not one and pandas.isna(other)) or pandas.isna(one), column


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


def test_labels_are_compared_and_their_files_go_with_the_option(
    predicted, run, videos, tmp_path, monkeypatch, capsys
):
    (tmp_path / "labels.csv").write_text("path,label\ntalk.mp4,happy\ntalk.mp4,happy\n")
    (tmp_path / "late.csv").write_text(
        "path,label,start_seconds,end_seconds\ntalk.mp4,happy,0.1,1.05\ntalk.mp4,happy,0.25,9.5\n"
    )
    out = tmp_path / "one"
    asked = (
        "predict",
        videos / "talk.mp4",
        "--run",
        run,
        "--out",
        out,
        "--min-face",
        0,
        "--formats",
        "jsonl",
    )
    more = ("--explain", "none", "--json")
    code, shown, _ = call(monkeypatch, capsys, *asked, *more, "--labels", tmp_path / "labels.csv")
    scores = json.loads(shown)["labels"]
    assert code == 0
    window = json.loads((predicted[1] / "talk" / "windows.jsonl").read_text())
    assert (scores["num_labels"], scores["metrics"]["num_clips"]) == (1, 1)
    assert scores["metrics"]["war"] == float(window["answer"] == "happiness")
    files = {"labels.json", "labelled.csv", "labels.png"}
    assert files <= {path.name for path in out.iterdir()}
    assert window["answer"] in (out / "labelled.csv").read_text()
    code, _, shown = call(monkeypatch, capsys, *asked, *more, "--labels", tmp_path / "late.csv")
    note = "1 labelled span ends after the end of 'talk.mp4', which is 1.00 s long: 0.25 to 9.5 s ("
    (line,) = [line for line in shown.splitlines() if line.startswith(f"note: talk.mp4: {note}")]
    assert "late.csv, line 3" in line
    (kept,) = json.loads((out / "prediction.json").read_text())["notes"]
    assert kept.startswith(note)
    code, shown, _ = call(monkeypatch, capsys, *asked, *more)
    assert (code, "labels" in json.loads(shown)) == (0, False)
    assert json.loads((out / "prediction.json").read_text())["notes"] == []
    assert not files & {path.name for path in out.iterdir()}


def test_the_page_over_a_directory_links_the_scores_of_labels(run, videos, tmp_path, monkeypatch, capsys):
    (tmp_path / "labels.csv").write_text("path,label\ntalk.mp4,happy\n")
    out = tmp_path / "out"
    asked = ("predict", videos, "--run", run, "--out", out, "--min-face", 0, "--formats", "csv")
    assert call(monkeypatch, capsys, *asked, "--labels", tmp_path / "labels.csv")[0] == 0
    page = (out / "index.html").read_text()
    for name in ("labels.json", "labelled.csv", "labels.png"):
        assert f'href="./{name}"' in page
        assert (out / name).exists()
    assert call(monkeypatch, capsys, *asked)[0] == 0
    assert "labels." not in (out / "index.html").read_text()


def test_a_person_who_is_left_out_is_on_no_page(run, videos, tmp_path, monkeypatch, capsys):
    out = tmp_path / "one"
    (tmp_path / "names.txt").write_text("P1 = drop\n")
    asked = ("predict", videos / "talk.mp4", "--run", run, "--out", out, "--min-face", 0)
    assert call(monkeypatch, capsys, *asked)[0] == 0
    assert 'id="explanation-0"' in (out / "index.html").read_text()
    before = (out / "windows.jsonl").read_bytes()
    code, _, shown = call(monkeypatch, capsys, *asked, "--people-file", tmp_path / "names.txt")
    note = "left out by people file 'names.txt': P1 (1 track)"
    assert code == 0
    assert f"note: {note}" in shown
    assert json.loads((out / "prediction.json").read_text())["notes"] == [note]
    assert 'id="explanation-0"' not in (out / "index.html").read_text()
    assert (out / "people.csv").read_text().count("\n") == 1
    assert (out / "windows.csv").read_text().count("\n") == 1
    assert (out / "windows.jsonl").read_bytes() == before


def test_a_dry_run_needs_no_weights_and_writes_nothing(run, videos, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("pipeline.process.models.is_here", lambda _: False)
    monkeypatch.chdir(tmp_path)
    code, shown, _ = call(monkeypatch, capsys, "predict", videos, "--run", run, "--dry-run", "--json")
    plan = json.loads(shown)
    broken, talk = plan["videos"]
    assert code == 0
    assert broken["failure"]
    assert (talk["num_windows"], talk["num_frames"], talk["num_images"]) == (1, 4, 8)
    times = plan["times"]
    assert (times["num_frames"], times["num_images"]) == (4, 20)
    assert times["stand_ins"] == [f"{modest_model()} (random)"]
    assert talk["num_images_explaining"] == 1 * 16 * 4
    of_images = (8 + 64) * times["seconds_per_image"]
    assert plan["seconds_each_further_person"] == pytest.approx(of_images)
    assert plan["seconds_one_person"] == pytest.approx(of_images + 4 * times["seconds_per_frame"])
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_without_a_readable_video_has_no_times(run, videos, monkeypatch, capsys):
    path = videos / "broken.mp4"
    code, shown, _ = call(monkeypatch, capsys, "predict", path, "--run", run, "--dry-run", "--json")
    plan = json.loads(shown)
    assert (code, plan["times"], plan["seconds_one_person"]) == (1, None, None)


def test_an_unexpected_error_of_one_video_ends_only_that_one(run, videos, tmp_path, monkeypatch):
    def planned(path, *arguments):
        if path.name == "broken.mp4":
            msg = "no such\nlibrary"
            raise RuntimeError(msg)
        return plan_source(path, *arguments)

    monkeypatch.setattr("trainer.prediction.worker.plan_source", planned)
    report = predict_into(run, videos, tmp_path / "out", "jsonl")
    assert [video.failure for video in report.videos] == ["RuntimeError: no such", ""]
    with pytest.raises(RuntimeError):
        predict_into(run, videos / "broken.mp4", tmp_path / "one", "jsonl")


def test_the_page_is_written_when_the_device_fails(run, videos, tmp_path, monkeypatch):
    (tmp_path / "index.html").write_text("of an earlier command")

    def planned(path, *arguments):
        if path.name == "talk.mp4":
            msg = "CUDA error: an illegal memory access was encountered"
            raise RuntimeError(msg)
        return plan_source(path, *arguments)

    monkeypatch.setattr("trainer.prediction.worker.plan_source", planned)
    with pytest.raises(OusError, match="finished videos are safe"):
        predict_into(run, videos, tmp_path, "jsonl")
    index = json.loads((tmp_path / "index.json").read_text())
    assert ([video["name"] for video in index["videos"]], index["is_interrupted"]) == (["broken"], True)
    assert "not a readable video" in (tmp_path / "index.html").read_text()


class ModestSetup(PredictSetup):
    """Setup on workers in other processes, which know open_clip's models only."""

    def start(self, cores=None):
        modest_model()
        return super().start(cores)


@pytest.fixture(scope="module")
def spread(run, clips, tmp_path_factory):
    """Three videos and a broken one on two worker processes, and beside it in this process."""
    folder = tmp_path_factory.mktemp("spread")
    (folder / "in").mkdir()
    for number, path in enumerate(sorted(clips.rglob("*.mp4"))[:3]):
        (folder / "in" / f"v{number}.mp4").write_bytes(path.read_bytes())
    (folder / "in" / "a.mp4").write_bytes(b"no video")
    inputs, _ = find_inputs([folder / "in"])
    options = PredictOptions(min_face_px=0)
    outputs = OutputOptions.parse("jsonl,csv,html", embed=False, thumbnails=True)
    setup = ModestSetup(run=run, options=options, outputs=outputs, decoders=1, device="cpu")
    reports = []
    for out, workers in (("two", WorkerOptions(workers=2, dashboard=False)), ("one", WorkerOptions())):
        with closing(executor_for(setup, workers)) as executor:
            reports.append(
                predict_all(
                    inputs, load_run(run, device="cpu"), executor, folder / out / "all", is_collection=True
                )
            )
    return folder, *reports


def test_a_directory_on_several_workers_gives_the_same_files_in_the_same_order(spread):
    folder, two, one = spread
    assert [video.name for video in two.videos] == ["a", "v0", "v1", "v2"]
    assert [video.num_answers for video in two.videos] == [video.num_answers for video in one.videos]
    assert two.num_failed == one.num_failed == 1
    for name in ("v0/windows.jsonl", "v1/windows.csv", "v2/frames.csv", "index.html"):
        found = (folder / "two" / "all" / name).read_text()
        assert found == (folder / "one" / "all" / name).read_text(), name


def test_work_that_is_cancelled_before_the_first_video_has_none(run, videos, tmp_path):
    inputs, _ = find_inputs([videos])
    outputs = OutputOptions.parse("jsonl", embed=False, thumbnails=True)
    setup = PredictSetup(run=run, options=PredictOptions(), outputs=outputs, decoders=1, device="cpu")
    cancel = CancelToken()
    cancel.cancel()
    loaded = load_run(run, device="cpu")
    with closing(LocalExecutor(setup)) as executor:
        report = predict_all(inputs, loaded, executor, tmp_path / "out", is_collection=True, cancel=cancel)
    assert (report.videos, report.is_interrupted, report.page) == ((), True, None)


@pytest.mark.parametrize(("start", "in_advance"), [(0.25, True), (None, False)])
def test_a_doubtful_video_is_scanned_once_and_before_models_load(
    start, in_advance, run, clips, tmp_path, monkeypatch
):
    video = (
        write_long(tmp_path / "long.mp4", 60, rate=10) if start is None else sorted(clips.rglob("*.mp4"))[0]
    )
    order = []

    def noting(module, name):
        plain = getattr(module, name)

        def noted(*arguments, **named):
            order.append(name)
            return plain(*arguments, **named)

        monkeypatch.setattr(module, name, noted)

    noting(early_checks, "plan_source")
    noting(worker, "plan_source")
    noting(worker, "load_run_models")
    inputs, _ = find_inputs([video])
    setup = PredictSetup(
        run=run,
        options=PredictOptions(min_face_px=0, start_seconds=start),
        outputs=OutputOptions(formats=("csv",)),
        device="cpu",
        decoders=1,
        only=video,
    )
    with closing(LocalExecutor(setup)) as executor:
        loaded = load_run(run, device="cpu")
        report = predict_all(inputs, loaded, executor, tmp_path / "out", is_collection=False)
    assert report.videos[0].num_windows > 0
    assert order == (["plan_source", "load_run_models"] if in_advance else ["load_run_models", "plan_source"])
    cancel = CancelToken()
    cancel.cancel()
    with closing(LocalExecutor(replace(setup, cancel=cancel))) as executor:
        report = predict_all(inputs, loaded, executor, tmp_path / "none", is_collection=False, cancel=cancel)
    assert report.is_interrupted


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--window", "0.2"), "the model takes 4, so that frames would be repeated; allowed: --window"),
        (("--people", "none"), "--people is 'none'; allowed: all, main, or a number"),
        (("--formats", "pdf"), "--formats is 'pdf'; allowed"),
        (("--start", "9"), "No frame begins from 9 s"),
        (("--face-run", "{run}"), "uses the scene; give a face-only run"),
        (("--explain", "few"), "--explain is 'few'; allowed: all, none"),
        (("--start", "3", "--end", "2"), "--end is 2; allowed: more than --start (3)"),
        (("--shots", "{here}/gone.csv"), "gone.csv"),
        (("--shots", "{here}/cuts.csv"), "line 2: 'soon' is no time in seconds"),
        (("--people-file", "{here}/cuts.csv"), "'1.5' is not of the form"),
        (("--people-file", "{here}/gone.txt"), "gone.txt"),
        (("--labels", "{here}/gone.csv"), "gone.csv"),
        (("--face-run", "{here}/gone"), "gone"),
        (("--encoder-weights", "{here}/gone.pt"), "No encoder weights at"),
        (("--detector-weights", "{here}/gone.pth"), "gone.pth"),
        (("--out", "{here}/cuts.csv/out"), "cuts.csv' is no directory; give another --out"),
        (("--device", "cuda:77"), "cuda:77"),
    ],
)
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_wrong_option_is_one_line_before_any_model_loads(
    options, message, dry_run, run, videos, tmp_path, monkeypatch, capsys
):
    if dry_run and "--out" in options:
        pytest.skip("a dry run writes nothing")
    for place in ("trainer.prediction.extraction.load_models", "trainer.prediction.step_times.load_models"):
        monkeypatch.setattr(place, None)
    (tmp_path / "cuts.csv").write_text("1.5\nsoon\n")
    given = [option.format(run=run, here=tmp_path) for option in options]
    default_out = () if "--out" in options else ("--out", tmp_path / "out")
    asked = ("predict", videos / "talk.mp4", "--run", run, *default_out)
    code, _, shown = call(monkeypatch, capsys, *asked, *given, *(["--dry-run"] if dry_run else []))
    assert code in (1, 2), shown  # 1: a file that cannot be read
    (line,) = [line for line in shown.splitlines() if line.startswith("error:")]
    assert message in line
    assert not (tmp_path / "out").exists()


def test_a_video_that_is_too_large_to_be_embedded_is_known_before_models_load(
    run, videos, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("trainer.prediction.extraction.load_models", None)
    large = tmp_path / "large.mp4"
    large.write_bytes((videos / "talk.mp4").read_bytes())
    with large.open("r+b") as file:
        file.truncate(21 << 20)
    asked = ("predict", large, "--run", run, "--out", tmp_path / "out", "--embed")
    code, _, shown = call(monkeypatch, capsys, *asked)
    assert code == 2
    assert "error: " in shown
    assert "--embed" in shown


def test_a_dry_run_shows_the_face_run_and_the_names_of_the_people_file(
    run, clips, videos, tmp_path, monkeypatch, capsys
):
    face_run = train_drawn(
        extract_drawn("synthetic", clips, tmp_path / "feats.zarr"), tmp_path / "face", *FACE_ONLY
    )
    (tmp_path / "names.txt").write_text("P1 = Anna\n")
    asked = (
        "predict",
        videos / "talk.mp4",
        "--run",
        run,
        "--dry-run",
        "--people-file",
        tmp_path / "names.txt",
    )
    code, shown, _ = call(monkeypatch, capsys, *asked, "--face-run", face_run)
    assert code == 0
    assert "beside: the answers of the face-only run 'face'" in shown
    assert "names of the people file: P1 = Anna; the video may not have all of these people" in shown
    plan = json.loads(call(monkeypatch, capsys, *asked, "--json")[1])
    assert (plan["face_run"], plan["names"]) == (None, {"P1": "Anna"})


def test_an_exported_model_predicts_as_its_run(predicted, run, videos, tmp_path):
    _, out = predicted
    model = export_model(run, tmp_path / "model").path
    predict_into(model, videos / "talk.mp4", tmp_path / "out", "jsonl")
    assert (tmp_path / "out" / "windows.jsonl").read_bytes() == (out / "talk" / "windows.jsonl").read_bytes()


def test_another_video_in_the_same_directory_is_rejected_by_name(run, videos, clips, tmp_path):
    predict_into(run, videos / "talk.mp4", tmp_path / "out", "jsonl")
    other = sorted(clips.rglob("*.mp4"))[1]
    with pytest.raises(ConfigError, match="other settings .*source_sha256.*--restart"):
        predict_into(run, other, tmp_path / "out", "jsonl")

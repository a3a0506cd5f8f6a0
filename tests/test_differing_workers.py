"""Videos that were computed with other precisions or versions are named, wherever a directory is shown."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.display.text import lines
from pipeline.errors import FileError
from pipeline.own_dir import OwnDir
from tests.small_predictions import CLASSES, RANDOM, prediction, windows
from trainer.prediction.differing_workers import add_banner, differing_banner
from trainer.prediction.folder_page import video_row
from trainer.prediction.inputs import Input
from trainer.prediction.outcomes import outcome_of
from trainer.prediction.session import predict_all
from trainer.prediction.video_tasks import VideoResult, VideoTask, failed
from trainer.prediction.writing import write

MADE = {"ous": "1.0", "torch": "2.14", "precision": "bf16", "device": "cpu"}


class Answered:
    """Executor whose results are made of `made_with` of each video; None for a failure."""

    def __init__(self, *made: dict[str, str] | None) -> None:
        self.made = made

    def ask_worker(self, question, observer=None):
        return question(SimpleNamespace(remarks=lambda: ((RANDOM,), ())))

    def run(self, tasks, observer):
        for task, made in zip(tasks, self.made, strict=True):
            yield task, failed(task, "no video") if made is None else result_of(task, made)


def result_of(task: VideoTask, made: dict[str, str]) -> VideoResult:
    banners = [made["banner"]] if "banner" in made else [RANDOM]
    value = replace(prediction(windows("hh")), made_with=made, banners=tuple(banners))
    OwnDir.of(task.out).make()
    write(value, OwnDir.of(task.out), ["json"])
    video = outcome_of(task.source, task.out, value, 1.0, notes=(), skipped=())
    return VideoResult(video=video, row=video_row(value, None), made_with=made)


def predict_with(tmp_path: Path, *made: dict[str, str] | None):
    inputs = [Input(path=tmp_path / f"{n}.mp4", name=f"v{n}") for n in range(len(made))]
    run = SimpleNamespace(class_names=CLASSES, path=tmp_path / "run")
    return predict_all(inputs, run, Answered(*made), tmp_path / "out", is_collection=True)


def test_the_warning_is_on_the_page_in_the_files_and_in_the_terminal(tmp_path):
    other = {**MADE, "precision": "fp32", "ous": "", "device": "NVIDIA"}
    report = predict_with(tmp_path, MADE, other, None, MADE)
    text = (
        "VIDEOS COMPUTED DIFFERENTLY: version 1.0 for v0, v3 and unknown for v1; precision of features "
        "bf16 for v0, v3 and fp32 for v1"
    )
    assert [banner for banner in report.banners if "DIFFERENTLY" in banner] == [text]
    assert f"!! {text}" in lines(report)
    assert json.loads((tmp_path / "out" / "index.json").read_text())["banners"] == list(report.banners)
    assert text in (tmp_path / "out" / "index.html").read_text()
    for name in ("v0", "v1", "v3"):
        values = json.loads((tmp_path / "out" / name / "prediction.json").read_text())
        assert values["banners"][-1] == text
        assert values["made_with"]["device"]


def test_banners_of_all_workers_are_shown(tmp_path):
    report = predict_with(tmp_path, MADE, {**MADE, "banner": "OTHER PRECISION: of this worker"})
    assert report.banners == (RANDOM, "OTHER PRECISION: of this worker")


def test_devices_may_differ(tmp_path):
    report = predict_with(tmp_path, MADE, {**MADE, "device": "NVIDIA"}, None)
    assert not [banner for banner in report.banners if "DIFFERENTLY" in banner]


def test_a_damaged_document_is_one_line(tmp_path):
    (tmp_path / "prediction.json").write_text("[]")
    with pytest.raises(FileError, match=r"prediction\.json' is damaged; predict again with --restart"):
        add_banner(OwnDir.of(tmp_path), "text")
    assert differing_banner([]) is None

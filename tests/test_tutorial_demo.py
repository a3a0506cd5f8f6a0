"""Tutorials 1 and 4 and the notebook, on one small demo: 30 clips, a tiny encoder, one epoch."""

import csv
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import matplotlib.pyplot as plt
import numpy as np
import pytest

from pipeline.datasets.synthetic import SyntheticConfig
from tests.notebook_cells import code_cells, run_cells
from tests.tiny_clip import modest_model
from tests.tutorial_pages import ROOT, TUTORIALS, commands, follow, prepare
from trainer import demo
from trainer.presets import smoke

DEMO_PAGE, INTERVIEW_PAGE = TUTORIALS / "1-the-demo.md", TUTORIALS / "4-an-interview.md"
NOTEBOOK = ROOT / "docs/notebooks/first-steps.ipynb"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def pictures(video: Path) -> Iterator[np.ndarray]:
    with av.open(str(video)) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


def write_interview(path: Path, left: Path, right: Path, num_frames: int = 32) -> None:
    """Two drawn clips beside each other, repeated for 4 s."""
    both = [np.hstack(pair) for pair in zip(pictures(left), pictures(right), strict=True)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=8, options={"qp": "10"})
        stream.height, stream.width = both[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for number in range(num_frames):
            picture = np.ascontiguousarray(both[number % len(both)])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


@pytest.fixture(scope="module")
def small_demo(tmp_path_factory):
    """The reader's directory after `make demo`."""
    directory = prepare(tmp_path_factory.mktemp("tutorial") / "ous")
    small = replace(smoke(), schedule=replace(smoke().schedule, max_epochs=1))
    encoder = {"name": modest_model(), "weights": "random"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "smoke", lambda: small)
        patch.setitem(demo._EXTRACTION, "encoder", encoder)
        demo.run_demo(
            directory / "demo-out",
            say=lambda text: None,
            bar=lambda name, total: lambda amount: None,
            on_epoch=lambda epoch: None,
            clips=SyntheticConfig(num_clips=30, num_frames=8),
        )
    return directory


def test_the_demo_page_has_a_command_for_every_step():
    names = [command.split()[1] for command in commands(DEMO_PAGE)]
    assert names == ["cache", "evaluate", "evaluate", "report", "predict", "predict"]


def test_the_interview_page_predicts_a_video_a_directory_and_a_list():
    predicted = [command.split()[2] for command in commands(INTERVIEW_PAGE)]
    assert predicted == [*["interview.mp4"] * 4, "interviews", "clips.csv"]


def test_the_notebook_has_no_outputs_and_is_small():
    assert NOTEBOOK.stat().st_size < 50_000
    cells = code_cells(NOTEBOOK)
    assert [cell for cell in cells if cell["outputs"] or cell["execution_count"] is not None] == []


@pytest.mark.slow
def test_tutorial_1(small_demo):
    """Another pair of twins stands for that of the page; twins have one answer by the face."""
    twins: dict[str, list[str]] = {}
    for row in rows(small_demo / "demo-out/clips/truth.csv"):
        if row["ambiguous"] == "1":
            twins.setdefault(row["performance"], []).append(row["clip_id"])
    first, second = next(pair for pair in twins.values() if len(pair) == 2)
    follow(DEMO_PAGE, small_demo, {"clip_012": first, "clip_320": second})
    assert (small_demo / "demo-report/report.html").is_file()
    one, other = (rows(small_demo / name / "windows.csv")[0] for name in ("twin-1", "twin-2"))
    face_only = [name for name in one if name.startswith("face_run_p_")]
    assert len(face_only) == 7
    assert [one[name] for name in face_only] == [other[name] for name in face_only]


@pytest.mark.slow
def test_tutorial_4(small_demo):
    """With drawn people for the interview, and two videos in the directory."""
    clips = sorted((small_demo / "demo-out/clips/clips").glob("*.mp4"))
    write_interview(small_demo / "interview.mp4", clips[0], clips[-1])
    (small_demo / "interviews").mkdir()
    for name, clip in (("anna.mp4", clips[0]), ("bert.mp4", clips[-1])):
        shutil.copy(clip, small_demo / "interviews" / name)
    stand_ins = {
        "interviews/anna.mp4,0,2,happy": "interviews/anna.mp4,0,0.5,happy",
        "bert.mp4,1,3,": "bert.mp4,0.5,1,",
    }
    outputs = follow(INTERVIEW_PAGE, small_demo, stand_ins)
    assert {row["person"] for row in rows(small_demo / "interview/people.csv")} == {"Anna", "Bert"}
    assert "Anna" in (small_demo / "interview/timeline.eaf").read_text()
    labels = json.loads((small_demo / "interview/labels.json").read_text())
    assert (labels["num_labels"], labels["metrics"]["num_clips"]) == (3, 3)
    assert "labels.csv: 3 labels of 1 video, 3 clips compared" in "".join(outputs.values())
    assert (small_demo / "interviews-predicted/index.html").is_file()
    assert len(rows(small_demo / "scored/clips.csv")) == 2


@pytest.mark.slow
def test_the_notebook(small_demo, monkeypatch):
    """One epoch instead of five."""
    monkeypatch.chdir(small_demo)
    try:
        found, shown = run_cells(NOTEBOOK, {"max_epochs=5": "max_epochs=1"})
        assert [len(plt.figure(number).axes) for number in plt.get_fignums()] == [2, 1]
    finally:
        plt.close("all")
    found["cache"].close()
    assert found["face"].shape == (30, 1, 8, 192)
    assert "clips: 30 done" in shown[0]
    assert "RANDOM ENCODER WEIGHTS" in shown[-1]
    assert "<table>" in shown[-1]
    # seven values with six decimals
    assert all(sum(window.probability.values()) == pytest.approx(1, abs=4e-6) for window in found["first"])

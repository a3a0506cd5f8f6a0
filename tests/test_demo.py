import json
from dataclasses import replace

import pytest

from pipeline.datasets.synthetic import SyntheticConfig
from pipeline.display.text import lines as lines_of
from pipeline.errors import OusError
from trainer import demo
from trainer.presets import smoke


@pytest.fixture(scope="module")
def no_drawing():
    """Figures are drawn here."""


@pytest.fixture
def quick(monkeypatch):
    config = smoke()
    short = replace(config, schedule=replace(config.schedule, max_epochs=1))
    monkeypatch.setattr(demo, "smoke", lambda: short)


def run(out, num_clips=60):
    said, bars = [], []
    report = demo.run_demo(
        out,
        say=said.append,
        bar=lambda name, total: (bars.append((name, total)), lambda amount: None)[1],
        on_epoch=lambda epoch: None,
        clips=SyntheticConfig(num_clips=num_clips, num_frames=8),
    )
    return report, said, bars


@pytest.mark.slow
def test_the_whole_way_and_again(quick, tmp_path):
    (tmp_path / "out" / ".clips.killed.partial").mkdir(parents=True)
    report, said, bars = run(tmp_path / "out", num_clips=30)
    assert not (tmp_path / "out" / ".clips.killed.partial").exists()
    assert bars == [("drawing clips", 30), ("extracting", 30)]
    assert report.full.metrics.num_clips == report.face_only.metrics.num_clips == 10
    assert 0.6 < report.bound < 0.8
    assert report.face_found_share > 0.9
    for name in (
        "demo.png",
        "clips.png",
        "runs/full/confusion.png",
        "runs/face-only/curves.png",
        "clips/manifest.csv",
    ):
        assert (tmp_path / "out" / name).stat().st_size > 500
    document = json.loads((tmp_path / "out" / "demo.json").read_text())
    assert document["full"]["war"] == report.full.metrics.war
    assert document["machine"]["cores"] >= 1
    assert lines_of(report)[0].startswith("!! RANDOM ENCODER WEIGHTS")
    again, _, _ = run(tmp_path / "out", num_clips=30)
    assert again.full.metrics.confusion.tolist() == report.full.metrics.confusion.tolist()


def test_the_face_only_model_sees_no_scene():
    config = demo.face_only(smoke())
    assert not config.model.scene
    assert not config.has_polarity_token
    assert not config.has_similarity_loss


def test_what_a_killed_demo_left_does_not_stop_the_next(tmp_path, monkeypatch):
    names = ("ous-synthetic-killed", ".feats.zarr.locks", ".feats.zarr.0123456789abcdef.creating")
    for name in names:
        (tmp_path / "out" / name).mkdir(parents=True)
    (tmp_path / "out" / names[0] / "lock").touch()
    began = []
    monkeypatch.setattr(demo, "load_models", lambda *_: began.append(1) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(tmp_path / "out", num_clips=12)
    assert began
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".feats.zarr.locks", "clips"]


@pytest.mark.parametrize("name", ["ous-synthetic-killed", ".feats.zarr.locks"])
def test_a_link_with_such_a_name_is_of_no_demo(tmp_path, name):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).symlink_to(tmp_path)
    with pytest.raises(OusError, match="which no demo has made"):
        run(tmp_path / "out")


def test_runs_of_a_user_are_left_alone(tmp_path):
    mine = tmp_path / "out" / "runs" / "mine" / "best.safetensors"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(OusError, match=r"holds 'runs', which no demo has made"):
        run(tmp_path / "out")
    assert mine.read_text() == "mine"


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(OusError, match=r"holds 'thesis.tex', which no demo has made; give a new directory"):
        run(tmp_path)
    with pytest.raises(OusError, match="is a file; give a directory"):
        run(tmp_path / "thesis.tex")
    assert (tmp_path / "thesis.tex").read_text() == "mine"

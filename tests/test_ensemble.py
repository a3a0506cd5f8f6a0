"""Ensembles: the mean of runs, by fold, from stored predictions or measured now."""

import json
import re

import numpy as np
import pytest
from typer.testing import CliRunner

import cli
from pipeline.config import override
from pipeline.display.text import lines
from pipeline.errors import ConfigError
from pipeline.own_dir import OwnDir
from tests.tiny_cache import tiny_cache, tiny_meta
from trainer import ensemble
from trainer.clip_predictions import read_predictions
from trainer.evaluation import evaluate
from trainer.presets import smoke
from trainer.training import train

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")
QUICK = override(smoke(), ["schedule.max_epochs=1", "model.polarity=false"])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two seeds of each of two folds, of which none is measured."""
    folder = tmp_path_factory.mktemp("runs")
    membership = np.ones((48, 2), np.uint8)
    membership[:16, 0] = membership[16:32, 1] = 3
    cache = tiny_cache(folder / "feats.zarr", tiny_meta(fold_names=("1", "2")), membership=membership)
    return {
        (fold, seed): train(
            cache, folder / f"{fold}{seed}", QUICK, fold=fold, seed=seed, device="cpu"
        ).run_dir
        for fold in (1, 2)
        for seed in (0, 1)
    }


def read(folder, name="predictions.csv"):
    return read_predictions(OwnDir.of(folder), name)


def test_probabilities_of_a_fold_are_averaged_and_measured(runs, tmp_path):
    remarks = []
    members = [runs[1, 0], runs[1, 1]]
    found = ensemble(members, tmp_path, device="cpu", on_run=remarks.append)
    assert remarks == [f"measuring {run}" for run in members]
    single = [read(run) for run in members]
    mean_NC = (single[0].probability_NC + single[1].probability_NC) / 2
    (one,) = found.folds
    np.testing.assert_array_equal(one.predictions.probability_NC, mean_NC)
    assert one.metrics.war == np.mean(mean_NC.argmax(axis=1) == single[0].label_N)
    assert one.mean_war == np.mean([s.metrics().war for s in single])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "confusion.png", "ensemble.json", "predictions.csv", "section.json",
    ]  # fmt: skip
    document = json.loads((tmp_path / "ensemble.json").read_text())
    assert document["folds"][0]["metrics"]["war"] == one.metrics.war
    assert found.banners == evaluate(members[0], device="cpu").banners != ()
    np.testing.assert_array_equal(read(tmp_path).probability_NC, mean_NC)


def test_predictions_of_a_version_that_counted_no_clips_without_a_face_are_measured_again(runs, tmp_path):
    members = [runs[1, 0], runs[1, 1]]
    for run in members:
        evaluate(run, device="cpu")
    path = members[0] / "confusion.json"
    values = json.loads(path.read_text())
    del values["training_set"]["num_without_face"]
    path.write_text(json.dumps(values))
    remarks = []
    ensemble(members, tmp_path, device="cpu", on_run=remarks.append)
    assert [remark.split()[0] for remark in remarks] == ["measuring", "reading"]


def test_stored_predictions_are_read_unless_they_are_of_another_model(runs, tmp_path):
    members = [runs[1, 0], runs[1, 1]]
    for run in members:
        evaluate(run, device="cpu")
    remarks = []
    ensemble(members, tmp_path, device="cpu", on_run=remarks.append)
    assert [remark.split()[0] for remark in remarks] == ["reading", "reading"]
    ensemble(members, tmp_path, device="cpu", measure_again=True, on_run=remarks.append)
    assert [remark.split()[0] for remark in remarks[2:]] == ["measuring", "measuring"]
    path = members[0] / "confusion.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"best_epoch": values["best_epoch"] + 1}))
    (members[1] / "predictions.csv").write_text("x")
    ensemble(members, tmp_path, device="cpu", on_run=remarks.append)
    assert [remark.split()[0] for remark in remarks[4:]] == ["measuring", "measuring"]
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"clips_sha256": "0" * 64}))
    evaluate(members[1], cache=members[1].parent / "feats.zarr", device="cpu", classes={"neutral": ""})
    ensemble(members, tmp_path, device="cpu", on_run=remarks.append)
    assert [remark.split()[0] for remark in remarks[6:]] == ["measuring", "measuring"]


def test_folds_are_averaged_apart_and_then_summarised(runs, tmp_path):
    found = ensemble(list(runs.values()), tmp_path, device="cpu")
    assert [(one.fold, len(one.run_dirs)) for one in found.folds] == [("1", 2), ("2", 2)]
    wars = [one.metrics.war for one in found.folds]
    assert found.summary.mean_of_folds["war"].mean == pytest.approx(np.mean(wars))
    assert {path.name for path in found.files} == {
        "ensemble.json", "predictions_fold1.csv", "confusion_fold1.png",
        "predictions_fold2.csv", "confusion_fold2.png",
    }  # fmt: skip
    shown = lines(found)
    assert any(line.startswith("mean of 2 folds ± over folds, percent: WAR ") for line in shown)
    assert any(line.startswith("clips of all folds pooled: WAR ") for line in shown)
    assert repr(found) == "\n".join(shown)


def test_runs_that_are_no_ensemble_are_rejected(runs, tmp_path):
    one, other = runs[1, 0], runs[1, 1]
    with pytest.raises(ConfigError, match="is a run, whose files would be replaced"):
        ensemble([one, other], one, device="cpu")
    with pytest.raises(ConfigError, match="ensemble needs two runs or more; given: 1"):
        ensemble([one], tmp_path / "out")
    with pytest.raises(ConfigError, match="is given twice; give each run once"):
        ensemble([one, other, one.parent / ".." / one.parent.name / one.name], tmp_path / "out", device="cpu")
    evaluate(one, device="cpu")
    evaluate(other, device="cpu")
    path = other / "predictions.csv"
    text = path.read_text()
    path.write_text(re.sub("clip003", "clip000x", text, count=1))
    with pytest.raises(ConfigError, match="were measured on different clips; give runs of one cache"):
        ensemble([one, other], tmp_path / "out", device="cpu")
    path.write_text(text)
    assert not (tmp_path / "out").exists()


def test_the_command_prints_the_same(runs, tmp_path):
    members = [str(runs[1, 0]), str(runs[1, 1])]
    options = ["--out", str(tmp_path / "out"), "--device", "cpu", "--json"]
    result = CliRunner().invoke(cli.app, ["ensemble", *members, *options])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["folds"][0]["fold"] == "1"
    assert json.loads(result.stdout)["summary"] is None

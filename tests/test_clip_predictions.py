"""predictions.csv: what it holds, that it reads back to the bit, and what is rejected."""

import csv
import io

import numpy as np
import pytest

from pipeline.config import override
from pipeline.errors import CheckpointError, MissingFileError
from pipeline.own_dir import OwnDir
from tests.tiny_cache import tiny_cache, tiny_meta
from trainer.clip_predictions import ClipPredictions, read_predictions
from trainer.evaluation import evaluate
from trainer.measurement import measure
from trainer.presets import smoke
from trainer.training import train

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")
QUICK = ["schedule.max_epochs=1", "model.polarity=false"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    votes = np.full((48, 3), np.nan, np.float32)
    votes[35] = [0.25, 0.5, 0.25]
    groups = np.array([f"film{row // 4}" for row in range(48)], dtype=object)
    cache = tiny_cache(folder / "feats.zarr", tiny_meta(num_groups=12), votes=votes, group=groups)
    return train(cache, folder / "run", override(smoke(), QUICK), device="cpu").run_dir


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_every_clip_has_its_probabilities_and_what_a_reader_weighs_them_by(run):
    found = evaluate(run, device="cpu")
    assert [path.name for path in found.files][-1] == "predictions.csv"
    rows = rows_of((run / "predictions.csv").read_text())
    measured = measure(run, device="cpu")
    names = measured.checkpoint.info.class_names
    assert len(rows) == found.metrics.num_clips
    for row, label, logits in zip(rows, measured.scores.label_N, measured.scores.logits_NC, strict=True):
        exp = np.exp(logits.astype(float) - logits.max())
        assert [float(row[f"p_{name}"]) for name in names] == pytest.approx(exp / exp.sum())
        assert row["label"] == names[label]
        assert row["predicted"] == names[logits.argmax()]
        first, second = sorted(exp / exp.sum())[:-3:-1]
        assert float(row["margin"]) == pytest.approx(first - second, abs=1e-6)
        assert (row["calibrated"], row["doubtful_track"]) == ("false", "")
        assert row["banner"] == " | ".join(found.banners) != ""
    assert [row["group"] for row in rows[:8]] == ["clip032"] * 4 + ["clip036"] * 4
    assert [rows[3][f"votes_{name}"] for name in names] == ["0.25", "0.5", "0.25"]
    assert rows[4][f"votes_{names[0]}"] == ""


def test_what_is_read_back_is_what_was_written(run):
    written = ClipPredictions.of(measure(run, device="cpu"))
    folder = OwnDir.of(run)
    folder.write_together({"copy.csv": "".join(written.lines(["one", "two"]))})
    read = read_predictions(folder, "copy.csv")
    for name in ("class_names", "clip_ids", "group_ids", "is_calibrated", "doubtful_N"):
        assert getattr(read, name) == getattr(written, name)
    for name in ("label_N", "probability_NC", "predicted_N", "votes_NC"):
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))
    assert read.metrics().war == written.metrics().war
    np.testing.assert_array_equal(read.metrics().groups.right_GC, written.metrics().groups.right_GC)


def test_names_that_a_spreadsheet_would_run_are_read_back(tmp_path):
    hostile = ("=1+1", "'=1+1", "'c", 'd,"e"', "f\u202eg")
    one = ClipPredictions(
        class_names=("=a", "b"), clip_ids=hostile, group_ids=None, label_N=np.array([0, 1, 0, 1, 0]),
        probability_NC=np.array([[0.6, 0.4]] * 5), is_calibrated=True, faces_found_N=np.full(5, 0.5),
        doubtful_N=np.array([0, 1, 0, 0, 0]), votes_NC=None,
    )  # fmt: skip
    text = "".join(one.lines([]))
    assert not any(cell.startswith(("=", "-")) for row in rows_of(text) for cell in row.values())
    (tmp_path / "predictions.csv").write_text(text)
    read = read_predictions(OwnDir.of(tmp_path), "predictions.csv")
    assert read.clip_ids[:4] == hostile[:4]
    assert read.class_names == ("=a", "b")
    assert read.doubtful_N.tolist() == [0, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("p_happiness", "q_happiness"),
        ("clip033", "clip034"),
        (",happiness,", ",joy,"),
        ("\n", "\n\n"),
        ("clip_id", "id"),
    ],
)
def test_a_damaged_file_is_rejected_in_one_line(run, tmp_path, old, new):
    evaluate(run, device="cpu")
    text = (run / "predictions.csv").read_text()
    assert old in text
    (tmp_path / "predictions.csv").write_text(text.replace(old, new, 1 if old == "clip033" else -1))
    message = "has no predictions of `evaluate` .*measure the run again"
    with pytest.raises(CheckpointError, match=message) as caught:
        read_predictions(OwnDir.of(tmp_path), "predictions.csv")
    assert "\n" not in str(caught.value)


def test_probabilities_must_be_those_of_the_prediction(run, tmp_path):
    evaluate(run, device="cpu")
    header, first, *rest = (run / "predictions.csv").read_text().splitlines(keepends=True)
    cells = first.split(",")
    for change in ("2.0", "nan", "x", "-0.5"):
        broken = [*cells[:8], change, *cells[9:]]
        (tmp_path / "predictions.csv").write_text("".join([header, ",".join(broken), *rest]))
        with pytest.raises(CheckpointError, match="has no predictions"):
            read_predictions(OwnDir.of(tmp_path), "predictions.csv")
    (tmp_path / "predictions.csv").write_text("")
    with pytest.raises(CheckpointError, match="has no predictions"):
        read_predictions(OwnDir.of(tmp_path), "predictions.csv")
    with pytest.raises(MissingFileError):
        read_predictions(OwnDir.of(tmp_path), "other.csv")

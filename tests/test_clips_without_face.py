"""Clips without a face: counted for every source of faces, and shown beside numbers that depend on them."""

import json
from dataclasses import replace

import numpy as np
import pytest

from pipeline.cancel import CancelToken, TaskCancelledError
from pipeline.config import override
from pipeline.display.json_values import to_json_values
from pipeline.display.text import lines as lines_of
from pipeline.errors import CheckpointError
from pipeline.runner import executor_of, extract
from pipeline.store.reader import FeatureCache
from pipeline.types import ClipRef, DatasetIndex, Split, Status
from tests.command_line import call
from tests.picture_folders import write_folder
from tests.small_clips import small_models, small_models_with, write_clips
from tests.tiny_cache import CLASSES, tiny_cache, tiny_meta
from tests.tiny_grid import Heard, outcome, quick_request, quick_spec
from tests.two_caches import other_cache
from tests.written_report import written_report
from trainer import ensemble, resume, transfer
from trainer.ablate import SweepExecutorOptions, ablate
from trainer.ablate.aggregate import SweepResult
from trainer.ablate.spec import parsed
from trainer.clips_without_face import (
    ClipsWithoutFace,
    read_without_face,
    stored_num_without_face,
    without_face_text,
)
from trainer.evaluation import evaluate
from trainer.export import export_model
from trainer.measurement import measure
from trainer.presets import smoke
from trainer.run_directory import load_info
from trainer.training import train

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")

LABEL = np.array([0, 0, 0, 1, 1, 2])
PREDICTED = np.array([0, 0, 1, 1, 0, 2])
QUICK = override(smoke(), ["schedule.max_epochs=1", "model.polarity=false"])
TEST = (33, 34)
"""Rows of the tiny cache's 16 test clips, 32 to 47, without a face."""
TRAIN = (1, 20, 21)
"""The same of its 32 training clips."""


def status_without(*rows: int, failed: int | None = None) -> np.ndarray:
    status = np.full(48, Status.DONE, dtype=np.uint8)
    status[list(rows)] = Status.DONE_WITHOUT_FACE
    if failed is not None:
        status[failed] = Status.FAILED
    return status


def text(counts: str) -> str:
    return f"no face found in {counts}: their face stream shows the centre of each frame"


# One split


def among_six(*without, group_N=None):
    return ClipsWithoutFace.of(np.isin(np.arange(6), without), LABEL, PREDICTED, CLASSES, group_N)


def test_rates_of_the_clips_with_a_face_by_hand():
    """Left: 0 as 0, 0 as 1, 1 as 1, 2 as 2."""
    found = among_six(1, 4)
    assert (found.num_without_face, found.num_clips) == (2, 6)
    assert found.with_face.confusion.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 1]]
    assert (found.with_face.war, found.with_face.uar) == (3 / 4, pytest.approx((1 / 2 + 1 + 1) / 3))


def test_there_may_be_no_clip_without_a_face_and_none_with_one():
    assert among_six() is None
    assert among_six(*range(6)) == ClipsWithoutFace(num_without_face=6, num_clips=6, with_face=None)


def test_intervals_are_over_the_groups_that_are_left():
    with_face = among_six(0, 1, 2, group_N=np.array([7, 7, 7, 3, 3, 4])).with_face
    assert with_face.groups.number_G.tolist() == [3, 4]


@pytest.mark.parametrize("number", [0, -1])
def test_nothing_is_shown_for_no_clip_and_for_an_unknown_number(number):
    assert without_face_text(number, 7, "test clips") == ""


def test_thousands_are_separated():
    assert without_face_text(1200, 23_400, "test clips") == text("1,200 of 23,400 test clips")


# Caches of every source of faces


def without_of(cache):
    with FeatureCache.open(cache) as features:
        rows = features.done_rows()
        ids, without = features.read("clip_id")[rows], read_without_face(features, rows)
    return dict(zip(ids.tolist(), without.tolist(), strict=True))


def test_failed_and_pending_clips_are_not_counted_and_rows_may_be_in_any_order(tmp_path):
    cache = tiny_cache(tmp_path / "feats.zarr", status=status_without(3, 9, failed=5))
    with FeatureCache.open(cache) as features:
        found = read_without_face(features, np.array([9, 5, 4, 3]))
    assert found.tolist() == [True, False, False, True]


def test_with_boxes_of_the_dataset_only_a_clip_without_a_box_is_without_a_face(tmp_path):
    index = write_clips(tmp_path / "clips", num_good=4)
    extract(index, small_models().config, executor_of(small_models()), tmp_path / "feats.zarr")
    found = without_of(tmp_path / "feats.zarr")
    assert [name for name, without in found.items() if without] == ["clips/good2.mp4"]
    assert len(found) == 4


def test_with_crops_of_the_dataset_only_a_clip_without_crops_is_without_a_face(tmp_path):
    """A clip that is its own face crops has a face, although no box of it is known."""
    for name in ("own", "crops", "boxless"):
        write_folder(tmp_path / name, 6)
    write_folder(tmp_path / "faces", 6)
    faces = {"own": "own", "crops": "faces", "boxless": None}
    clips = tuple(
        ClipRef(clip_id=name, path=name, label=0, splits=(Split.TRAIN,), face_path=face)
        for name, face in sorted(faces.items())
    )
    index = DatasetIndex(name="manifest", root=tmp_path, class_names=("joy",), fold_names=("1",), clips=clips)
    models = small_models_with(faces={"source": "crops"}, streams={"scene": "full"})
    extract(index, models.config, executor_of(models), tmp_path / "feats.zarr")
    assert without_of(tmp_path / "feats.zarr") == {"boxless": True, "crops": False, "own": False}


# Runs


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A cache with clips without a face in training and test, two seeds on it, and other caches beside it."""
    folder = tmp_path_factory.mktemp("runs")
    tiny_cache(folder / "some.zarr", status=status_without(*TRAIN, *TEST))
    tiny_cache(folder / "none.zarr")
    tiny_cache(folder / "every.zarr", status=status_without(*range(48)))
    for seed in (0, 1):
        train(folder / "some.zarr", folder / f"seed{seed}", QUICK, seed=seed, device="cpu")
    return folder


def by_hand(run_dir):
    """WAR and UAR of a run on the test clips with a face, from its predictions of single clips."""
    measured = measure(run_dir, device="cpu")
    kept = ~np.isin(measured.row_N, TEST)
    label = measured.scores.label_N[kept]
    right = (measured.scores.predicted_N == measured.scores.label_N)[kept]
    assert len(label) == 14
    return right.mean(), np.mean([right[label == c].mean() for c in range(3)])


def test_training_shows_its_clips_before_the_first_epoch_and_records_them(runs, tmp_path):
    shown = []
    found = train(
        runs / "some.zarr", tmp_path / "run", QUICK, device="cpu",
        on_remark=lambda line: shown.append(line), on_epoch=lambda _: shown.append("epoch"),
    )  # fmt: skip
    line = text("3 of 32 training and validation clips")
    assert shown == [line, "epoch"]
    assert f"  note: {line}" in lines_of(found)
    assert json.loads((tmp_path / "run/run.json").read_text())["num_without_face"] == 3


def test_training_with_a_face_in_every_clip_shows_nothing(runs, tmp_path):
    found = train(runs / "none.zarr", tmp_path / "run", QUICK, device="cpu")
    assert found.info.num_without_face == 0
    assert "no face" not in repr(found)
    assert "no face" not in repr(evaluate(tmp_path / "run", device="cpu"))


@pytest.mark.parametrize(("validation", "num"), [("train", 3), ("test", 5)])
def test_clips_that_train_and_validate_are_counted_once(runs, tmp_path, validation, num):
    config = override(QUICK, [f"data.validation={validation}"])
    found = train(runs / "some.zarr", tmp_path / "run", config, device="cpu")
    total = {"train": 32, "test": 48}[validation]
    assert found.info.num_without_face == num
    assert text(f"{num} of {total} training and validation clips") in found.notes


def test_clips_of_several_caches_are_summed(runs, tmp_path):
    """Test clips of the further cache are not used."""
    added = other_cache(tmp_path / "b.zarr", status=status_without(0, 31, 40))
    found = train([runs / "some.zarr", added], tmp_path / "run", QUICK, device="cpu")
    assert found.info.num_without_face == 5
    assert text("5 of 64 training and validation clips") in found.notes
    result = evaluate(tmp_path / "run", device="cpu")
    assert str(result.training_set).endswith("; no face found in 5 of these clips")
    assert result.without_face.num_without_face == 2


def test_the_command_shows_the_line_before_the_first_epoch(runs, tmp_path, monkeypatch, capsys):
    code, _, err = call(
        monkeypatch, capsys, "train", "--cache", runs / "some.zarr", "--run", tmp_path / "run", "--preset",
        "smoke", "--set", "schedule.max_epochs=1", "--device", "cpu",
    )  # fmt: skip
    assert code == 0, err
    shown = " ".join(err.split())
    assert f"note: {text('3 of 32 training and validation clips')} epoch 1 " in shown


def test_a_resumed_training_shows_and_records_the_clips_of_a_run_of_an_earlier_version(runs, tmp_path):
    """Its interrupted state has no number of clips without a face."""
    cancel, config = CancelToken(), override(QUICK, ["schedule.max_epochs=2"])
    with pytest.raises(TaskCancelledError):
        train(
            runs / "some.zarr", tmp_path / "run", config, device="cpu", cancel=cancel,
            on_epoch=lambda _: cancel.cancel(),
        )  # fmt: skip
    values = json.loads((tmp_path / "run/run.json").read_text())
    del values["num_without_face"]
    (tmp_path / "run/run.json").write_text(json.dumps(values))
    found = resume(tmp_path / "run", device="cpu")
    assert text("3 of 32 training and validation clips") in found.notes
    assert load_info(tmp_path / "run").num_without_face == found.info.num_without_face == 3


def test_evaluate_shows_both(runs):
    result = evaluate(runs / "seed0", device="cpu")
    written = json.loads((runs / "seed0/confusion.json").read_text())
    found = written["without_face"]
    war, uar = by_hand(runs / "seed0")
    assert (found["num_without_face"], found["num_clips"], found["with_face"]["num_clips"]) == (2, 16, 14)
    assert (found["with_face"]["war"], found["with_face"]["uar"]) == pytest.approx((war, uar))
    assert (written["num_clips"], written["war"]) == (16, result.metrics.war)
    assert written["training_set"]["num_without_face"] == 3
    lines = lines_of(result)
    start = lines.index(f"  {text('2 of 16 test clips')}; clips with a face:")
    assert [line.split()[:2] for line in lines[start + 1 : start + 3]] == [
        ["WAR", f"{war:.2%}"],
        ["UAR", f"{uar:.2%}"],
    ]
    assert any(line.endswith("left out: none; no face found in 3 of these clips") for line in lines)


def test_evaluate_shows_nothing_of_test_clips_with_a_face(runs):
    result = evaluate(runs / "seed0", cache=runs / "none.zarr", device="cpu")
    assert result.without_face is None
    assert "without_face" not in to_json_values(result)
    assert not any("test clips:" in line for line in lines_of(result))


def test_evaluate_shows_that_no_clip_has_a_face(runs):
    result = evaluate(runs / "seed0", cache=runs / "every.zarr", device="cpu")
    found = to_json_values(result)["without_face"]
    assert found == {"num_without_face": 16, "num_clips": 16, "with_face": None}
    assert f"  {text('16 of 16 test clips')}; no clip has a face" in lines_of(result)


def test_a_run_of_an_earlier_version_has_no_number_and_is_measured(runs, tmp_path):
    train(runs / "some.zarr", tmp_path / "run", QUICK, device="cpu")
    values = json.loads((tmp_path / "run/run.json").read_text())
    del values["num_without_face"]
    (tmp_path / "run/run.json").write_text(json.dumps(values))
    result = evaluate(tmp_path / "run", device="cpu")
    assert to_json_values(result)["training_set"]["num_without_face"] is None
    assert str(result.training_set).endswith("left out: none")
    assert result.without_face.num_without_face == 2


def test_an_impossible_number_in_run_json_is_rejected(runs, tmp_path):
    train(runs / "none.zarr", tmp_path / "run", QUICK, device="cpu")
    values = json.loads((tmp_path / "run/run.json").read_text()) | {"num_without_face": -2}
    (tmp_path / "run/run.json").write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match="num_without_face is -2; allowed: 0 or more, -1 if unknown"):
        load_info(tmp_path / "run")


# Reports


def test_a_report_shows_both_over_seeds(runs, tmp_path):
    folders = [runs / "seed0", runs / "seed1"]
    made, html, markdown, document = written_report(folders, tmp_path)
    rates = np.array([by_hand(folder) for folder in folders])
    (row,) = made.run_rows
    (group,) = document["groups"]
    assert group["summary_with_face"].keys() == {"by_fold"}
    assert group["summary_with_face"]["by_fold"]["1"]["war"] == pytest.approx(
        {"mean": rates[:, 0].mean(), "std": rates[:, 0].std(ddof=1), "n": 2}
    )
    assert [run["without_face"]["num_without_face"] for run in group["runs"]] == [2, 2]
    assert group["trained_on"].endswith("; no face found in 3 of these clips")
    plain = row.summary.by_fold["1"]

    def shown(mean, std):
        return f"{100 * mean:.2f} ± {100 * std:.2f}"

    (line,) = [line for line in markdown.splitlines() if "2 of 16" in line]
    assert [cell.strip(" *") for cell in line.strip("|").split("|")] == [
        "ours", "1", "2 of 16",
        shown(plain["uar"].mean, plain["uar"].std), shown(plain["war"].mean, plain["war"].std),
        shown(rates[:, 1].mean(), rates[:, 1].std(ddof=1)),
        shown(rates[:, 0].mean(), rates[:, 0].std(ddof=1)),
    ]  # fmt: skip
    assert all("All clips, and clips with a face, percent" in page for page in (html, markdown))
    assert "2 of 16" in html
    assert f"  fold 1: {text('2 of 16 test clips')}" in lines_of(made)


def test_a_report_shows_nothing_where_every_clip_has_a_face(runs, tmp_path):
    train(runs / "none.zarr", tmp_path / "run", QUICK, device="cpu")
    made, html, markdown, document = written_report([tmp_path / "run"], tmp_path / "out")
    assert made.run_rows[0].summary_with_face is None
    assert all("no face" not in page for page in (html, markdown, "\n".join(lines_of(made))))
    assert "summary_with_face" not in document["groups"][0]
    assert "without_face" not in document["groups"][0]["runs"][0]


def test_a_report_on_clips_of_which_none_has_a_face_has_dashes(runs, tmp_path):
    made, _, markdown, _ = written_report([runs / "seed0"], tmp_path, cache=runs / "every.zarr")
    assert made.run_rows[0].summary_with_face is None
    (line,) = [line for line in markdown.splitlines() if "16 of 16" in line]
    assert [cell.strip(" *") for cell in line.strip("|").split("|")][5:] == ["-", "-"]


def test_a_report_has_the_mean_of_folds_of_clips_with_a_face(tmp_path):
    """Fold 1 has a test clip without a face, fold 2 none."""
    membership = np.ones((48, 2), np.uint8)
    membership[:16, 0] = membership[16:32, 1] = Split.TEST
    path = tiny_cache(
        tmp_path / "feats.zarr", tiny_meta(fold_names=("1", "2")), membership=membership,
        status=status_without(3),
    )  # fmt: skip
    for fold in (1, 2):
        train(path, tmp_path / f"fold{fold}", QUICK, fold=fold, device="cpu")
    made, _, markdown, document = written_report([tmp_path / "fold1", tmp_path / "fold2"], tmp_path / "out")
    first, second = (run.metrics_with_face for run in made.runs)
    assert (first.num_clips, second.num_clips) == (15, 16)
    mean = document["groups"][0]["summary_with_face"]["mean_of_folds"]
    assert mean["war"]["mean"] == pytest.approx((first.war + second.war) / 2)
    part = markdown[markdown.index("All clips, and clips with a face") :].split("\n\n")[1].splitlines()
    assert [[cell.strip(" *") for cell in line.split("|")[1:4]] for line in part[2:]] == [
        ["ours", "1", "1 of 16"],
        ["ours", "mean of 2", "1 of 32"],
    ]


# Sweeps, ensembles, transfer, model cards

ROWS = """
title = "Rows of the test"
preset = "smoke"
settings = ["schedule.max_steps=2", "model.frame_encoder_depth=0", "model.tfe_blocks=1"]

[[rows]]
name = "majority"
method = "majority"

[[rows]]
name = "OUS"
"""


@pytest.mark.parametrize("name", ["some", "none"])
def test_a_sweep_notes_the_test_clips_of_trained_rows_and_baselines(runs, tmp_path, name):
    spec = parsed(ROWS, "rows.toml")
    options = SweepExecutorOptions(scheduler="sync")
    found = ablate(runs / f"{name}.zarr", spec, tmp_path / "out", Heard(), num_seeds=1, options=options)
    assert [o.num_without_face for o in found.result.outcomes] == [2 if name == "some" else 0] * 2
    note = f"Fold 1: {text('2 of 16 test clips')}."
    results = json.loads((tmp_path / "out/results.json").read_text())
    for shown in (results["notes"], (tmp_path / "out/table.md").read_text()):
        assert (note in shown) == (name == "some")
    assert "no face" in str(results["notes"]) or name == "none"


def test_a_sweep_with_older_outcomes_notes_the_others():
    spec = quick_spec()
    old, new = (outcome("L_ce", "1", seed, (9, 8)) for seed in (0, 1))
    new = replace(new, num_without_face=2)
    for outcomes in ([old, new], [replace(new, seed=0), replace(old, seed=1)]):
        notes = SweepResult.of(quick_request(spec), "f", outcomes).notes
        assert [note for note in notes if "no face" in note] == [f"Fold 1: {text('2 of 20 test clips')}."]


def test_an_ensemble_shows_the_clips_from_stored_and_new_measurements(runs, tmp_path):
    members = [runs / "seed0", runs / "seed1"]
    for measure_again in (True, False):
        found = ensemble(members, tmp_path / "out", device="cpu", measure_again=measure_again)
        assert f"  {text('2 of 16 test clips')}" in lines_of(found)
        document = json.loads((tmp_path / "out/ensemble.json").read_text())
        assert document["folds"][0]["num_without_face"] == 2
        assert f"Fold 1: {text('2 of 16 test clips')}." in (tmp_path / "out/section.json").read_text()


@pytest.mark.parametrize("number", [-1, 17, "2", True, None])
def test_a_damaged_number_is_an_error(number):
    with pytest.raises(ValueError, match="a number of clips is needed"):
        stored_num_without_face({"num_clips": 16, "without_face": {"num_without_face": number}})


def test_a_table_of_transfer_shows_the_clips_of_each_cache(runs, tmp_path):
    sha256 = np.array([f"{row:064x}" for row in range(48)], dtype=object)
    meta = tiny_meta(fingerprint="e" * 64, dataset="two")
    status = status_without(*range(40, 48))
    other = tiny_cache(tmp_path / "two.zarr", meta, status=status, source_sha256=sha256)
    train(other, tmp_path / "run", QUICK, device="cpu")
    found = transfer(
        [runs / "seed0", runs / "seed1", tmp_path / "run"], [runs / "some.zarr", other], tmp_path / "out",
        device="cpu",
    )  # fmt: skip
    shown = [line for line in lines_of(found) if "no face" in line]
    assert shown == [
        f"note: some: {text('2 of 16 test clips')}.",
        f"note: two: {text('8 of 16 test clips')}.",
    ]
    assert [cell.num_without_face for cell in found.cells] == [2, 8, 2, 8]


def test_a_model_card_shows_the_test_clips(runs, tmp_path):
    evaluate(runs / "seed0", device="cpu")
    export_model(runs / "seed0", tmp_path / "model")
    line = text("2 of 16 test clips")
    assert f"\n{line[0].upper()}{line[1:]}.\n" in (tmp_path / "model/README.md").read_text()

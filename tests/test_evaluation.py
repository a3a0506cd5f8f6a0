import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from pipeline.config import override
from pipeline.display.json_values import to_json_values
from pipeline.display.text import lines as lines_of
from pipeline.errors import CacheError, CheckpointError, ConfigError
from pipeline.types import Split, Status
from tests.tiny_cache import CLASSES, tiny_cache, tiny_meta, write_feature
from trainer.evaluation import evaluate
from trainer.measurement import measure, score
from trainer.presets import smoke
from trainer.training import train

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    cache = tiny_cache(folder / "feats.zarr")
    result = train(cache, folder / "run", override(smoke(), ["schedule.max_epochs=2"]), device="cpu")
    return cache, result


def test_test_split_is_measured_and_written(run):
    _, trained = run
    result = evaluate(trained.run_dir, device="cpu")
    assert result.metrics.num_clips == 16
    assert result.metrics.war > 0.9
    assert result.same_cache
    written = json.loads((trained.run_dir / "confusion.json").read_text())
    assert written == to_json_values(result)
    assert written["class_names"] == list(CLASSES)
    assert written["confusion"] == result.metrics.confusion.tolist()
    assert written["banners"] == ["RANDOM ENCODER WEIGHTS: these numbers say nothing about the method"]
    assert (trained.run_dir / "confusion.png").read_bytes().startswith(b"\x89PNG")


def test_lines_for_people_hold_the_warning_the_numbers_and_the_files(run):
    result = evaluate(run[1].run_dir, device="cpu")
    lines = lines_of(result)
    assert lines[0].startswith("!! RANDOM ENCODER WEIGHTS")
    assert lines[1] == "tiny, fold 1, test split: 16 clips; 95% intervals over clips"
    assert lines[2].split()[:2] == ["WAR", f"{result.metrics.war:.2%}"]
    low, high = result.metrics.intervals.war
    assert lines[2].split()[2:] == ["95%", f"{low:.2%}", "to", f"{high:.2%}"]
    low, high = result.metrics.intervals.recalls[0]
    recall = f"happiness {result.metrics.recalls[0]:.2%} 95% {low:.2%} to {high:.2%}, 5 clips"
    assert " ".join(lines[4].split()) == recall
    assert lines[-1] == f"wrote {run[1].run_dir / 'predictions.csv'}"


def test_validation_split_gives_the_numbers_that_training_chose_by(run):
    _, trained = run
    result = evaluate(trained.run_dir, split="validation", device="cpu")
    assert result.metrics.num_clips == trained.num_validation
    assert result.loss == pytest.approx(trained.info.best_loss, rel=1e-6)
    assert [file.name for file in result.files] == [
        "confusion_validation.json", "confusion_validation.png", "predictions_validation.csv",
    ]  # fmt: skip


def test_no_text_tower_is_needed(run, monkeypatch):
    monkeypatch.setattr(
        "trainer.prompts.load_text_encoder", lambda _: pytest.fail("the text tower was loaded")
    )
    assert evaluate(run[1].run_dir, device="cpu").metrics.num_clips == 16


def test_confusion_is_right_clip_by_clip(run, tmp_path):
    """Clips of class 0 that carry the label of class 2 must be counted as 2 taken for 0."""
    cache, trained = run
    label = (np.arange(48) % 3).astype(np.int16)
    label[label == 0] = 2
    other = tiny_cache(tmp_path / "relabelled.zarr", label=label)
    straight = evaluate(trained.run_dir, device="cpu").metrics.confusion
    crossed = evaluate(trained.run_dir, cache=other, device="cpu").metrics.confusion
    # the tiny cache draws features by clip number, whatever the label array says
    assert crossed[0].sum() == 0
    assert np.array_equal(crossed[2], straight[0] + straight[2])
    assert np.array_equal(crossed[1], straight[1])


def test_another_cache_that_fits_is_measured_beside_the_own_one(run, tmp_path):
    membership = np.full((48, 1), Split.TEST, dtype=np.uint8)
    status = np.full(48, Status.DONE, dtype=np.uint8)
    status[:4] = Status.FAILED
    meta = replace(tiny_meta(), fingerprint="0" * 64, dataset="elsewhere")
    other = tiny_cache(tmp_path / "other.zarr", meta, membership=membership, status=status)
    result = evaluate(run[1].run_dir, cache=other, device="cpu")
    assert (result.metrics.num_clips, result.same_cache, result.left_out) == (44, False, {"failed": 4})
    assert [file.name for file in result.files] == [
        "confusion_other.json", "confusion_other.png", "predictions_other.csv",
    ]  # fmt: skip
    assert lines_of(result)[1].startswith("elsewhere, fold 1")


def test_other_clips_with_the_same_settings_are_another_cache(run, tmp_path):
    ids = np.array([f"new{i:03d}" for i in range(48)], dtype=object)
    result = evaluate(run[1].run_dir, cache=tiny_cache(tmp_path / "new.zarr", clip_id=ids), device="cpu")
    assert not result.same_cache
    assert any("another cache" in line for line in lines_of(result))


def test_validation_clips_that_were_drawn_anew_are_refused(run, tmp_path):
    status = np.full(48, Status.DONE, dtype=np.uint8)
    status[:4] = Status.PENDING
    more = tiny_cache(tmp_path / "more.zarr", status=status)
    with pytest.raises(CheckpointError, match=r"--split validation: .*Training clips could be among them"):
        evaluate(run[1].run_dir, "validation", cache=more, device="cpu")
    assert evaluate(run[1].run_dir, "validation", device="cpu").metrics.num_clips > 0


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"encoder_sha256": "0" * 64}, "encoder_sha256: "),
    ],
)
def test_a_cache_of_other_classes_or_encoder_is_refused(run, tmp_path, change, difference):
    other = tiny_cache(tmp_path / "other.zarr", tiny_meta(**change))
    with pytest.raises(CheckpointError, match=f"does not fit the cache .*{difference}"):
        evaluate(run[1].run_dir, cache=other, device="cpu")


def test_unknown_and_empty_splits_are_refused(run, tmp_path):
    with pytest.raises(ConfigError, match="split is 'dev'; allowed: train, validation, test"):
        evaluate(run[1].run_dir, split="dev", device="cpu")
    other = tiny_cache(tmp_path / "other.zarr", membership=np.full((48, 1), Split.TRAIN, dtype=np.uint8))
    with pytest.raises(ConfigError, match="no usable clips in split 'test'.* Measure --split validation, or"):
        evaluate(run[1].run_dir, cache=other, device="cpu")


def test_a_cache_that_is_gone_is_named(run, tmp_path):
    with pytest.raises(CacheError, match=r"No cache at '.*gone.zarr'"):
        evaluate(run[1].run_dir, cache=tmp_path / "gone.zarr", device="cpu")


def test_a_cache_that_was_moved_is_read_where_the_message_asks_for_it(run, tmp_path):
    cache = tiny_cache(tmp_path / "feats.zarr")
    trained = train(cache, tmp_path / "run", override(smoke(), ["schedule.max_steps=1"]), device="cpu")
    before = evaluate(trained.run_dir, device="cpu")
    cache.rename(tmp_path / "moved.zarr")
    message = rf"^'{trained.run_dir}' was trained on the cache '{cache}', which is not there. If it was moved"
    with pytest.raises(CacheError, match=f"{message}, give its location with --cache NEW") as caught:
        evaluate(trained.run_dir, device="cpu")
    assert str(caught.value).isprintable()
    after = evaluate(trained.run_dir, cache=tmp_path / "moved.zarr", device="cpu")
    assert after.same_cache
    assert np.array_equal(after.metrics.confusion, before.metrics.confusion)


def test_a_run_selected_on_test_says_so_in_its_numbers(run, tmp_path):
    config = override(smoke(), ["data.validation=test", "schedule.max_steps=1"])
    trained = train(run[0], tmp_path / "run", config, device="cpu")
    assert "SELECTED ON TEST" in to_json_values(evaluate(trained.run_dir, device="cpu"))["banners"]


def test_plain_values_name_the_run_the_cache_and_the_loss(run):
    result = evaluate(run[1].run_dir, device="cpu")
    expected = {
        "split": "test", "fold": "1", "seed": 0, "dataset": "tiny", "selection": "holdout",
        "best_epoch": run[1].info.best_epoch, "random_weights": True, "same_cache": True,
        "cache_fingerprint": "f" * 64, "loss": result.loss, "left_out": {},
        "leak": to_json_values(result.leak), "war": result.metrics.war,
    }  # fmt: skip
    assert {name: to_json_values(result)[name] for name in expected} == expected
    text = json.dumps(to_json_values(result), indent=2) + "\n"
    assert (run[1].run_dir / "confusion.json").read_text(encoding="utf-8") == text


def test_the_figure_has_the_numbers_a_title_and_the_banners(run, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "trainer.plots.plot_confusion", lambda *values, **words: drawn.append((values, words))
    )
    result = evaluate(run[1].run_dir)
    (((metrics, _), words),) = drawn
    assert metrics == result.metrics
    assert words == {"title": "tiny, fold 1, test split", "banners": result.banners}
    assert measure(run[1].run_dir).banners == result.banners


def test_lines_show_what_is_left_out_and_a_class_without_clips(run, tmp_path):
    label, status = np.arange(48) % 3, np.full(48, Status.DONE, dtype=np.uint8)
    label[label == 0] = 2
    status[[40, 41]] = Status.FAILED
    other = tiny_cache(tmp_path / "other.zarr", label=label.astype(np.int16), status=status)
    lines = lines_of(evaluate(run[1].run_dir, cache=other, device="cpu"))
    assert "  happiness        no clips" in lines
    assert "  left out: 2 failed" in lines
    assert not any("  left out" in line for line in lines_of(evaluate(run[1].run_dir, device="cpu")))


def test_a_model_answers_in_evaluation_mode_in_batches_of_any_size(run):
    measured = measure(run[1].run_dir, device="cpu")
    model, text_CF = measured.checkpoint.model, measured.checkpoint.text_CF
    model.train()
    places = torch.arange(len(measured.row_N))
    alone = score(model, text_CF, measured.data, places.flip(0), batch_size=1)
    assert not model.training
    assert np.array_equal(alone.predicted_N[::-1], measured.scores.predicted_N)
    assert np.array_equal(alone.label_N[::-1], measured.scores.label_N)
    assert alone.loss == pytest.approx(measured.scores.loss, rel=1e-5)


@pytest.mark.gpu
def test_cuda_gives_the_cpus_answers(run, tmp_path):
    config = override(smoke(), ["model.precision=fp32", "prompts.precision=fp32"])
    trained = train(run[0], tmp_path / "run", config, device="cpu")
    on_cpu = evaluate(trained.run_dir, device="cpu").metrics.confusion
    assert np.array_equal(evaluate(trained.run_dir, device="cuda").metrics.confusion, on_cpu)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_clips_whose_features_are_no_numbers_are_named_and_not_counted(run, tmp_path, value):
    cache = tiny_cache(tmp_path / "feats.zarr")
    for clip in (33, 36):
        write_feature(cache, clip, value)
    with pytest.raises(
        CacheError, match=r"features of 2 clips hold NaN or infinity: 'clip033', 'clip036' \(face"
    ):
        evaluate(run[1].run_dir, cache=cache, device="cpu")
    assert not list(run[1].run_dir.glob("confusion*feats*"))


def test_a_model_whose_answers_are_no_numbers_measures_nothing(run, tmp_path):
    run_dir = Path(shutil.copytree(run[1].run_dir, tmp_path / "run"))
    file = run_dir / "best.safetensors"
    with safe_open(file, framework="pt") as opened:
        metadata = opened.metadata()
    tensors = load_file(file)
    tensors["model.head.weight"][:] = 1e38
    save_file(tensors, file, metadata=metadata)
    with pytest.raises(
        CheckpointError, match=r"gives a loss of nan on the test clips of '.*'.* Train again\.$"
    ):
        evaluate(run_dir, device="cpu")
    tensors["model.head.weight"][0, 0] = np.nan
    save_file(tensors, file, metadata=metadata)
    with pytest.raises(CheckpointError, match=r"NaN or infinity in 1 tensor \(model.head.weight\)"):
        evaluate(run_dir, device="cpu")


def of_pairs(folder, name="groups.zarr"):
    """The tiny cache with the files that a run was trained on, two clips a group."""
    names = np.array([f"subject {n // 2}" for n in range(48)], dtype=object)
    return tiny_cache(folder / name, tiny_meta(num_groups=24), group=names)


def test_a_run_with_groups_shows_them_in_every_output(tmp_path):
    cache = of_pairs(tmp_path)
    trained = train(cache, tmp_path / "run", override(smoke(), ["schedule.max_epochs=1"]), device="cpu")
    assert trained.info.selection == "holdout by group"
    assert "validation clips (holdout by group)" in " ".join(lines_of(trained))
    result = evaluate(tmp_path / "run", device="cpu")
    assert lines_of(result)[1] == "tiny, fold 1, test split: 16 clips; 95% intervals over 8 groups of clips"
    written = json.loads((tmp_path / "run/confusion.json").read_text())
    assert (written["num_groups"], written["selection"]) == (8, "holdout by group")
    assert written["interval_method"].startswith("bootstrap over 8 groups of clips")
    validation = evaluate(tmp_path / "run", "validation", device="cpu")
    assert validation.metrics.num_clips == trained.num_validation


def test_a_run_of_a_holdout_by_clip_is_measured_on_its_own_validation_clips(run, tmp_path):
    """Groups that come in later, by `cache relabel`, leave the clips that chose a checkpoint as they were."""
    result = evaluate(run[1].run_dir, "validation", cache=of_pairs(tmp_path), device="cpu")
    assert result.same_cache
    assert result.loss == pytest.approx(run[1].info.best_loss, rel=1e-6)


def test_a_split_of_one_group_has_no_interval(run, tmp_path):
    cache = tiny_cache(
        tmp_path / "one.zarr", tiny_meta(num_groups=1), group=np.full(48, "anna", dtype=object)
    )
    result = evaluate(run[1].run_dir, cache=cache, device="cpu")
    assert lines_of(result)[1].endswith("16 clips; no 95% intervals: all clips are of 1 group")
    assert " ".join(lines_of(result)[2].split()).endswith("% no interval, one group")
    assert json.loads(result.files[0].read_text())["uar_interval_95"] is None

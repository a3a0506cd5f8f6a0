import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from pipeline.config import override
from pipeline.display.json_values import to_json_values
from pipeline.display.text import lines as lines_of
from pipeline.errors import CacheError, ConfigError, WeightsError
from pipeline.store.reader import FeatureCache
from tests.tiny_cache import tiny_cache, tiny_meta, write_feature
from trainer.checkpoint import load_checkpoint
from trainer.epochs import TrainingError
from trainer.folds import fold_rows
from trainer.model import OusModel
from trainer.presets import smoke
from trainer.training import train
from trainer.training_result import epoch_record, evaluate_command

SHORT = override(smoke(), ["schedule.max_epochs=3"])

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tiny_cache(tmp_path_factory.mktemp("cache") / "feats.zarr")


@pytest.fixture(scope="module")
def finished(path, tmp_path_factory):
    """A short run, and the reports that it gave on the way."""
    reports = []
    run_dir = tmp_path_factory.mktemp("runs") / "one"
    return train(path, run_dir, SHORT, device="cpu", on_epoch=reports.append), reports


def records(run_dir):
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def test_same_seed_gives_the_same_numbers_to_the_bit(path, finished, tmp_path):
    again = train(path, tmp_path / "again", SHORT, device="cpu")
    first = finished[0]
    assert records(again.run_dir) == records(first.run_dir)
    assert (again.run_dir / "best.safetensors").read_bytes() == (
        first.run_dir / "best.safetensors"
    ).read_bytes()


def test_another_seed_gives_other_numbers(path, finished, tmp_path):
    other = train(path, tmp_path / "other", SHORT, seed=1, device="cpu")
    assert records(other.run_dir)[0]["train"] != records(finished[0].run_dir)[0]["train"]


def test_training_leaves_the_callers_random_state_alone(path, tmp_path):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    train(path, tmp_path / "run", override(SHORT, ["schedule.max_steps=1"]), device="cpu")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_what_can_be_learnt_is_learnt(finished):
    result, _ = finished
    assert result.best.validation.war == 1.0
    assert result.best.train.accuracy > 0.9  # chance is 1/3
    assert result.info.overfit_epoch > 0


def test_training_clips_train_and_validation_clips_validate(path, tmp_path, monkeypatch):
    """Clips are known by the first frame that the model is given, in either view."""
    with FeatureCache.open(path) as cache:
        rows = fold_rows(cache, 1, SHORT.data, seed=0)
        first_frames = cache.read("face/embedding")[:, :, 0].astype(np.float32)
    row_of = {frame.tobytes(): row for row, views in enumerate(first_frames) for frame in views}
    seen = {True: [], False: []}
    forward = OusModel.forward

    def watched(model, batch, text_CF):
        seen[model.training] += [row_of[frame.tobytes()] for frame in batch.face_BTF[:, 0].numpy()]
        return forward(model, batch, text_CF)

    monkeypatch.setattr(OusModel, "forward", watched)
    train(path, tmp_path / "run", override(SHORT, ["schedule.max_epochs=1"]), device="cpu")
    assert sorted(seen[True]) == rows.train.tolist()
    assert seen[False] == rows.validation.tolist()


def test_inputs_are_standardised_by_the_training_clips_alone(path, finished):
    with FeatureCache.open(path) as cache:
        train_rows = fold_rows(cache, 1, SHORT.data, seed=0).train
        valid = cache.read("frame_valid")[train_rows, 0]
        face, scene, early = (
            cache.read(name)[train_rows, 0].astype(np.float64)
            for name in ("face/embedding", "scene/embedding", "scene/early")
        )
    means = np.stack([clip[frames].mean(axis=0) for clip, frames in zip(early, valid, strict=True)])
    model = load_checkpoint(finished[0].run_dir, torch.device("cpu")).model
    for scale, samples in (
        (model.scale_face, face[valid]),
        (model.scale_scene, scene[valid]),
        (model.scale_early, means),
    ):
        np.testing.assert_allclose(scale.mean, samples.mean(axis=0), atol=1e-6)
        np.testing.assert_allclose(scale.std, samples.std(axis=0), atol=1e-6)


def test_thirty_steps_lower_every_loss_when_the_gate_is_open(path, tmp_path):
    changes = ["losses.alpha=0", "optim.batch_size=8", "schedule.max_steps=30"]
    reports = []
    result = train(path, tmp_path / "run", override(smoke(), changes), device="cpu", on_epoch=reports.append)
    assert result.num_steps == 30
    assert result.info.stop_reason == "schedule.max_steps=30 reached"
    first, last = reports[0].train, reports[-1].train
    assert last.loss < 0.8 * first.loss
    assert list(first.losses) == ["contrast", "similarity", "polarity"]
    for name, loss in first.losses.items():
        assert last.losses[name] < 0.8 * loss, name
    assert first.gated_share == 1.0


def test_run_directory_holds_what_a_reader_expects(finished):
    result, reports = finished
    names = {file.name.split(".out.")[0] for file in result.run_dir.iterdir()}
    assert names == {
        ".training.lock",
        "best.safetensors",
        "config.toml",
        "run.json",
        "training_clips.json",
        "scenes.safetensors",
        "metrics.jsonl",
        "curves.png",
        "events",
    }
    written = [json.loads(line) for line in (result.run_dir / "metrics.jsonl").read_text().splitlines()]
    assert written == [epoch_record(report) for report in reports]
    assert [report.epoch for report in reports] == [1, 2, 3]
    assert result.best == min(reports, key=lambda report: report.validation.loss)
    assert json.loads(json.dumps(to_json_values(result)))["num_train"] == 29


def test_lines_for_people_name_the_best_epoch_and_how_it_was_chosen(finished):
    result, _ = finished
    warning, summary, data, overfit, temperature, warm, then = lines_of(result)
    assert warning.startswith("!! RANDOM ENCODER WEIGHTS")
    assert f"best epoch {result.best.epoch} of 3, by the loss on 3 validation clips (holdout)" in summary
    assert "trained on 29 clips, model fp32, text tower fp32; 0.00 GB of features in memory" in data
    assert (
        overfit
        == f"  above schedule.overfit_accuracy since epoch {result.info.overfit_epoch}: overfit (IV-A)"
    )
    assert temperature == "  no temperature: 3 validation clips; 50 or more are needed"
    assert warm == (
        "  note: training ended after 3 steps, within the 10 of warm-up, and the learning rate did not reach "
        "optim.lr; for few clips, lower optim.warmup_steps"
    )
    assert then == f"  next: cli.py evaluate {result.run_dir}"


def test_the_next_command_measures_a_split_that_is_there_and_can_be_pasted():
    assert evaluate_command(Path("runs/a"), "test") == "cli.py evaluate runs/a"
    assert evaluate_command(Path("my run"), "validation") == "cli.py evaluate 'my run' --split validation"


def test_tensorboard_shows_the_same_numbers(finished):
    result, reports = finished
    events = EventAccumulator(str(result.run_dir))
    events.Reload()
    shown = [event.value for event in events.Scalars("validation/loss")]
    assert shown == pytest.approx([report.validation.loss for report in reports], rel=1e-6)
    (image,) = events.Images("validation/confusion")
    assert (image.step, image.encoded_image_string[1:4]) == (result.info.best_epoch, b"PNG")
    of_hparams = events.PluginTagToContent("hparams")
    assert set(of_hparams) == {"_hparams_/session_start_info", "_hparams_/session_end_info"}
    started = HParamsPluginData.FromString(of_hparams["_hparams_/session_start_info"]).session_start_info
    assert started.group_name == result.run_dir.name
    assert started.hparams["schedule.max_epochs"].number_value == 3
    assert started.hparams["model.scene"].bool_value
    assert started.hparams["fold"].string_value == "1"
    assert {"train/gated_share", "train/accuracy", "validation/war", "lr"} <= set(events.Tags()["scalars"])


def test_checkpoint_holds_the_best_epoch_and_its_class_features(path, tmp_path):
    """Learning at a rate that is far too high, the last epoch is not the best."""
    config = override(SHORT, ["optim.lr=0.05", "optim.warmup_steps=0", "schedule.max_epochs=4"])
    states = []

    def on_epoch(report):
        states.append((report.is_best, load_file(tmp_path / "run" / "best.safetensors")))

    result = train(path, tmp_path / "run", config, device="cpu", on_epoch=on_epoch)
    best = result.info.best_epoch
    assert states[best - 1][0]
    for name, value in load_file(tmp_path / "run" / "best.safetensors").items():
        assert torch.equal(value, states[best - 1][1][name])
    text_CF = load_checkpoint(tmp_path / "run", torch.device("cpu")).text_CF
    torch.testing.assert_close(text_CF.norm(dim=1), torch.ones(3))


def test_warm_up_and_the_last_short_epoch_are_counted_in_steps(path, tmp_path):
    config = override(smoke(), ["optim.batch_size=10", "optim.warmup_steps=10", "schedule.max_steps=5"])
    reports = []
    train(path, tmp_path / "run", config, device="cpu", on_epoch=reports.append)
    assert [report.steps for report in reports] == [3, 5]
    assert [report.lr for report in reports] == pytest.approx([config.optim.lr * n / 10 for n in (3, 5)])


@pytest.mark.parametrize(
    "changes",
    [
        [
            "model.tfe_form=literal",
            "losses.contrast=batch",
            "losses.similarity=per_sample",
            "losses.gate=total",
        ],
        ["model.tfe_keys=crossed", "losses.contrast=streams", "prompts.context=class_specific"],
        ["model.lstm=type", "model.tfe_tokens=frames", "losses.reduction=sum", "model.dropout=0.1"],
        ["losses.terms=contrast", "model.tfe=false", "data.views=first"],
        ["model.scene=false", "model.polarity=false", "data.validation=train"],
        ["prompts.precision=bf16", "model.precision=bf16"],
    ],
    ids=" ".join,
)
def test_every_reading_trains(path, tmp_path, changes):
    config = override(smoke(), [*changes, "schedule.max_steps=2"])
    result = train(path, tmp_path / "run", config, device="cpu")
    assert np.isfinite([result.best.train.loss, result.best.validation.loss]).all()


def test_a_loss_that_is_no_number_ends_the_run_in_one_line(path, tmp_path):
    config = override(smoke(), ["optim.lr=1e-3", "optim.clip_norm=0", "losses.logit_scale=1e39"])
    told = (
        r"The loss at step 1 \(epoch 1\) is (nan|inf) \(learning rate 1.0e-04\), though all features are "
        r"finite: training has diverged. "
        r"Lower optim.lr, or set optim.clip_norm=1.$"
    )
    with pytest.raises(TrainingError, match=told):
        train(path, tmp_path / "run", config, device="cpu")


def test_a_part_of_the_loss_that_is_no_number_ends_the_run_too(path, tmp_path, monkeypatch):
    """With gate=total a NaN closes the gate, and the loss itself stays a number."""
    monkeypatch.setattr("trainer.losses.polarity_loss", lambda logits, *_: logits.sum() * float("nan"))
    config = override(SHORT, ["losses.gate=total"])
    with pytest.raises(TrainingError, match=r"^The polarity loss at step 1 \(epoch 1\) is nan"):
        train(path, tmp_path / "run", config, device="cpu")


def test_features_that_are_no_numbers_are_no_divergence(tmp_path):
    cache = tiny_cache(tmp_path / "feats.zarr")
    write_feature(cache, 4, np.nan, "scene/early")
    with pytest.raises(CacheError, match=r"1 clip hold NaN or infinity: 'clip004' \(scene/early\)"):
        train(cache, tmp_path / "run", SHORT, device="cpu")
    assert not (tmp_path / "run").exists()


def test_batches_of_one_class_are_joined_and_counted_where_the_batch_is_the_contrast(path, tmp_path):
    reports = []
    config = override(SHORT, ["losses.contrast=batch", "optim.batch_size=2"])
    result = train(path, tmp_path / "run", config, device="cpu", on_epoch=reports.append)
    joined = [report.joined_batches for report in reports]
    assert joined == [15 - steps for steps in np.diff([0, *(report.steps for report in reports)])]
    assert sum(joined) > 0
    assert result.notes == (
        f"{sum(joined)} batches of one class were joined with another: losses.contrast=batch has no negative "
        "in them",
    )
    assert f"  note: {result.notes[0]}" in lines_of(result)


def test_a_batch_of_one_has_no_contrast_and_is_refused(path, tmp_path):
    config = override(SHORT, ["losses.contrast=batch", "optim.batch_size=1"])
    with pytest.raises(ConfigError, match="optim.batch_size is 1; set optim.batch_size to 2 or more"):
        train(path, tmp_path / "run", config, device="cpu")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_numpy_would_not_take_is_refused(path, tmp_path, seed):
    with pytest.raises(ConfigError, match=f"^--seed is {seed}; allowed: 0 to 4294967295"):
        train(path, tmp_path / "run", SHORT, seed=seed, device="cpu")


def test_a_place_where_nobody_may_write_is_named(path):
    with pytest.raises(ConfigError, match=r"^--run '/proc/run' cannot be created: .*; give another place"):
        train(path, Path("/proc/run"), SHORT, device="cpu")


def test_unknown_polarity_is_refused_before_anything_is_written(tmp_path):
    cache = tiny_cache(tmp_path / "feats.zarr", polarity=np.full(48, -1, dtype=np.int8))
    with pytest.raises(ConfigError, match="have no known polarity"):
        train(cache, tmp_path / "run", SHORT, device="cpu")
    assert not (tmp_path / "run").exists()
    without = override(SHORT, ["model.polarity=false", "schedule.max_steps=1"])
    assert train(cache, tmp_path / "run", without, device="cpu").num_steps == 1


def test_weights_of_another_tower_are_refused(tmp_path):
    cache = tiny_cache(tmp_path / "feats.zarr", tiny_meta(text_sha256="0" * 64))
    with pytest.raises(WeightsError, match="0{64}; give the weights that made it with --encoder-weights"):
        train(cache, tmp_path / "run", SHORT, device="cpu")


def test_an_existing_run_is_refused_before_any_work(path, finished):
    with pytest.raises(ConfigError, match="exists already"):
        train(path, finished[0].run_dir, SHORT, device="cpu")


@pytest.mark.gpu
def test_cuda_learns_what_the_cpu_learns(path, tmp_path):
    config = replace(SHORT, schedule=replace(SHORT.schedule, max_epochs=6))
    result = train(path, tmp_path / "run", config, device="cuda")
    assert result.best.validation.war == 1.0

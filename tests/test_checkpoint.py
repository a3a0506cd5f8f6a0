import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from pipeline.errors import CheckpointError, ConfigError
from tests.tiny_cache import CLASSES, tiny_meta
from trainer.checkpoint import _NOT_IN_OLDER_RUNS, load_checkpoint, save_weights
from trainer.config_file import from_toml, to_toml
from trainer.model import FeatureShape, OusModel
from trainer.presets import smoke
from trainer.run_directory import create_run_dir, load_config, load_info, save_info
from trainer.run_info import RunInfo

CPU = torch.device("cpu")
META = tiny_meta(embed_width=16, encoder_width=12)


@pytest.fixture
def info():
    return RunInfo(
        cache_path="feats.zarr",
        cache_fingerprint=META.fingerprint,
        dataset=META.dataset,
        class_names=META.class_names,
        encoder_name=META.encoder_name,
        encoder_sha256=META.encoder_sha256,
        text_sha256=META.text_sha256,
        random_weights=META.has_random_weights,
        num_frames=META.num_frames,
        embed_width=META.embed_width,
        encoder_width=META.encoder_width,
        fold="1",
        seed=3,
        selection="holdout",
        clips_sha256="c" * 64,
        training_sha256="t" * 64,
    )


@pytest.fixture
def saved(tmp_path, info):
    """A run directory with a checkpoint, its model and its class features."""
    run_dir = tmp_path / "runs" / "first"
    create_run_dir(run_dir, smoke(), info)
    model = OusModel(smoke(), FeatureShape.of(META))
    text_CF = torch.randn(3, 16)
    save_weights(run_dir, model, torch.randn(4, 8), text_CF, info, epoch=5)
    return run_dir, model, text_CF


def test_what_was_saved_is_loaded(saved, info):
    run_dir, model, text_CF = saved
    loaded = load_checkpoint(run_dir, CPU)
    assert (loaded.config, loaded.info) == (smoke(), info)
    assert torch.equal(loaded.text_CF, text_CF)
    assert not loaded.model.training
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], value)


def test_a_run_of_a_version_that_recorded_less_is_loaded(saved, info):
    run_dir, _, _ = saved
    path = run_dir / "best.safetensors"
    with safe_open(path, framework="pt") as file:
        metadata = json.loads(file.metadata()["ous"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    values = json.loads((run_dir / "run.json").read_text())
    for origin in (metadata["run"], values):
        for name in _NOT_IN_OLDER_RUNS:
            del origin[name]
    save_file(tensors, path, metadata={"ous": json.dumps(metadata)})
    (run_dir / "run.json").write_text(json.dumps(values))
    assert load_checkpoint(run_dir, CPU).info == info


def test_a_validation_leak_is_part_of_a_runs_origin(saved, info):
    run_dir, _, _ = saved
    marked = replace(info, validation_leak=2)
    assert marked.banners[-1] == (
        "VALIDATION LEAK: 2 clips that chose the checkpoint with footage of training clips"
    )
    save_info(run_dir, marked)
    with pytest.raises(CheckpointError, match="is not of the run that"):
        load_checkpoint(run_dir, CPU)


@pytest.mark.parametrize(
    "change",
    [
        {"identity": {"encoder": "other"}},
        {"extract_config": {"encoder": {"name": "other"}}},
        {"clip_seconds": (1.0, 2.0, 3.0)},
    ],
)
def test_the_origin_of_the_features_is_part_of_a_runs_origin(saved, info, change):
    run_dir, _, _ = saved
    save_info(run_dir, replace(info, **change))
    with pytest.raises(CheckpointError, match="is not of the run that"):
        load_checkpoint(run_dir, CPU)


def test_the_origin_of_the_features_is_stored_with_the_weights(tmp_path, info):
    known = replace(
        info, identity={"encoder": "e"}, extract_config={"a": [1, {"b": None}]}, clip_seconds=(1.0, 2.5, 4.0)
    )
    create_run_dir(tmp_path / "run", smoke(), known)
    model = OusModel(smoke(), FeatureShape.of(META))
    save_weights(tmp_path / "run", model, torch.randn(4, 8), torch.randn(3, 16), known, epoch=1)
    assert load_checkpoint(tmp_path / "run", CPU).info == known
    with safe_open(tmp_path / "run/best.safetensors", framework="pt") as file:
        run = json.loads(file.metadata()["ous"])["run"]
    assert (run["identity"], run["extract_config"]) == (known.identity, known.extract_config)


def test_a_temperature_that_is_fitted_after_the_weights_were_saved_is_loaded(saved, info):
    fitted = replace(info, temperature=1.75, ece_before=0.2, ece_after=0.1)
    save_info(saved[0], fitted)
    assert load_checkpoint(saved[0], CPU).info == fitted


def test_clips_that_were_pending_in_training_are_a_banner(info):
    half = replace(info, left_out_of_training={"pending": 1, "failed": 2})
    assert half.banners[-1] == "UNFINISHED CACHE: trained while 1 clip of the fold had no features yet"
    failed = replace(info, left_out_of_training={"failed": 2})
    assert not any("UNFINISHED" in banner for banner in failed.banners)


def test_run_info_names_what_the_run_was_made_from(saved):
    values = json.loads((saved[0] / "run.json").read_text())
    assert values["class_names"] == list(CLASSES)
    assert values["encoder_name"] == "modest"
    assert values["encoder_sha256"] == META.encoder_sha256
    assert values["cache_fingerprint"] == META.fingerprint
    assert (values["fold"], values["seed"], values["selection"]) == ("1", 3, "holdout")
    assert values["random_weights"] is True


def test_info_is_replaced_while_the_run_goes_on(saved, info):
    save_info(saved[0], replace(info, best_epoch=4, stop_reason="converged"))
    assert load_info(saved[0]).best_epoch == 4
    assert not list(saved[0].glob("*.partial"))


@pytest.mark.parametrize("taken", ["file", "directory"])
def test_a_run_directory_that_holds_something_is_left_alone(tmp_path, info, taken):
    run_dir = tmp_path / "run"
    held = run_dir if taken == "file" else run_dir / "notes.txt"
    held.parent.mkdir(exist_ok=True)
    held.write_text("mine")
    with pytest.raises(ConfigError, match=r"--run '.*run' exists already; give another name, or remove it"):
        create_run_dir(run_dir, smoke(), info)
    assert held.read_text() == "mine"


def test_an_empty_directory_may_become_a_run(tmp_path, info):
    create_run_dir(tmp_path, smoke(), info)
    assert load_config(tmp_path) == smoke()


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (
            {"class_names": ("neutral", "happiness", "sadness")},
            r'class_names: \["happiness", "neutral", "sadness"\] here, \["neutral", "hap.*"\] there',
        ),
        ({"encoder_name": "ViT-B-32"}, 'encoder_name: "modest" here, "ViT-B-32" there'),
        ({"encoder_sha256": "0" * 64}, 'encoder_sha256: "[0-9a-f]{64}" here, "0{64}" there'),
        ({"num_frames": 8}, "num_frames: 4 here, 8 there"),
    ],
)
def test_a_cache_that_does_not_fit_is_refused_with_the_difference(info, change, difference):
    with pytest.raises(
        CheckpointError, match=rf"does not fit the cache 'other.zarr' \('there'\): {difference}\. Eval"
    ):
        info.require_fits(replace(META, **change), Path("other.zarr"))


def test_a_model_of_patch_tokens_needs_as_many(info):
    patches = replace(info, num_tokens=17)
    patches.require_fits(replace(META, num_tokens=17), "feats.zarr")
    with pytest.raises(CheckpointError, match=r"num_tokens.*same classes and encoder and --tokens"):
        patches.require_fits(replace(META, num_tokens=257), "feats.zarr")
    info.require_fits(replace(META, num_tokens=257), "feats.zarr")  # it looks at none


def test_another_data_set_with_the_same_classes_and_encoder_fits(info):
    info.require_fits(replace(META, dataset="other", num_clips=5, fingerprint="0" * 64), Path("other.zarr"))


@pytest.mark.parametrize(
    ("random_weights", "selection", "count"),
    [(False, "holdout", 0), (True, "given", 1), (True, "test", 2), (False, "train", 1)],
)
def test_banners_warn_of_random_weights_and_of_selection(info, random_weights, selection, count):
    banners = replace(info, random_weights=random_weights, selection=selection).banners
    assert len(banners) == count
    assert any("RANDOM ENCODER WEIGHTS" in line for line in banners) == random_weights
    assert any("SELECTED ON" in line for line in banners) == (selection in ("test", "train"))


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="is no training run: it has no config.toml"):
        load_checkpoint(tmp_path, CPU)
    with pytest.raises(
        CheckpointError, match=r"^Nothing is at '.*none'\. Give the directory that `train --run`"
    ):
        load_checkpoint(tmp_path / "none", CPU)


def test_runs_in_a_folder_that_is_none_itself_are_named(tmp_path, info):
    for name in "ab":
        create_run_dir(tmp_path / name, smoke(), info)
    with pytest.raises(CheckpointError, match=r"made\. These runs are in it: a, b\.$"):
        load_checkpoint(tmp_path, CPU)


def test_a_run_without_a_finished_epoch_is_refused(tmp_path, info):
    create_run_dir(tmp_path, smoke(), info)
    with pytest.raises(
        CheckpointError,
        match="has no best.safetensors; its training diverged, was stopped, or is in its first",
    ):
        load_checkpoint(tmp_path, CPU)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("best.safetensors", b"not tensors", "best.safetensors' does not hold the model"),
        (
            "config.toml",
            b"[model]\ntfe_blocks = 3\n",
            "does not hold the model that config.toml describes",
        ),
        ("config.toml", b"[model]\ndepth = 3\n", "config.toml': Unknown setting 'model.depth'"),
        ("run.json", b"{", "run.json' is not a readable run description"),
        ("run.json", b'{"fold": "1"}', "run.json' is not a readable run description"),
    ],
)
def test_damaged_files_are_refused_in_one_line(saved, name, content, message):
    (saved[0] / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(saved[0], CPU)
    assert "\n" not in str(caught.value)


def test_the_weights_alone_tell_what_they_are(saved, info):
    with safe_open(saved[0] / "best.safetensors", framework="pt") as file:
        metadata = json.loads(file.metadata()["ous"])
    assert from_toml(metadata["config_toml"]) == smoke()
    assert metadata["run"]["cache_fingerprint"] == info.cache_fingerprint
    assert metadata["epoch"] == 5


def test_settings_that_were_not_trained_are_rejected(saved):
    config, path = smoke(), saved[0] / "config.toml"
    other = replace(config, model=replace(config.model, tfe_heads=4))  # the same weights, another model
    path.write_text(to_toml(other))
    message = (
        r"best.safetensors' was trained with other settings .* model\.tfe_heads: 4 here, 8 there\. Restore"
    )
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(saved[0], CPU)
    path.write_text(f"# a note\n{to_toml(replace(config, data=replace(config.data, residence='host')))}")
    assert load_checkpoint(saved[0], CPU).config.data.residence == "host"


def test_weights_of_another_run_are_refused(saved, info):
    save_info(saved[0], replace(info, cache_fingerprint="other"))
    with pytest.raises(CheckpointError, match=r"is not of the run that run.json beside it describes"):
        load_checkpoint(saved[0], CPU)

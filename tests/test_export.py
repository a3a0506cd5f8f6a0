"""Exported models: they answer as their run, describe it, name no path, and damaged ones are rejected."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline.config import override
from pipeline.errors import CheckpointError, ConfigError
from tests.command_line import call
from tests.tiny_cache import tiny_cache, tiny_meta
from trainer.batches import Batch
from trainer.evaluation import evaluate
from trainer.export import export_model
from trainer.export.card import LICENSED
from trainer.export.example import example_batch
from trainer.presets import smoke
from trainer.run_directory import load_info, save_info
from trainer.runs import load_run
from trainer.scene_sample import find_scenes
from trainer.training import train

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")
FILES = {
    "README.md", "config.json", "example.npz", "model.safetensors", "preprocessing.json",
    "scenes.safetensors",
}  # fmt: skip


def train_tiny(folder: Path, *changes: str, **meta) -> Path:
    config = {
        "detector": {"name": "haar", "weights": None},
        "encoder": {"name": "modest", "weights": str(folder / "weights" / "clip.pt")},
        "dataset": {"name": "tiny", "root": str(folder / "clips"), "lists": [str(folder / "list.csv")]},
    }
    cache = tiny_cache(folder / "feats.zarr", tiny_meta(config=config, **meta))
    train(cache, folder / "run", override(smoke(), ["schedule.max_epochs=1", *changes]), device="cpu")
    return folder / "run"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A measured run, and its exported model."""
    folder = tmp_path_factory.mktemp("exported")
    run = train_tiny(folder)
    evaluate(run, device="cpu")
    return run, export_model(run, folder / "model").path


@pytest.fixture
def model(exported, tmp_path) -> Path:
    """A copy of the exported model, to be changed."""
    return Path(shutil.copytree(exported[1], tmp_path / "model"))


def test_a_model_answers_as_its_run_to_the_bit(exported):
    run, model = (load_run(path, device="cpu") for path in exported)
    batch = example_batch(run, (4, 2, 1, 3))
    assert torch.equal(run.outputs(batch).logits_BC, model.outputs(batch).logits_BC)
    assert (run.config, run.class_names, run.temperature) == (
        model.config,
        model.class_names,
        model.temperature,
    )
    scenes, note = find_scenes(model)
    assert note == ""
    assert scenes.sha256() == find_scenes(run)[0].sha256()


@pytest.mark.parametrize(
    "change",
    ["scene=false", "tfe=false", "polarity=false", "tfe_tokens=frames", "lstm=type"],
)
def test_every_form_of_the_model_is_exported(change, tmp_path):
    extra = ["model.polarity=false"] if change == "scene=false" else []
    run = train_tiny(tmp_path, f"model.{change}", *extra)
    model = load_run(export_model(run, tmp_path / "model").path, device="cpu")
    batch = example_batch(model)
    assert torch.equal(load_run(run, device="cpu").outputs(batch).logits_BC, model.outputs(batch).logits_BC)


def test_the_example_checks_a_port(exported):
    model = load_run(exported[1], device="cpu")
    with np.load(exported[1] / "example.npz") as file:
        stored = dict(file)
    assert set(stored) == {"face", "scene", "early", "valid", "logits", "probabilities"}
    assert stored["valid"].sum(axis=1).tolist() == [4, 2, 1]
    values = {
        "face_BTF": stored["face"], "scene_BTF": stored["scene"], "early_B43D": stored["early"],
        "valid_BT": stored["valid"], "label_B": np.full(3, -1), "polarity_B": np.full(3, -1),
    }  # fmt: skip
    outputs = model.outputs(Batch(**{name: torch.from_numpy(value) for name, value in values.items()}))
    np.testing.assert_array_equal(outputs.logits_BC.numpy(), stored["logits"])
    np.testing.assert_allclose(stored["probabilities"].sum(axis=1), 1, rtol=1e-6)


def test_no_file_names_a_path_or_a_clip(exported):
    run, model = exported
    assert {path.name for path in model.iterdir()} == FILES
    for path in model.iterdir():
        content = path.read_bytes()
        for word in (str(run.parent), "feats.zarr", "list.csv", "clips/", "training_clips"):
            assert word.encode() not in content, (path.name, word)
    stored = json.loads((model / "config.json").read_text())["run"]["extract_config"]
    assert stored["dataset"] == {"name": "tiny"}
    assert stored["encoder"]["weights"] == "clip.pt"


def test_the_card_shows_results_warnings_and_limits(exported):
    run, model = exported
    card = (model / "README.md").read_text()
    measured = json.loads((run / "confusion.json").read_text())
    assert card.startswith("---\nlibrary_name: ous\nlicense: other\n")
    assert f"| WAR | {100 * measured['war']:.2f} |" in card
    worst = min((v, k) for k, v in measured["recall"].items() if v is not None)[0]
    first = next(line for line in card.splitlines() if line.startswith("| recall, "))
    assert first.endswith(f"| {100 * worst:.2f} | |")
    for text in (
        "RANDOM ENCODER WEIGHTS",
        "Not for: work, school",
        "Art. 5(1)(f)",
        "secondary sources",
        "> We record",
    ):
        assert text in card


def test_a_run_that_is_not_measured_has_a_card_without_results(tmp_path):
    run = train_tiny(tmp_path)
    found = export_model(run, tmp_path / "model")
    assert "Not measured." in (tmp_path / "model" / "README.md").read_text()
    assert found.notes == (f"the card has no results; `evaluate {run}` measures them, before another export",)


def test_a_damaged_result_is_no_result(tmp_path):
    run = train_tiny(tmp_path)
    for number, text in enumerate(("{", '{"split": "test", "is_own_fold": true, "war": 7}', "[1]")):
        (run / "confusion.json").write_text(text)
        export_model(run, tmp_path / f"model{number}")
        assert "Not measured." in (tmp_path / f"model{number}" / "README.md").read_text()


def test_class_names_cannot_write_the_card(tmp_path):
    names = ("<script>x</script>", "a|b", "#c")
    run = train_tiny(tmp_path, "model.polarity=false", class_names=names)
    export_model(run, tmp_path / "model")
    card = (tmp_path / "model" / "README.md").read_text()
    assert "<script>" not in card
    assert "a\\|b" in card


@pytest.mark.parametrize("name", LICENSED)
def test_licensed_data_is_named(name, tmp_path, monkeypatch, capsys):
    run = train_tiny(tmp_path, dataset=name)
    code, shown, _ = call(monkeypatch, capsys, "export", run, "--out", tmp_path / "model")
    assert code == 0
    assert f"!! trained on {LICENSED[name]}, which is under a licence" in shown
    assert f"**{LICENSED[name]} is under a licence" in (tmp_path / "model" / "README.md").read_text()


def test_an_output_that_is_there_is_kept(exported, tmp_path, monkeypatch, capsys):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "thesis.tex").write_text("dear")
    code, _, shown = call(monkeypatch, capsys, "export", exported[0], "--out", tmp_path / "model")
    assert code == 2
    assert "exists and is not empty; give a new directory" in shown
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["thesis.tex"]


def test_an_unfinished_training_is_marked(tmp_path):
    run = train_tiny(tmp_path)
    info = load_info(run)
    save_info(run, replace(info, stop_reason=""))
    found = export_model(run, tmp_path / "model")
    assert found.banners[-1].startswith("UNFINISHED TRAINING")
    assert "**UNFINISHED TRAINING" in (tmp_path / "model" / "README.md").read_text()


def test_the_card_lists_the_files_that_are_there(exported, tmp_path):
    face_only = train_tiny(tmp_path, "model.scene=false", "model.polarity=false")
    for model in (exported[1], export_model(face_only, tmp_path / "model").path):
        card = (model / "README.md").read_text().partition("## Files")[2]
        listed = {line.split("|")[1].strip() for line in card.splitlines() if line.startswith("| ")}
        assert listed - {"file"} == {path.name for path in model.iterdir()} - {"README.md"}


def test_a_model_without_scenes_opens_no_cache(model):
    (model / "scenes.safetensors").unlink()
    scenes, note = find_scenes(load_run(model, device="cpu"))
    assert scenes is None
    assert note.endswith("has no scenes.safetensors: answers with other scenes are not shown.")


@pytest.mark.parametrize(
    "change", [{"cache_path": "/etc"}, {"cache_from_run": "../feats.zarr"}, {"identity": {}}]
)
def test_a_model_that_names_a_cache_is_rejected(model, change):
    values = json.loads((model / "config.json").read_text())
    values["run"] |= change
    (model / "config.json").write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match="it names a cache, or lacks the identity"):
        load_run(model, device="cpu")


def test_what_is_no_run_is_not_exported(exported, tmp_path):
    with pytest.raises(ConfigError, match="is an exported model; give the run"):
        export_model(exported[1], tmp_path / "again")
    with pytest.raises(CheckpointError, match="Nothing is at"):
        export_model(tmp_path / "none", tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_a_model_is_not_measured(exported):
    with pytest.raises(CheckpointError, match="does not name its training clips"):
        evaluate(exported[1], device="cpu")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "its format is 'other'; 'ous-model' is needed"),
        ({"version": 2}, "its version is 2; this program reads 1"),
        ({"run": []}, "does not describe a model"),
        ({"settings": {"model": {"blocks": 1}}}, "does not describe a model"),
    ],
)
def test_another_description_is_rejected(model, change, message):
    values = json.loads((model / "config.json").read_text()) | change
    (model / "config.json").write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match=message):
        load_run(model, device="cpu")


@pytest.mark.parametrize(
    "text", [b"", b"\xff", b"[" * 100_000, b"null", b'{"format": "ous-model", "version": 1}']
)
def test_an_unreadable_description_is_one_line(model, text):
    (model / "config.json").write_bytes(text)
    with pytest.raises(CheckpointError) as error:
        load_run(model, device="cpu")
    assert "\n" not in str(error.value)
    assert "config.json" in str(error.value)


@pytest.mark.parametrize("part", ["class_names", "training_sha256", "encoder_sha256", "dataset"])
def test_weights_of_another_origin_are_rejected(model, part):
    values = json.loads((model / "config.json").read_text())
    values["run"][part] = values["run"][part][::-1]
    (model / "config.json").write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match=r"is not of the run that config\.json .* export the run again"):
        load_run(model, device="cpu")


def test_another_setting_that_changes_no_shape_is_rejected(model):
    values = json.loads((model / "config.json").read_text())
    values["settings"]["losses"]["logit_scale"] *= 2
    (model / "config.json").write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match="was trained with other settings"):
        load_run(model, device="cpu")


def test_missing_and_damaged_weights_are_rejected(model):
    tensors = load_file(model / "model.safetensors")
    save_file(tensors, model / "model.safetensors")  # without the description of their origin
    with pytest.raises(CheckpointError):
        load_run(model, device="cpu")
    (model / "model.safetensors").unlink()
    with pytest.raises(
        CheckpointError, match="has no model.safetensors; it is incomplete; export the run again"
    ):
        load_run(model, device="cpu")

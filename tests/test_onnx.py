"""head.onnx answers as the run, for any number of clips."""

import re
import sys
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from pipeline.config import override
from pipeline.errors import ConfigError
from tests.command_line import call
from tests.people_cache import people_cache, people_meta
from trainer.export import export_model
from trainer.export.example import INPUTS, example_batch
from trainer.export.onnx_file import OnnxError, onnx_of
from trainer.presets import smoke
from trainer.runs import load_run
from trainer.training import train

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")
FORMS = {
    "default": [],
    "literal": ["model.tfe_form=literal"],
    "crossed": ["model.tfe_keys=crossed"],
    "frames": ["model.tfe_tokens=frames"],
    "type": ["model.lstm=type"],
    "no TFE": ["model.tfe=false"],
    "face only": ["model.scene=false", "model.polarity=false"],
    "temporal": [
        f"model.{name}" for name in ("architecture=temporal", "scene=false", "polarity=false", "tfe=false")
    ],
    "in view": ["data.face_frames=in_view"],
    "patches": ["model.tfe_tokens=patches"],
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return people_cache(tmp_path_factory.mktemp("cache") / "feats.zarr", replace(people_meta(), num_tokens=5))


def trained(cache, folder, *changes):
    config = override(smoke(), ["schedule.max_epochs=1", *changes])
    train(cache, folder / "run", config, device="cpu")
    return load_run(folder / "run", device="cpu")


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(changes, id=name, marks=[] if name == "default" else pytest.mark.slow)
        for name, changes in FORMS.items()
    ],
)
def test_the_graph_answers_as_the_run_for_any_number_of_clips(cache, tmp_path, changes):
    run = trained(cache, tmp_path, *changes)
    made = onnx_of(run)
    assert made.largest_difference < 1e-5
    session = onnxruntime.InferenceSession(made.content, providers=["CPUExecutionProvider"])
    for size in (1, 2, 17, 256):
        batch = example_batch(run, tuple(1 + (3 * clip) % run.info.num_frames for clip in range(size)))
        given = {one.name: getattr(batch, INPUTS[one.name]).numpy() for one in session.get_inputs()}
        expected = run.outputs(batch)
        found = dict(zip([one.name for one in session.get_outputs()], session.run(None, given), strict=True))
        probabilities = run.calibrated(expected.logits_BC).numpy()
        assert found["probabilities"].shape == (size, len(run.class_names))
        np.testing.assert_allclose(found["probabilities"], probabilities, atol=1e-5)
        first, second = np.sort(probabilities, axis=1)[:, :-3:-1].T
        is_clear = first - second > 2e-5  # twice the tolerance; a tie may have either class
        assert is_clear.mean() > 0.9
        np.testing.assert_array_equal(
            found["probabilities"].argmax(axis=1)[is_clear], probabilities.argmax(axis=1)[is_clear]
        )
        if expected.polarity_logits_BP is not None:
            np.testing.assert_allclose(
                found["polarity"], torch.softmax(expected.polarity_logits_BP, dim=1).numpy(), atol=1e-5
            )


@pytest.fixture(scope="module")
def exported(cache, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    trained(cache, folder)
    return export_model(folder / "run", folder / "model", onnx=True)


def test_the_file_is_listed_valid_and_names_no_path(exported):
    content = (exported.path / "head.onnx").read_bytes()
    onnx.checker.check_model(onnx.load_from_string(content))
    assert exported.files["head.onnx"] == len(content)
    assert "| head.onnx |" in (exported.path / "README.md").read_text()
    assert not re.findall(rb"[\w.-]+\.py\b", content)
    assert any(note.startswith("head.onnx: probabilities differ by") for note in exported.notes)


def test_example_npz_checks_the_file(exported):
    session = onnxruntime.InferenceSession(exported.path / "head.onnx", providers=["CPUExecutionProvider"])
    with np.load(exported.path / "example.npz") as stored:
        given = {one.name: stored[one.name] for one in session.get_inputs()}
        (probabilities,) = session.run(["probabilities"], given)
        np.testing.assert_allclose(probabilities, stored["probabilities"], atol=1e-5)


@pytest.mark.parametrize(
    ("value", "rows", "message"),
    [
        (0.9, None, "probabilities that differ by .* It is not written"),
        (np.nan, None, "probabilities that differ by nan .* It is not written"),
        (0.9, 1, r"probabilities of shape \(1, 3\) for 2 clips. It is not written"),
    ],
)
def test_a_graph_with_other_answers_is_not_written(exported, monkeypatch, tmp_path, value, rows, message):
    class Other:
        def __init__(self, *_, **__):
            pass

        def run(self, _, given):
            shape = (rows or len(given["face"]), 3)
            return [np.full(shape, value, np.float32), np.full(shape, value, np.float32)]

    monkeypatch.setattr(onnxruntime, "InferenceSession", Other)
    if rows:
        monkeypatch.setattr("trainer.export.onnx_file._LARGEST_DIFFERENCE", 1.0)
    with pytest.raises(OnnxError, match=message):
        export_model(exported.path.parent / "run", tmp_path / "model", onnx=True)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("name", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_one_line_with_the_remedy(exported, monkeypatch, tmp_path, capsys, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=rf"needs the package {name}, .*ous\[onnx\]"):
        export_model(exported.path.parent / "run", tmp_path / "model", onnx=True)
    assert not (tmp_path / "model").exists()


def test_the_command_writes_the_file(exported, tmp_path, monkeypatch, capsys):
    out = tmp_path / "model"
    assert call(monkeypatch, capsys, "export", exported.path.parent / "run", "--out", out, "--onnx")[0] == 0
    assert (out / "head.onnx").is_file()

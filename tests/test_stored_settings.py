"""Stored settings become those of this program: precisions, weights, defaults of their version."""

import pytest
import torch

from pipeline.config import to_dict
from pipeline.errors import ConfigError
from pipeline.portable import portable
from pipeline.process import Extraction, stored_config
from tests.small_clips import small_models_with

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(scope="module")
def models():
    return small_models_with(detector={"name": "haar", "every": 2}, people={"max_gap": 1.5})


def read(models, device=CPU, *, config=None, identity=None, encoder_weights=None, detector_weights=None):
    """The settings of stored ones, with changed sections; None removes a section."""
    values = {**to_dict(models.config), "dataset": {"name": "dfew"}, **(config or {})}
    made = Extraction(
        config={name: held for name, held in values.items() if held is not None},
        identity={**models.identity(), **(identity or {})},
        encoder_name=models.config.encoder.name,
    )
    return stored_config(made, device, encoder_weights=encoder_weights, detector_weights=detector_weights)


def test_settings_are_those_of_the_features_in_their_precisions(models):
    found = to_dict(read(models))
    expected = to_dict(models.config)
    expected["detector"]["precision"] = "fp32"  # stored as auto, computed in fp32
    assert found == expected


@pytest.mark.parametrize(
    ("stored", "device", "precision"),
    [("fp16", GPU, "fp16"), ("fp16", CPU, "auto"), ("bf16", CPU, "bf16"), ("fp32", GPU, "fp32")],
)
def test_the_precision_is_that_of_the_features_where_the_device_has_it(models, stored, device, precision):
    found = read(models, device, identity={"features": {"version": 1, "precision": stored}})
    assert found.features.precision == precision


def test_weights_are_the_stored_ones_or_those_of_the_user(models, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    stored = {"name": "retinaface-resnet50", "weights": portable(str(tmp_path / "detector.pt"))}
    assert read(models, config={"detector": stored}).detector.weights == str(tmp_path / "detector.pt")
    assert read(models, config={"detector": stored}, detector_weights="mine.pt").detector.weights == "mine.pt"
    assert read(models).encoder.weights == "random"
    assert read(models, encoder_weights="openai").encoder.weights == "openai"


def test_a_setting_that_is_not_stored_has_the_default_of_its_version(models):
    found = read(models, config={"track": None, "people": {"max_gap": 1.5}})
    assert found.track.method == "nearest", "the first version, and not the default of today"
    assert models.config.track.method == "motion"
    assert found.people == models.config.people


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"frames": 3}, "'frames' holds 3, no settings"),
        ({"detector": [1]}, r"'detector' holds \[1\], no settings"),
        ({"frames": {"num_frames": 0}}, "num_frames"),
        ({"frames": {"number": 4}}, "number"),
    ],
)
def test_settings_of_another_program_are_rejected(models, config, message):
    with pytest.raises(ConfigError, match=message):
        read(models, config=config)


@pytest.mark.parametrize("weights", [None, 3, {"a": 1}])
def test_weights_of_the_encoder_that_are_no_text_are_not_known(weights):
    made = Extraction(config={"encoder": {"weights": weights}}, identity={}, encoder_name="e")
    assert made.encoder_weights == ""
    assert Extraction(config={"encoder": 3}, identity={}, encoder_name="e").encoder_weights == ""

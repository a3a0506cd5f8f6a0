"""Models of a run: the same features as in training, a banner for another precision, else one line."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from pipeline.config import to_dict
from pipeline.errors import ConfigError
from tests.small_clips import small_models, small_models_with
from trainer.prediction import extraction
from trainer.prediction.extraction import extraction_config, load_run_models

CPU = torch.device("cpu")


@dataclass
class StoredRun:
    """A run as far as its features are concerned, with changed values of its identity."""

    models: object
    changed: dict = field(default_factory=dict)
    path: Path = Path("runs/full")
    caches: list = field(default_factory=list)

    @property
    def info(self):
        return SimpleNamespace(encoder_name=self.models.config.encoder.name)

    def extraction(self, cache):
        self.caches.append(cache)
        identity = self.models.identity()
        for section, values in self.changed.items():
            identity[section] = {**identity[section], **values} if isinstance(values, dict) else values
        return to_dict(self.models.config), identity


@pytest.fixture
def models(monkeypatch):
    """Models that stand for those that would be loaded."""
    found = small_models_with(detector={"name": "haar"})
    monkeypatch.setattr(extraction, "load_models", lambda config, device: found)
    return found


def test_settings_are_those_of_the_run_and_no_model_is_loaded(models, monkeypatch):
    monkeypatch.setattr(extraction, "load_models", None)
    run = StoredRun(models)
    config = extraction_config(run, CPU, cache="cache.zarr", encoder_weights="openai")
    assert (config.frames, config.encoder.weights) == (models.config.frames, "openai")
    assert run.caches == ["cache.zarr"]


def test_a_run_on_faces_of_the_dataset_cannot_predict():
    with pytest.raises(
        ConfigError, match=r"'runs/full' was trained on faces that the dataset provides .*boxes"
    ):
        extraction_config(StoredRun(small_models()), CPU)


def test_settings_that_do_not_fit_are_one_line_with_the_run(models):
    run = StoredRun(models, {"features": {"precision": "fp8"}})
    with pytest.raises(ConfigError, match="The settings that 'runs/full' stores, .* do not fit .*fp8"):
        extraction_config(run, CPU)


def test_equal_features_have_no_banner(models):
    found = load_run_models(StoredRun(models), CPU)
    assert (found.models, found.banners) == (models, ())
    assert found.identity == models.identity()


@pytest.mark.parametrize("section", ["features", "detector"])
def test_another_precision_is_a_banner(models, section):
    found = load_run_models(StoredRun(models, {section: {"precision": "bf16"}}), CPU)
    assert found.banners == (f"OTHER PRECISION: {section} computed in fp32, trained on bf16",)
    assert found.identity[section]["precision"] == "fp32"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"encoder": {"visual_sha256": "0" * 64}}, "visual_sha256"),
        ({"detector": {"sha256": "0" * 64}}, "sha256"),
        ({"track": {"method": "nearest"}}, "method"),
        ({"streams": {"absent_face": "same"}}, "absent_face"),
        ({"frames": {"version": 1}}, "version|frames"),
    ],
)
def test_features_that_differ_in_more_are_rejected(models, changed, message):
    run = StoredRun(models, changed)
    with pytest.raises(
        ConfigError, match=rf"differ from those that 'runs/full' was trained on: .*({message})"
    ):
        load_run_models(run, CPU)

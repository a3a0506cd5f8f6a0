import json
import re

import numpy as np
import pytest
import torch
from torch.nn import functional

from pipeline.config import override
from tests.modest import ARCHITECTURE
from tests.tiny_cache import tiny_cache
from trainer.measurement import measure
from trainer.presets import smoke
from trainer.report import report, stages
from trainer.report.sections import stages_figure
from trainer.training import train

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")

WIDTH = ARCHITECTURE["embed_dim"]
FULL = ["schedule.max_epochs=1", "model.polarity=false"]


@pytest.fixture(scope="module")
def no_drawing():
    """Figures are drawn here."""


@pytest.fixture(scope="module")
def no_tsne():
    """t-SNE is computed here."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stages")
    cache = tiny_cache(folder / "feats.zarr")
    train(cache, folder / "full", override(smoke(), FULL), device="cpu")
    face = override(smoke(), [*FULL, "model.scene=false", "model.tfe=false"])
    train(cache, folder / "face", face, device="cpu")
    return folder


def test_the_first_stage_is_the_encoders_mean_over_valid_frames_and_the_last_what_is_compared(runs):
    measured = measure(runs / "full", device="cpu")
    found = stages.stage_features(measured, torch.arange(16))
    encoder, frames, aligned, output = found.values()
    assert [value.shape[1] for value in found.values()] == [WIDTH, WIDTH, 2 * WIDTH, WIDTH]
    face, valid = measured.data.face_NVTF[:, 0].float(), measured.data.valid_NVT[:, 0]
    clip = int((~valid).any(dim=1).nonzero()[0])
    expected = functional.normalize(face[clip, valid[clip]].mean(dim=0), dim=0)
    torch.testing.assert_close(encoder[clip], expected)
    predicted = (output @ measured.checkpoint.text_CF.T).argmax(dim=1)
    assert np.array_equal(predicted.numpy(), measured.scores.predicted_N)
    for value in found.values():
        torch.testing.assert_close(value.norm(dim=1), torch.ones(16))
    assert not torch.allclose(frames, encoder)
    assert not torch.allclose(aligned[:, :WIDTH], aligned[:, WIDTH:])


def test_stages_are_named_after_what_the_model_has(runs):
    names = list(stages.stage_features(measure(runs / "face", device="cpu"), torch.arange(4)))
    assert names[2:] == ["alignment: face", "average: output feature"]


def test_the_layout_is_the_same_each_time_and_many_clips_are_drawn_from(runs, monkeypatch):
    measured = measure(runs / "full", device="cpu")
    monkeypatch.setattr(stages, "MOST_CLIPS", 10)
    first, second = (stages.lay_out(measured) for _ in range(2))
    assert all(np.array_equal(first.points[name], second.points[name]) for name in first.points)
    assert (len(first.label_N), first.num_clips, first.perplexity) == (10, 16, 3.0)
    names = measured.metrics().class_names
    figure = stages_figure(first, "tiny", runs / "full", names, measured.banners)
    assert "10 of 16 clips, drawn at random" in figure.note


def test_the_page_shows_each_settings_first_run_by_the_name_that_the_tables_give_it(runs, tmp_path):
    report([runs / "full", runs / "face"], tmp_path, lambda _: None, device="cpu")
    text = (tmp_path / "report.html").read_text()
    figures = re.findall(r"<figcaption>Features at four stages, (.*?), fold 1, seed 0", text)
    assert figures == ["ours, smoke", "ours, smoke, face only, model.tfe=false"]
    assert f"Run &#x27;{runs / 'face'}&#x27;. t-SNE of all clips" in text
    made = json.loads((tmp_path / "report.json").read_text())["stages"]
    assert [entry["run"] for entry in made] == [str(runs / "full"), str(runs / "face")]
    assert made[0]["clips_drawn"] == 16

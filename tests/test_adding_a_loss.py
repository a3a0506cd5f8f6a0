"""One entry in `trainer.losses.LOSSES` adds a loss to training and to every record of it."""

import json

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pipeline.config import override
from tests.test_steps import Tape
from tests.tiny_cache import tiny_cache
from trainer import losses, steps
from trainer.epochs import TrainingError
from trainer.losses import LOSSES, Loss
from trainer.presets import smoke
from trainer.report.runs import read_epochs
from trainer.training import train

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")

WEIGHT = 0.5
PRINTED = ("contrast", "similarity", "polarity")
CONFIG = override(
    smoke(), ["schedule.max_epochs=2", "optim.batch_size=5", "losses.alpha=0", "optim.lr=1e-12"]
)


def squares(outputs, _label_B, _polarity_B, _config):
    return outputs.face_BF.square().mean()


def entry(value=squares, **changes):
    return Loss(**{"name": "toy", "value": value, "weight": lambda _: WEIGHT, **changes})


@pytest.fixture(scope="module")
def no_drawing():
    """Figures are drawn here."""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tiny_cache(tmp_path_factory.mktemp("cache") / "feats.zarr")


@pytest.fixture
def add(monkeypatch):
    """Adds an entry to the table."""
    return lambda loss: monkeypatch.setattr(losses, "LOSSES", (*LOSSES, loss))


def records(run_dir):
    lines = (run_dir / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["train"] for line in lines]


@pytest.mark.parametrize("is_graphed", [False, True], ids=["plain", "replayed"])
def test_a_loss_of_one_entry_is_trained_with_and_recorded(path, tmp_path, add, monkeypatch, is_graphed):
    if is_graphed:
        tape = Tape()
        monkeypatch.setattr(
            "trainer.training_task.steps_of", lambda of, _: steps.GraphedSteps(of, tape.capture)
        )
    labels = []
    monkeypatch.setattr("matplotlib.axes.Axes.plot", lambda *_, label, **__: labels.append(label))
    monkeypatch.setattr("matplotlib.axes.Axes.legend", lambda _: None)
    add(entry())
    run = train(path, tmp_path / "run", CONFIG, device="cpu", profile=True)
    assert "losses" in run.profile.parts or is_graphed
    for record in records(run.run_dir):
        assert list(record) == ["loss", *PRINTED, "toy", "gated_share", "accuracy"]
        assert record["toy"] > 0
        printed = sum(record[name] for name in PRINTED)
        assert record["loss"] == pytest.approx(printed + WEIGHT * record["toy"], rel=1e-5)
    events = EventAccumulator(str(run.run_dir)).Reload()
    shown = [event.value for event in events.Scalars("train/toy")]
    assert shown == pytest.approx([record["toy"] for record in records(run.run_dir)])
    assert "training, toy" in labels
    assert run.best.train.losses["toy"] == read_epochs(run.run_dir)[run.best.epoch - 1]["train"]["toy"]
    if is_graphed:
        assert tape.replayed > 0


def test_its_weight_reaches_the_gradient(path, tmp_path, add):
    quick = override(CONFIG, ["schedule.max_steps=1", "optim.lr=1e-3", "optim.warmup_steps=0"])
    without = train(path, tmp_path / "without", quick, device="cpu")
    add(entry())
    with_it = train(path, tmp_path / "with", quick, device="cpu")
    weights = [(run.run_dir / "best.safetensors").read_bytes() for run in (without, with_it)]
    assert weights[0] != weights[1]


@pytest.mark.parametrize(
    "loss",
    [entry(applies=lambda _: False), entry(lambda *_: None)],
    ids=["does not apply", "has no inputs"],
)
def test_a_loss_that_a_run_does_not_have_is_zero(path, tmp_path, add, loss):
    add(loss)
    run = train(path, tmp_path / "run", override(CONFIG, ["schedule.max_steps=1"]), device="cpu")
    assert [record["toy"] for record in records(run.run_dir)] == [0.0]


def test_a_run_that_it_ends_names_it(path, tmp_path, add):
    add(entry(lambda *_: torch.tensor(float("nan"), requires_grad=True), weight=lambda _: 0.0))
    with pytest.raises(TrainingError, match=r"^The toy loss at step 1 \(epoch 1\) is nan"):
        train(path, tmp_path / "run", override(CONFIG, ["losses.terms=contrast"]), device="cpu")


def test_a_run_of_an_earlier_version_without_the_loss_is_reported(path, tmp_path, add):
    run = train(path, tmp_path / "run", override(CONFIG, ["schedule.max_steps=1"]), device="cpu").run_dir
    before = read_epochs(run)
    add(entry())
    assert read_epochs(run) == before

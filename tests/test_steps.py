from copy import deepcopy
from dataclasses import fields, replace
from functools import partial

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily

from pipeline.config import override
from pipeline.display.text import lines as lines_of
from pipeline.errors import ConfigError
from pipeline.store.reader import FeatureCache
from tests.tiny_cache import tiny_cache
from trainer import batches
from trainer.block_reading import ClipSource
from trainer.class_balance import drawing_shares
from trainer.clip_loading import load_clips
from trainer.losses import loss_names, training_loss
from trainer.model import FeatureShape, OusModel
from trainer.optim import step
from trainer.presets import preset, smoke
from trainer.prompts import ClassPrompts, load_text_tower
from trainer.scalars import Scalars, ScalarTable
from trainer.steps import GraphedSteps, PlainSteps, TrainState, steps_of
from trainer.targets import ClassLoss, training_targets
from trainer.training import train

CPU = torch.device("cpu")
SMALL = ["optim.batch_size=5", "optim.warmup_steps=0", "model.dropout=0.1"]

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tiny_cache(tmp_path_factory.mktemp("cache") / "feats.zarr")


def made(path, config, device=CPU):
    """A state with fresh weights, and all clips of the cache."""
    torch.manual_seed(3)
    with FeatureCache.open(path) as cache:
        model = OusModel(config, FeatureShape.of(cache.meta)).to(device)
        tower = load_text_tower(cache.meta, config.prompts, device)
        prompts = ClassPrompts(config.prompts, len(cache.meta.class_names), tower.width).to(device)
        data = load_clips(cache, np.arange(cache.meta.num_clips), config, device)
        clips = ClipSource.of(cache, np.arange(cache.meta.num_clips), config)
        target_NC, _ = training_targets([clips], config, len(cache.meta.class_names))
        share_N = drawing_shares(clips.label_N, config.data.sampling)
        class_loss = ClassLoss.of(config, share_N, target_NC, device)
    model.train()
    return TrainState.of(config, model, prompts, tower, class_loss), data


def epochs(take, data, config, count):
    """The numbers of every step of some epochs, whose last batch is short."""
    generator = torch.Generator().manual_seed(7)
    torch.manual_seed(11)
    numbers = []
    for epoch in range(count):
        places = torch.arange(len(data.label_N))
        for batch in data.training_batches(places, config.optim.batch_size, True, generator):
            numbers.append(take(batch, 1e-3 / (epoch + 1)))
    return ScalarTable.of(numbers).values_NX


class Tape:
    """Stands for a CUDA graph: takes the step when it is replayed, not when it is captured."""

    def __init__(self):
        self.captured = self.replayed = 0

    def capture(self, take):
        self.captured += 1
        names = ("loss", *loss_names(), "gated_share", "right")
        scalars = Scalars(names, torch.full((len(names),), float("nan")))

        def replay():
            self.replayed += 1
            taken = take()
            assert taken.names == names
            scalars.values_X.copy_(taken.values_X)

        return replay, scalars


def test_replayed_steps_are_the_plain_ones_to_the_bit(path):
    config = override(smoke(), [*SMALL, "optim.batch_size=13"])
    plain, data = made(path, config)
    expected = epochs(PlainSteps(plain), data, config, 3)
    graphed, data = made(path, config)
    tape = Tape()
    assert torch.equal(epochs(GraphedSteps(graphed, tape.capture), data, config, 3), expected)
    whole, rest = divmod(len(data.label_N), config.optim.batch_size)
    assert rest, "the last batch of an epoch is to be short"
    assert (tape.captured, tape.replayed) == (1, 3 * whole - 3)
    for ours, theirs in zip(graphed.parameters, plain.parameters, strict=True):
        assert torch.equal(ours, theirs)


def test_a_step_gives_its_losses_the_gate_and_the_clips_it_named_by_name(path):
    config = override(smoke(), [*SMALL, "model.dropout=0"])
    state, data = made(path, config)
    (batch, *_) = data.training_batches(torch.arange(5), 5, False, torch.Generator())
    with torch.no_grad():
        outputs = state.model(batch, state.prompts(state.tower))
        losses = training_loss(outputs, batch.label_B, batch.polarity_B, config)
    assert list(losses.parts) == ["contrast", "similarity", "polarity"]
    expected = {"loss": float(losses.loss)} | {name: float(value) for name, value in losses.parts.items()}
    expected["gated_share"] = float(losses.is_global)
    expected["right"] = float((outputs.logits_BC.argmax(dim=1) == batch.label_B).sum())
    found = state.step(batch)
    assert {name: float(found[name]) for name in found.names} == pytest.approx(expected, rel=1e-5)


def test_a_rate_set_later_reaches_the_replayed_steps(path):
    config = override(smoke(), SMALL)
    state, data = made(path, config)
    take = GraphedSteps(state, Tape().capture)
    batches = list(data.training_batches(torch.arange(20), 5, False, torch.Generator()))
    for batch in batches:
        take(batch, 1e-3)
    before = [parameter.detach().clone() for parameter in state.parameters]
    take(batches[0], 0.0)
    assert all(torch.equal(*pair) for pair in zip(before, state.parameters, strict=True))


def test_a_graphed_step_marks_its_parts_then_the_capture_and_each_replay(path):
    config = override(smoke(), SMALL)
    state, data = made(path, config)
    take = GraphedSteps(state, Tape().capture)
    (batch, *_) = data.training_batches(torch.arange(5), 5, False, torch.Generator())
    marks = [[] for _ in range(5)]
    for heard in marks:
        take(batch, 1e-3, heard.append)
    assert marks[:3] == [PARTS[1:]] * 3
    assert marks[3:] == [["capture", "step, replayed"], ["step, replayed"]]


READINGS = [
    [],
    ["model.lstm=type", "model.tfe_form=literal"],
    ["model.tfe_keys=crossed"],
    ["model.tfe_tokens=frames"],
    ["model.tfe=false", "losses.terms=contrast"],
    ["losses.contrast=batch", "losses.similarity=per_sample", "losses.gate=total"],
    ["losses.contrast=streams", "losses.reduction=sum"],
    ["prompts.context=class_specific"],
    ["model.scene=false", "model.polarity=false"],
    ["losses.class_weights=effective", "losses.logit_adjustment=1", "losses.label_smoothing=0.1"],
]


@pytest.fixture
def pretended_cuda(monkeypatch):
    """Tensors without values, which may say that they lie on a GPU; operations that mix devices fail."""
    monkeypatch.delattr(batches, "_page_locked")  # nothing is to be fetched from the host
    with FakeTensorMode(allow_non_fake_inputs=True) as mode, torch.backends.cudnn.flags(enabled=False):
        yield mode


def moved(data, mode):
    """The clips' data on the device that `--device cuda` means: without a number, unlike a tensor's own."""
    values = {item.name: getattr(data, item.name) for item in fields(data)}
    there = {
        name: mode.from_tensor(value).to("cuda") for name, value in values.items() if torch.is_tensor(value)
    }
    return replace(data, **there, device=torch.device("cuda"))


def on_cuda(name, changes):
    """A preset with a reading: the smoke preset's readings, which are built of the same parts, are slow."""
    marks = [pytest.mark.slow] if name == "smoke" and changes else []
    return pytest.param(name, changes, id="-".join([name, " ".join(changes)]), marks=marks)


@pytest.mark.parametrize(
    ("name", "changes"), [on_cuda(name, changes) for name in ("smoke", "paper") for changes in READINGS]
)
def test_a_step_on_cuda_mixes_no_devices_and_looks_at_no_data(path, name, changes, pretended_cuda):
    """A look at the data from Python would make a step that no graph can hold: here there is none to see."""
    config = override(preset(name), [*SMALL, "model.precision=fp32", "prompts.length=4", *changes])
    config = override(config, ["model.tfe_blocks=2"])
    with unset_fake_temporarily():
        state, data = made(path, config)
        tower = deepcopy(state.tower)
    model, prompts, tower = (part.to("cuda") for part in (state.model, state.prompts, tower))
    data = moved(data, pretended_cuda)
    (batch, *_) = data.training_batches(torch.arange(5), 5, False, torch.Generator())
    class_term = None
    if state.class_loss is not None:
        on_device = {
            name: pretended_cuda.from_tensor(getattr(state.class_loss, name)).to("cuda")
            for name in ("weight_C", "prior_C")
        }
        class_term = partial(replace(state.class_loss, **on_device), batch=batch)
    losses = training_loss(model(batch, prompts(tower)), batch.label_B, batch.polarity_B, config, class_term)
    assert losses.loss.shape == ()
    assert losses.loss.device == torch.device("cuda", 0)
    state = TrainState.of(config, model, prompts, tower)
    for parameter in state.parameters:
        assert parameter.device == torch.device("cuda", 0)
        parameter.grad = torch.zeros_like(parameter)
    step(state.optimizer, state.parameters, clip_norm=1.0)
    (last, *_) = data.evaluation_batches(torch.arange(5), 5)
    assert model.eval()(last, state.class_features()).logits_BC.device == torch.device("cuda", 0)


def test_graphs_without_cuda_are_refused_before_anything_is_written(path, tmp_path):
    config = override(smoke(), ["optim.graphed=true"])
    state, _ = made(path, config)
    with pytest.raises(ConfigError, match="graphed is true, but the run is on 'cpu'; graphs need CUDA"):
        steps_of(state, CPU)
    with pytest.raises(ConfigError, match="graphs need CUDA"):
        train(path, tmp_path / "run", config, device="cpu")
    assert not (tmp_path / "run").exists()


PARTS = ["batch", "text tower", "model", "losses", "model, backward", "text tower, backward", "Adam"]


def test_a_profile_tells_every_part_and_changes_no_number(path, tmp_path):
    config = override(smoke(), [*SMALL, "schedule.max_epochs=2"])
    plain = train(path, tmp_path / "plain", config, device="cpu")
    timed = train(path, tmp_path / "timed", config, device="cpu", profile=True)
    assert (timed.run_dir / "best.safetensors").read_bytes() == (
        plain.run_dir / "best.safetensors"
    ).read_bytes()
    profile = timed.profile
    assert plain.profile is None
    assert not (plain.run_dir / "profile.json").exists()
    assert list(profile.parts) == PARTS
    assert all(seconds > 0 for seconds in profile.parts.values())
    assert list(profile.once) == [
        "loading the text tower", "reading the cache", "validation", "saving the run",
    ]  # fmt: skip
    assert profile.num_steps == timed.num_steps - 3
    assert (timed.run_dir / "profile.json").is_file()
    assert sum("%" in line for line in lines_of(profile)) == len(PARTS)


def test_a_run_too_short_for_a_profile_says_so(path, tmp_path):
    config = override(smoke(), [*SMALL, "schedule.max_steps=2"])
    profile = train(path, tmp_path / "run", config, device="cpu", profile=True).profile
    assert lines_of(profile) == ["no profile: the run had no more than 3 steps, which are not timed"]


@pytest.mark.gpu
@pytest.mark.parametrize("changes", READINGS, ids=" ".join)
def test_every_reading_learns_in_a_graph_as_it_is_by_default(path, changes):
    """bfloat16 and dropout, whose random numbers must differ from replay to replay."""
    device = torch.device("cuda")
    config = override(smoke(), [*SMALL, "optim.graphed=true", "model.dropout=0.5", *changes])
    state, data = made(path, config, device)
    take = steps_of(state, device)
    (batch, *_) = data.training_batches(torch.arange(5), 5, False, torch.Generator())
    losses = [float(take(batch, 0.0)["loss"]) for _ in range(8)]
    assert len(set(losses)) == len(losses)
    numbers = epochs(take, data, config, 6)
    assert float(numbers[-5:, 0].mean()) < float(numbers[:5, 0].mean())


@pytest.mark.gpu
def test_graphed_steps_learn_what_plain_ones_learn_on_cuda(path):
    device = torch.device("cuda")
    config = override(smoke(), [*SMALL, "model.dropout=0", "model.precision=fp32", "prompts.precision=fp32"])
    plain, data = made(path, config, device)
    expected = epochs(PlainSteps(plain), data, config, 3)
    graphed_config = override(config, ["optim.graphed=true"])
    graphed, data = made(path, graphed_config, device)
    found = epochs(steps_of(graphed, device), data, graphed_config, 3)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)

from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from pipeline.errors import ConfigError, WeightsError
from tests.tiny_cache import tiny_meta
from tests.tiny_clip import modest_clip, small_clip
from trainer.config import PromptConfig
from trainer.prompts import ClassPrompts, TextTower, forget_text_towers, load_text_tower

NAMES = ("happiness", "sadness", "anger", "helplessness", "state of disappointment")
M = 4


def full_tower(model, tokenize, names, context):
    """open_clip's own encode_text over all 77 positions, the context in place of M dummy words."""
    tokens = tokenize([" ".join(["x"] * M + [name]) for name in names])
    model = deepcopy(model)
    model.token_embedding.register_forward_hook(
        lambda _module, _tokens, embedded: torch.cat(
            [embedded[:, :1], context.expand(len(names), -1, -1), embedded[:, 1 + M :]], dim=1
        )
    )
    return model.encode_text(tokens, normalize=True)


@pytest.fixture(scope="module")
def context():
    return 0.02 * torch.randn(
        M, small_clip().model.ln_final.weight.shape[0], generator=torch.Generator().manual_seed(1)
    )


def features_and_gradient(forward, context):
    context = context.clone().requires_grad_()
    features = forward(context)
    weights = torch.randn(features.shape, generator=torch.Generator().manual_seed(2)).to(features.dtype)
    (gradient,) = torch.autograd.grad((features * weights).sum(), context)
    return features.detach(), gradient


def both_towers(clip, context):
    """Features and gradients of the cut tower, and of open_clip's encode_text."""
    cut = features_and_gradient(TextTower(clip, NAMES, M), context)
    full = features_and_gradient(lambda c: full_tower(clip.model, clip.tokenize, NAMES, c), context)
    return *cut, *full


def relative_error(value, truth):
    return float((value - truth).norm() / truth.norm())


@pytest.mark.parametrize("per_class", [False, True])
def test_cut_tower_is_exactly_the_full_encode_text(context, per_class):
    clip = replace(small_clip(), model=deepcopy(small_clip().model).double())
    context = context.double()
    if per_class:
        context = context + torch.linspace(0, 0.1, len(NAMES), dtype=torch.float64)[:, None, None]
    features, gradient, full, full_gradient = both_towers(clip, context)
    assert relative_error(features, full) < 1e-12
    assert relative_error(gradient, full_gradient) < 1e-12


@pytest.mark.slow
def test_cut_tower_in_float32_rounds_no_worse_than_the_full_one(context):
    features, gradient, full, full_gradient = both_towers(small_clip(), context)
    exact = replace(small_clip(), model=deepcopy(small_clip().model).double())
    _, true_gradient, _, _ = both_towers(exact, context.double())
    assert (features - full).abs().max() < 4e-7
    assert relative_error(gradient, true_gradient) < 1.5 * relative_error(full_gradient, true_gradient) < 3e-6


def test_tower_is_cut_right_after_the_longest_end_token(context):
    tower = TextTower(small_clip(), ("sad", "happy"), M)
    assert tower.position_AW.shape[0] == 1 + M  # start token and context
    assert tower.name_CEW.shape[:2] == (2, 1 + 1)  # class name and end token
    assert torch.equal(tower.eot_C, torch.tensor([1, 1]))


def test_a_shared_context_goes_through_the_tower_once(context):
    """What is before the class name is the same for all classes: 1 + M tokens, not C times as many."""
    tower, tokens = TextTower(small_clip(), NAMES, M), []
    tower.blocks[0].mlp.register_forward_hook(lambda _module, given, _out: tokens.append(given[0].shape[0]))
    tower(context)
    tower(context.expand(len(NAMES), -1, -1))
    names = tower.name_CEW.shape[1] * len(NAMES)
    assert tokens == [1 + M + names, len(NAMES) * (1 + M) + names]


def test_tower_holds_no_vocabulary_and_nothing_to_train():
    clip = small_clip()
    tower = TextTower(clip, NAMES, M)
    sizes = [tensor.numel() for tensor in [*tower.parameters(), *tower.buffers()]]
    assert max(sizes) < clip.model.token_embedding.weight.numel() / 10
    assert not any(parameter.requires_grad for parameter in tower.parameters())


def test_features_have_length_one_and_follow_the_order_of_the_names(context):
    forward = TextTower(small_clip(), NAMES, M)(context)
    backward = TextTower(small_clip(), NAMES[::-1], M)(context)
    torch.testing.assert_close(forward.norm(dim=1), torch.ones(len(NAMES)))
    torch.testing.assert_close(forward, backward.flip(0), rtol=0, atol=4e-7)


def test_underscores_in_class_names_read_as_blanks(context):
    assert torch.equal(
        TextTower(small_clip(), ("state_of_fear",), M)(context),
        TextTower(small_clip(), ("state of fear",), M)(context),
    )


@pytest.mark.parametrize(("kind", "shape"), [("shared", (M, 384)), ("class_specific", (3, M, 384))])
def test_contexts_have_their_shape_and_deviation(kind, shape):
    torch.manual_seed(0)
    prompts = ClassPrompts(PromptConfig(length=M, context=kind), 3, 384)
    assert prompts.context.shape == shape
    assert float(prompts.context.detach().std()) == pytest.approx(0.02, rel=0.1)


def test_class_specific_contexts_train_only_their_own_class():
    tower = TextTower(small_clip(), ("happy", "sad"), M)
    prompts = ClassPrompts(PromptConfig(length=M, context="class_specific"), 2, tower.width)
    prompts(tower)[0].sum().backward()
    assert prompts.context.grad[0].abs().sum() > 0
    assert prompts.context.grad[1].abs().sum() == 0


def test_bfloat16_tower_is_close(context):
    exact = TextTower(small_clip(), NAMES, M)(context)
    rounded = TextTower(small_clip(), NAMES, M).to(torch.bfloat16)(context)
    assert rounded.dtype == torch.float32
    assert float((exact * rounded).sum(dim=1).min()) > 0.999


def test_prompts_that_do_not_fit_are_refused_with_the_longest_that_does():
    with pytest.raises(
        ConfigError, match=r"prompts.length is 75.*'sad' a prompt has 78.*prompts.length up to 74\."
    ):
        TextTower(small_clip(), ("sad",), 75)
    TextTower(small_clip(), ("sad",), 74)


def test_tower_of_the_caches_own_weights_is_loaded():
    forget_text_towers()
    tower = load_text_tower(tiny_meta(), PromptConfig(length=M), torch.device("cpu"))
    assert tower.position_AW.dtype == torch.float32


def test_another_tower_is_refused_with_both_hashes():
    meta = tiny_meta(text_sha256="0" * 64)
    with pytest.raises(
        WeightsError, match=rf"sha256 {modest_clip().text_sha256}, but this cache was made with 0{{64}}"
    ):
        load_text_tower(meta, PromptConfig(length=M), torch.device("cpu"))


def test_random_tower_of_another_seed_is_refused():
    meta = tiny_meta(config={"encoder": {"seed": 1}})
    with pytest.raises(WeightsError, match="give the weights that made it with --encoder-weights"):
        load_text_tower(meta, PromptConfig(length=M), torch.device("cpu"))


def test_the_next_run_of_a_grid_gets_the_same_tower(monkeypatch):
    forget_text_towers()
    ours, cpu = PromptConfig(length=M), torch.device("cpu")
    first = load_text_tower(tiny_meta(), ours, cpu)
    loads = []
    monkeypatch.setattr(
        "trainer.prompts.load_text_encoder", lambda encoder: loads.append(encoder) or modest_clip()
    )
    assert load_text_tower(tiny_meta(), PromptConfig(length=M, init_std=0.5), cpu) is first
    assert not loads
    load_text_tower(tiny_meta(), PromptConfig(length=M + 1), cpu)
    load_text_tower(tiny_meta(), PromptConfig(length=M, precision="bf16"), cpu)
    assert len(loads) == 2

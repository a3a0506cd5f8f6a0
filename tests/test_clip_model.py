from pathlib import Path

import pytest
import torch

from pipeline.clip_model import (
    CLIP_MEAN,
    CLIP_STD,
    EncoderConfig,
    LoadedClip,
    load_clip_model,
    sha256_tensors,
)
from pipeline.errors import ConfigError
from tests.tiny_clip import tiny_clip, tiny_model


def load(weights: str | Path, name: str | None = None, seed: int = 7) -> LoadedClip:
    return load_clip_model(EncoderConfig(name=name or tiny_model(), weights=str(weights), seed=seed))


# Random weights and their hashes


def test_random_weights_follow_the_seed_alone():
    before = torch.get_rng_state()
    one, same, other = load("random", seed=1), load("random", seed=1), load("random", seed=2)
    assert one.visual_sha256 == same.visual_sha256
    assert one.text_sha256 == same.text_sha256
    assert one.visual_sha256 != other.visual_sha256
    assert one.text_sha256 != other.text_sha256
    assert torch.equal(torch.get_rng_state(), before), "loading leaves the caller's generator alone"


def test_loading_seeds_no_gpu(monkeypatch):
    """Its generator is the training's, and what is drawn from it is not to depend on who loaded what."""
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda _: pytest.fail("the GPUs were seeded"))
    load("random")


def test_the_model_is_frozen_float32_in_evaluation_mode():
    clip = tiny_clip()
    assert not clip.model.training
    assert all(not p.requires_grad and p.dtype == torch.float32 for p in clip.model.parameters())


def test_a_loaded_clip_tells_its_sizes():
    clip = tiny_clip()
    assert (clip.picture_side_px, clip.embed_width, clip.encoder_width, clip.num_patches) == (64, 16, 32, 256)
    assert (clip.mean, clip.std) == (CLIP_MEAN, CLIP_STD)


def test_texts_become_tokens_up_to_the_end_token():
    tokens = tiny_clip().tokenize(["happiness", "a face"])
    assert tokens.shape == (2, 77)
    assert (tokens[:, 0] == 49406).all()
    assert tokens.argmax(dim=1).tolist() == [2, 3], "one word, and two, between the start and the end token"
    assert tokens[0, 2] == 49407
    assert tokens[0, 3:].sum() == 0


def test_a_hash_depends_on_names_shapes_and_values_only():
    a = torch.arange(6, dtype=torch.float32)
    assert sha256_tensors({"a": a, "b": a}) == sha256_tensors({"b": a.clone(), "a": a.half()})
    different = [{"a": a}, {"b": a}, {"a": a.view(2, 3)}, {"a": a + 1}]
    assert len({sha256_tensors(tensors) for tensors in different}) == len(different)


# Which models


@pytest.mark.parametrize(
    "name",
    [
        "ViT-B-16-SigLIP",
        "ViT-L-16-SigLIP2-256",
        "coca_ViT-L-14",
        "coca_roberta-ViT-B-32",
        "RN50",
        "convnext_base",
        "EVA02-L-14",
        "ViT-L-14-CLIPA",
        "ViT-H-14-worldwide",
        "xlm-roberta-base-ViT-B-32",
        "nllb-clip-base",
        "MobileCLIP-B",
        "PE-Core-L-14-336",
    ],
)
def test_models_of_another_class_are_refused_before_anything_is_built(name):
    with pytest.raises(ConfigError, match=f"encoder.name is '{name}', which is not a CLIP-class model"):
        EncoderConfig(name=name)


@pytest.mark.parametrize(
    "name", ["ViT-L-14-quickgelu", "ViT-L-14", "ViT-B-32", "ViT-H-14", "ViT-bigG-14", "ViT-S-16"]
)
def test_clips_own_models_are_allowed(name):
    assert EncoderConfig(name=name).name == name


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"name": "ViT-L-15"},
            "encoder.name is 'ViT-L-15'; allowed: CLIP-class models of open_clip, such as ViT-L-14-q",
        ),
        ({"seed": -1}, "encoder.seed is -1"),
    ],
)
def test_config_is_checked(values, message):
    with pytest.raises(ConfigError, match=message):
        EncoderConfig(**values)

"""CLIP models of a few thousand weights, by names that open_clip then knows, and a small real one."""

from functools import cache
from pathlib import Path

from open_clip import factory

from pipeline.clip_model import EncoderConfig, LoadedClip, load_clip_model
from tests import modest

PYTHONPATH = f"{Path(__file__).parent / 'known_models'}:{Path(__file__).parents[1]}"
"""By which processes of their own know `modest_model`."""


def tiny_model(patches: int = 16, quick_gelu: bool = False, layers: int = 5) -> str:
    """Name of a model whose pictures have patches x patches patches of 4 pixels; D = 32, F = 16."""
    name = f"tiny-{patches}-{layers}" + ("-quickgelu" if quick_gelu else "")
    factory._MODEL_CONFIGS[name] = {
        "embed_dim": 16,
        "quick_gelu": quick_gelu,
        "vision_cfg": {
            "image_size": 4 * patches,
            "patch_size": 4,
            "layers": layers,
            "width": 32,
            "head_width": 16,
        },
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 1, "layers": 1},
    }
    return name


@cache
def tiny_clip(patches: int = 16, seed: int = 0) -> LoadedClip:
    """The model with random weights."""
    return load_clip_model(EncoderConfig(name=tiny_model(patches), weights="random", seed=seed))


def modest_model() -> str:
    """Name of the model of `tests.modest`, known to this process from now on."""
    factory._MODEL_CONFIGS[modest.NAME] = modest.ARCHITECTURE
    return modest.NAME


@cache
def modest_clip() -> LoadedClip:
    """The model with random weights: the encoder of the tiny cache and of the small clips."""
    return load_clip_model(EncoderConfig(name=modest_model(), weights="random", seed=0))


@cache
def small_clip() -> LoadedClip:
    """open_clip's smallest model with random weights, where widths and depths must be those of a real one."""
    return load_clip_model(EncoderConfig(name="ViT-S-32", weights="random", seed=0))

"""Files of the tiny model's weights in open_clip's and in transformers' form, and tags of it."""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import open_clip
import pytest
import safetensors.torch
import torch
from open_clip.pretrained import _PRETRAINED

from pipeline.clip_model import CLIP_MEAN, CLIP_STD, EncoderConfig, LoadedClip, load_clip_model
from pipeline.clip_model.architecture import activation_of
from tests.tiny_clip import tiny_clip, tiny_model


def load(weights: str | Path, name: str | None = None, seed: int = 7, **stated: Any) -> LoadedClip:
    """The model with these weights; for a file, activation, mean and std are stated unless some are given."""
    name = name or tiny_model()
    if isinstance(weights, Path) and not stated:
        stated = {"activation": activation_of(name), "mean": CLIP_MEAN, "std": CLIP_STD}
    return load_clip_model(EncoderConfig(name=name, weights=str(weights), seed=seed, **stated))


def load_bare(path: Path, name: str | None = None, **stated: Any) -> LoadedClip:
    """The model with the weights of a file of which nothing is stated but what is given."""
    return load_clip_model(EncoderConfig(name=name or tiny_model(), weights=str(path), **stated))


def state() -> dict[str, torch.Tensor]:
    """The tensors of the tiny model."""
    return dict(tiny_clip().model.state_dict())


def saved(folder: Path, content: object, name: str = "weights.pt") -> Path:
    """A file of torch.save."""
    torch.save(content, folder / name)
    return folder / name


def publish(monkeypatch: pytest.MonkeyPatch, tag: str, **cfg: object) -> None:
    """Let open_clip know a tag of the tiny model."""
    published = {"mean": CLIP_MEAN, "std": CLIP_STD} | cfg
    monkeypatch.setitem(_PRETRAINED, tiny_model(), {tag: published})
    monkeypatch.setitem(_PRETRAINED, tiny_model(quick_gelu=True), {tag: published})


def write_open_clip_config(folder: Path, name: str, images: object, **model_changes: object) -> Path:
    """The config that open_clip puts beside its files on the hub."""
    model = open_clip.get_model_config(name) | model_changes
    path = folder / "open_clip_config.json"
    path.write_text(json.dumps({"model_cfg": model, "preprocess_cfg": images}))
    return path


LAYERS, WIDTH, HEADS, EMBEDDED = 5, 32, 2, 16
"""Of the tiny model's vision tower; its text tower has one layer of one head, 16 wide."""


def transformers_state(seed: int = 0) -> dict[str, torch.Tensor]:
    """Random tensors in the shapes of the tiny model, under the names that transformers gives them."""
    random = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return 0.3 * torch.randn(*shape, generator=random)

    held = {
        "logit_scale": torch.tensor(2.6),
        "text_projection.weight": draw(EMBEDDED, 16),
        "visual_projection.weight": draw(EMBEDDED, WIDTH),
        "text_model.embeddings.token_embedding.weight": draw(49408, 16),
        "text_model.embeddings.position_embedding.weight": draw(77, 16),
        "text_model.embeddings.position_ids": torch.arange(77)[None],
        "vision_model.embeddings.class_embedding": draw(WIDTH),
        "vision_model.embeddings.patch_embedding.weight": draw(WIDTH, 3, 4, 4),
        "vision_model.embeddings.position_embedding.weight": draw(257, WIDTH),
        "vision_model.embeddings.position_ids": torch.arange(257)[None],
    }
    norms = {"vision_model.pre_layrnorm": WIDTH, "vision_model.post_layernorm": WIDTH}
    norms["text_model.final_layer_norm"] = 16
    for tower, layers, width in (("text_model", 1, 16), ("vision_model", LAYERS, WIDTH)):
        for layer in range(layers):
            block = f"{tower}.encoder.layers.{layer}"
            norms |= {f"{block}.layer_norm1": width, f"{block}.layer_norm2": width}
            linear = {f"self_attn.{part}_proj": (width, width) for part in ("q", "k", "v", "out")}
            linear |= {"mlp.fc1": (4 * width, width), "mlp.fc2": (width, 4 * width)}
            for module, shape in linear.items():
                held[f"{block}.{module}.weight"] = draw(*shape)
                held[f"{block}.{module}.bias"] = draw(shape[0])
    for module, width in norms.items():
        held |= {f"{module}.weight": 1 + draw(width), f"{module}.bias": draw(width)}
    return held


def transformers_config(activation: str = "gelu", **changes: object) -> dict[str, Any]:
    """The config.json of transformers for the tiny model."""
    vision = {"hidden_size": WIDTH, "intermediate_size": 128, "num_hidden_layers": LAYERS}
    vision |= {"num_attention_heads": HEADS, "image_size": 64, "patch_size": 4, "hidden_act": activation}
    text = {"hidden_size": 16, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1}
    text |= {"hidden_act": activation}
    config = {"model_type": "clip", "projection_dim": EMBEDDED, "vision_config": vision, "text_config": text}
    return config | changes


def write_transformers(
    folder: Path, config: Mapping[str, Any] | None = None, images: Mapping[str, Any] | None = None
) -> Path:
    """A directory as transformers saves its CLIP; returns the file of the tensors."""
    folder.mkdir(exist_ok=True)
    safetensors.torch.save_file(transformers_state(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config or transformers_config()))
    stated = images or {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4], "do_normalize": True}
    (folder / "preprocessor_config.json").write_text(json.dumps(stated))
    return folder / "model.safetensors"


class Holder(torch.nn.Module):
    """Named tensors as a module, so that they can be traced into an archive."""

    def __init__(self, tensors: dict[str, torch.Tensor]) -> None:
        super().__init__()
        for name, value in tensors.items():
            module = self
            *way, last = name.split(".")
            for part in way:
                if not hasattr(module, part):
                    module.add_module(part, torch.nn.Module())
                module = getattr(module, part)
            module.register_buffer(last, value)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def scripted_archive(folder: Path) -> Path:
    """The tiny model's weights in half precision, with OpenAI's three further numbers, as TorchScript."""
    tensors = {k: v.half() for k, v in state().items()}
    tensors |= {name: torch.tensor(64) for name in ("input_resolution", "context_length", "vocab_size")}
    path = folder / "Tiny.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(Holder(tensors), torch.zeros(1)).save(str(path))
    return path

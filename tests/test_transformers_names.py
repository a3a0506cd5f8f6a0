"""Files of transformers' CLIP give the features of its forward pass, which is written out here."""

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch.nn import functional

from pipeline.clip_model.transformers_names import is_transformers, renamed
from pipeline.errors import WeightsError
from tests.clip_files import (
    HEADS,
    LAYERS,
    WIDTH,
    load_bare,
    saved,
    state,
    transformers_config,
    transformers_state,
    write_transformers,
)
from tests.tiny_clip import tiny_model

# transformers' CLIP, by its own names


def linear(held, name, x):
    return functional.linear(x, held[f"{name}.weight"], held.get(f"{name}.bias"))


def norm(held, name, x):
    return functional.layer_norm(x, x.shape[-1:], held[f"{name}.weight"], held[f"{name}.bias"], 1e-5)


def activated(x, activation):
    return x * torch.sigmoid(1.702 * x) if activation == "quick_gelu" else functional.gelu(x)


def attended(held, block, x, heads, mask):
    n, length, width = x.shape

    def split(letter):
        parts = linear(held, f"{block}.self_attn.{letter}_proj", x)
        return parts.view(n, length, heads, width // heads).transpose(1, 2)

    query, key, value = split("q"), split("k"), split("v")
    scores = query @ key.transpose(2, 3) / (width // heads) ** 0.5 + mask
    mixed = (scores.softmax(dim=-1) @ value).transpose(1, 2).reshape(n, length, width)
    return linear(held, f"{block}.self_attn.out_proj", mixed)


def through(held, tower, x, layers, heads, activation, mask):
    for layer in range(layers):
        block = f"{tower}.encoder.layers.{layer}"
        x = x + attended(held, block, norm(held, f"{block}.layer_norm1", x), heads, mask)
        hidden = activated(
            linear(held, f"{block}.mlp.fc1", norm(held, f"{block}.layer_norm2", x)), activation
        )
        x = x + linear(held, f"{block}.mlp.fc2", hidden)
    return x


def image_features(held, images, activation):
    weight = held["vision_model.embeddings.patch_embedding.weight"]
    patches = functional.conv2d(images, weight, stride=4).flatten(2).transpose(1, 2)
    first = held["vision_model.embeddings.class_embedding"].expand(len(images), 1, WIDTH)
    x = torch.cat([first, patches], dim=1) + held["vision_model.embeddings.position_embedding.weight"]
    x = norm(held, "vision_model.pre_layrnorm", x)
    x = through(held, "vision_model", x, LAYERS, HEADS, activation, torch.zeros(()))
    return linear(held, "visual_projection", norm(held, "vision_model.post_layernorm", x[:, 0]))


def text_features(held, tokens, activation):
    positions = held["text_model.embeddings.position_embedding.weight"]
    x = held["text_model.embeddings.token_embedding.weight"][tokens] + positions
    mask = torch.full((77, 77), float("-inf")).triu(1)
    x = norm(held, "text_model.final_layer_norm", through(held, "text_model", x, 1, 1, activation, mask))
    return linear(held, "text_projection", x[torch.arange(len(tokens)), tokens.argmax(dim=1)])


@torch.inference_mode()
@pytest.mark.parametrize(
    ("activation", "quick_gelu"), [("gelu", False), ("quick_gelu", True)], ids=["gelu", "quickgelu"]
)
@pytest.mark.parametrize("given", ["file", "directory"])
def test_a_directory_of_transformers_gives_its_features(tmp_path, activation, quick_gelu, given):
    path = write_transformers(tmp_path / "clip", transformers_config(activation))
    clip = load_bare(path if given == "file" else path.parent, tiny_model(quick_gelu=quick_gelu))
    held = transformers_state()
    images = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    tokens = clip.tokenize(["a happy face", "anger"])
    torch.testing.assert_close(
        clip.model.encode_image(images), image_features(held, images, activation), rtol=1e-4, atol=1e-4
    )
    torch.testing.assert_close(
        clip.model.encode_text(tokens), text_features(held, tokens, activation), rtol=1e-4, atol=1e-4
    )
    assert (clip.mean, clip.std) == ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    other = image_features(held, images, "gelu" if quick_gelu else "quick_gelu")
    assert (clip.model.encode_image(images) - other).abs().max() > 1e-2, "the activation is seen"


def test_every_tensor_has_its_place_and_none_is_left():
    names = renamed(transformers_state())
    assert names.keys() == state().keys()
    assert {name: value.shape for name, value in names.items()} == {
        name: value.shape for name, value in state().items()
    }
    assert is_transformers(transformers_state())
    assert not is_transformers(state())


def test_tensors_of_another_model_keep_their_names():
    odd = {
        "vision_model.head.probe": torch.zeros(1),
        "text_model.encoder.layers.0.self_attn.q_proj.weight": 1,
    }
    assert renamed(odd).keys() == odd.keys()


def test_another_models_tensors_are_refused_by_their_form(tmp_path):
    path = write_transformers(tmp_path / "clip")
    held = transformers_state() | {"vision_model.head.probe": torch.zeros(1)}
    del held["logit_scale"]
    safetensors.torch.save_file(held, path)
    with pytest.raises(
        WeightsError,
        match=r"model.safetensors' holds CLIP's weights in transformers' names and does not hold weights of "
        r"tiny-16-5: 1 of its 86 tensors are missing, such as logit_scale; 1 are unknown to it, such as vis",
    ):
        load_bare(path)


def test_an_older_file_of_torch_is_read_too(tmp_path):
    path = write_transformers(tmp_path / "clip")
    path.unlink()
    saved(path.parent, transformers_state(), "pytorch_model.bin")
    assert load_bare(path.parent).visual_sha256 == load_bare(path.parent / "pytorch_model.bin").visual_sha256


# Weights in several files


@pytest.fixture
def split(tmp_path: Path) -> Path:
    """The index of a directory in which the tensors are in two files."""
    path = write_transformers(tmp_path / "clip")
    path.unlink()
    held = transformers_state()
    files = {name: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, name in enumerate(held)}
    for file in set(files.values()):
        safetensors.torch.save_file({n: held[n] for n, f in files.items() if f == file}, path.parent / file)
    index = path.parent / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": files}))
    return index


def test_weights_in_several_files_are_read_by_their_index(split, tmp_path):
    whole = load_bare(write_transformers(tmp_path / "whole"))
    assert load_bare(split).visual_sha256 == whole.visual_sha256
    assert load_bare(split.parent).text_sha256 == whole.text_sha256


def test_one_file_of_several_is_named_as_such(split):
    with pytest.raises(WeightsError, match=r"missing, .*\. It is one of several files: give their index\.$"):
        load_bare(split.parent / "model-00001-of-00002.safetensors")


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (
            {"weight_map": {"a": "gone.safetensors"}},
            "names 'gone.safetensors', which must be",
        ),
        (
            {"weight_map": {"a": "../up.safetensors"}},
            "names '../up.safetensors', which must be",
        ),
        ({"weight_map": {}}, "names no file, which must be files beside it"),
        ({}, "is not an index of weight files"),
        ([], "is not an index of weight files"),
    ],
)
def test_an_index_that_names_no_files_beside_it_is_refused(split, index, message):
    (split.parent.parent / "up.safetensors").write_bytes(b"")
    split.write_text(json.dumps(index))
    with pytest.raises(WeightsError, match=message):
        load_bare(split)

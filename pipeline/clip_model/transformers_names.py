"""Conversion of the names of transformers' CLIP tensors to open_clip's; values do not change.

Letters: D width of an encoder; F width of the embedding of both encoders.
"""

import re
from collections.abc import Mapping

import torch

_TOWERS = {"text_model.": "", "vision_model.": "visual."}
_LAYER = re.compile(r"(text_model\.|vision_model\.)encoder\.layers\.(\d+)\.")
_IN_LAYER = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}
_OUTSIDE = {
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm.weight": "ln_final.weight",
    "text_model.final_layer_norm.bias": "ln_final.bias",
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
    "vision_model.pre_layrnorm.weight": "visual.ln_pre.weight",
    "vision_model.pre_layrnorm.bias": "visual.ln_pre.bias",
    "vision_model.post_layernorm.weight": "visual.ln_post.weight",
    "vision_model.post_layernorm.bias": "visual.ln_post.bias",
}
_TRANSPOSED = {"text_projection.weight": "text_projection", "visual_projection.weight": "visual.proj"}
"""Linear layers [F, D] in transformers, matrices [D, F] in open_clip."""
_QUERY_KEY_VALUE = ("q", "k", "v")
_POSITIONS = ".embeddings.position_ids"
"""Position numbers from 0, which older versions of transformers stored."""


def is_transformers(names: Mapping[str, torch.Tensor]) -> bool:
    """Return whether tensors have transformers' names."""
    return any(name.startswith(tuple(_TOWERS)) for name in names)


def renamed(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors under open_clip's names; tensors that are not of transformers' CLIP keep theirs."""
    left = {name: value for name, value in state.items() if not name.endswith(_POSITIONS)}
    result: dict[str, torch.Tensor] = {}
    for name in list(left):
        module, _, part = name.rpartition(".self_attn.q_proj.")
        names = [name.replace(".q_proj.", f".{letter}_proj.") for letter in _QUERY_KEY_VALUE]
        if (block := _block(f"{module}.")) and all(other in left for other in names):
            result[f"{block}attn.in_proj_{part}"] = torch.cat([left.pop(other) for other in names])
    for name, value in left.items():
        if name in _TRANSPOSED:
            result[_TRANSPOSED[name]] = value.T
        else:
            result[_plain_name(name)] = value
    return result


def _plain_name(name: str) -> str:
    if name in _OUTSIDE:
        return _OUTSIDE[name]
    module, _, part = name.rpartition(".")
    for theirs, ours in _IN_LAYER.items():
        if module.endswith(f".{theirs}") and (block := _block(module.removesuffix(theirs))):
            return f"{block}{ours}.{part}"
    return name


def _block(prefix: str) -> str:
    """Return the name of a block with a full stop at its end; empty for any other prefix."""
    found = _LAYER.fullmatch(prefix)
    return f"{_TOWERS[found[1]]}transformer.resblocks.{found[2]}." if found else ""

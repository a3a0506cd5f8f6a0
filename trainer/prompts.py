"""Learnable prompts (III-C, eq. 11) through CLIP's frozen text tower, cut after the longest end token.

The tower is causal and read only at each prompt's end-of-text token (EOT), so what follows the
longest prompt cannot reach the result: cutting it off is exact, and most of the cost of a step.

Letters: C classes; M context vectors; S positions, up to the longest EOT; W tower width; F
embedding width.
"""

from copy import deepcopy

import torch
from torch import nn
from torch.nn import functional

from pipeline.clip_model import EncoderConfig, LoadedClip, load_clip
from pipeline.errors import CacheError, ConfigError, WeightsError
from pipeline.store.meta import CacheMeta
from trainer.config import PromptConfig
from trainer.model import bf16_on


class TextTower(nn.Module):
    """What the prompts need of a CLIP text tower, frozen: no vocabulary, no positions after the EOT.

    The blocks' own weights are run through fused attention: `nn.MultiheadAttention` falls back to
    a path several times slower when its weights are frozen, and worse so in bfloat16.
    """

    def __init__(self, clip: LoadedClip, class_names: tuple[str, ...], num_context: int) -> None:
        """Keep the tower of `clip` for prompts of `num_context` vectors and a class name each.

        Raises ConfigError when a prompt does not fit the tower's positions.
        """
        super().__init__()
        model = clip.model
        tokens_CX = clip.tokenize([name.replace("_", " ") for name in class_names])
        eot_C = tokens_CX.argmax(dim=1) + num_context
        num_positions = int(eot_C.max()) + 1
        available = model.positional_embedding.shape[0]
        if num_positions > available:
            longest = class_names[int(eot_C.argmax())]
            msg = (
                f"prompts.length is {num_context}, and with class name '{longest}' a prompt has "
                f"{num_positions} tokens; allowed: {available} tokens, so prompts.length up to "
                f"{num_context - num_positions + available}."
            )
            raise ConfigError(msg)
        embedded_CXW = model.token_embedding(tokens_CX).detach()
        rest = num_positions - num_context
        self.width = embedded_CXW.shape[-1]
        self.before_C1W = nn.Buffer(embedded_CXW[:, :1].clone())
        self.after_CRW = nn.Buffer(embedded_CXW[:, 1:rest].clone())
        self.position_SW = nn.Buffer(model.positional_embedding[:num_positions].detach().clone())
        self.eot_C = nn.Buffer(eot_C)
        self.blocks = deepcopy(model.transformer.resblocks)
        self.norm = deepcopy(model.ln_final)
        self.projection_WF = nn.Buffer(_projection(model.text_projection))
        self.requires_grad_(False).eval()

    def forward(self, context: torch.Tensor) -> torch.Tensor:
        """Class features [C, F], of length 1 and at least float32, for a context [M, W] or [C, M, W]."""
        context_CMW = context.expand(len(self.eot_C), -1, -1).to(self.position_SW.dtype)
        x_CSW = torch.cat([self.before_C1W, context_CMW, self.after_CRW], dim=1) + self.position_SW
        for block in self.blocks:
            x_CSW = x_CSW + block.ls_1(_causal_attention(block.attn, block.ln_1(x_CSW)))
            x_CSW = x_CSW + block.ls_2(block.mlp(block.ln_2(x_CSW)))
        end_CW = self.norm(x_CSW[torch.arange(len(self.eot_C), device=x_CSW.device), self.eot_C])
        features_CF = end_CW @ self.projection_WF
        return functional.normalize(
            features_CF.to(torch.promote_types(features_CF.dtype, torch.float32)), dim=-1
        )


class ClassPrompts(nn.Module):
    """The context vectors [V]_1..[V]_M, drawn from N(0, init_std^2): the only trained part here."""

    def __init__(self, config: PromptConfig, num_classes: int, width: int) -> None:
        super().__init__()
        shape = (config.length, width) if config.context == "shared" else (num_classes, config.length, width)
        self.context = nn.Parameter(config.init_std * torch.randn(shape))

    def forward(self, tower: TextTower) -> torch.Tensor:
        """Class features [C, F], float32, of length 1."""
        features: torch.Tensor = tower(self.context)
        return features


def load_text_tower(
    meta: CacheMeta, config: PromptConfig, device: torch.device, encoder_weights: str | None = None
) -> TextTower:
    """The text tower that belongs to a cache's encoder, on `device`, in the precision of `config`.

    encoder_weights: a tag or path to take instead of the one that the cache names.
    Raises WeightsError when the values are not those of the model that made the cache.
    """
    weights = encoder_weights or meta.encoder_weights
    clip = load_clip(EncoderConfig(name=meta.encoder_name, weights=weights, seed=_encoder_seed(meta)))
    if clip.text_sha256 != meta.text_sha256:
        msg = (
            f"The text tower of {meta.encoder_name} with weights '{weights}' has sha256 "
            f"{clip.text_sha256}, but this cache was made with {meta.text_sha256}; "
            "give the weights that made it with --encoder-weights."
        )
        raise WeightsError(msg)
    tower = TextTower(clip, meta.class_names, config.length)
    dtype = torch.bfloat16 if bf16_on(config.precision, device) else torch.float32
    return tower.to(device=device, dtype=dtype)


def _encoder_seed(meta: CacheMeta) -> int:
    encoder = meta.config.get("encoder", {})
    seed = encoder.get("seed", 0) if isinstance(encoder, dict) else None
    if not isinstance(seed, int):
        msg = f"The cache's attribute 'config.encoder' holds {encoder!r:.100}, no seed. Extract it again."
        raise CacheError(msg)
    return seed


def _projection(projection: nn.Linear | torch.Tensor) -> torch.Tensor:
    matrix = projection.weight.T if isinstance(projection, nn.Linear) else projection
    return matrix.detach().clone()


def _causal_attention(attention: nn.MultiheadAttention, x_CSW: torch.Tensor) -> torch.Tensor:
    packed = functional.linear(x_CSW, attention.in_proj_weight, attention.in_proj_bias)
    query, key, value = (
        part.view(*part.shape[:2], attention.num_heads, -1).transpose(1, 2)
        for part in packed.chunk(3, dim=-1)
    )
    attended = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    out: torch.Tensor = attention.out_proj(attended.transpose(1, 2).flatten(2))
    return out

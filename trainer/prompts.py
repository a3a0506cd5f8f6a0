"""Learnable prompts (III-C, eq. 11) through CLIP's frozen text tower, with no token computed in vain.

The tower is causal and read only at each prompt's end-of-text token (EOT). So what follows the longest
prompt is cut off; and what comes before the class name (start token and context) is the same for all
classes when they share their context, and computed once. Both are exact, and most of the cost of a step.

Letters: C classes; G contexts (1 shared, or C); M context vectors; P = 1 + M positions before the name;
R positions from the name to the longest EOT; S = P + R; N = G P + C R tokens in all; H heads;
X width of a head; W tower width; F embedding width.
"""

from copy import deepcopy
from functools import lru_cache

import torch
from torch import nn
from torch.nn import functional

from pipeline.clip_model import EncoderConfig, LoadedClip, encoder_of, load_clip_model
from pipeline.errors import ConfigError, WeightsError
from pipeline.store.meta import CacheMeta
from trainer.config import PromptConfig
from trainer.precision import in_bf16

_TOWERS_KEPT = 3
"""As many as there are prompt lengths in the paper's tables; one of ViT-L/14 takes 340 MB in float32."""


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
        device = model.positional_embedding.device
        tokens_CX = clip.tokenize([name.replace("_", " ") for name in class_names]).to(device)
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
        num_before = 1 + num_context
        position_W = model.positional_embedding.detach()
        self.width = embedded_CXW.shape[-1]
        self.start_1W = nn.Buffer(embedded_CXW[0, :1].clone())
        self.position_PW = nn.Buffer(position_W[:num_before].clone())
        name_CRW = embedded_CXW[:, 1 : 1 + num_positions - num_before]
        self.name_CRW = nn.Buffer(name_CRW + position_W[num_before:num_positions])
        self.eot_C = nn.Buffer(eot_C - num_before)
        self.visible_RS = nn.Buffer(_visible(num_before, num_positions))
        self.blocks = deepcopy(model.transformer.resblocks)
        self.norm = deepcopy(model.ln_final)
        self.projection_WF = nn.Buffer(_projection(model.text_projection))
        self.requires_grad_(False).eval()

    def forward(self, context: torch.Tensor) -> torch.Tensor:
        """Class features [C, F], of length 1 and at least float32, for a context [M, W] or [C, M, W]."""
        context_GMW = context[None] if context.dim() == 2 else context
        start_G1W = self.start_1W.expand(len(context_GMW), -1, -1)
        before_GPW = torch.cat([start_G1W, context_GMW.to(start_G1W.dtype)], dim=1) + self.position_PW
        x_NW = torch.cat([before_GPW.flatten(0, 1), self.name_CRW.flatten(0, 1)])
        for block in self.blocks:
            x_NW = x_NW + block.ls_1(self._attention(block.attn, block.ln_1(x_NW), len(context_GMW)))
            x_NW = x_NW + block.ls_2(block.mlp(block.ln_2(x_NW)))
        name_CRW = x_NW[before_GPW.shape[:2].numel() :].view_as(self.name_CRW)
        end_CW = self.norm(name_CRW[torch.arange(len(self.eot_C), device=x_NW.device), self.eot_C])
        features_CF = end_CW @ self.projection_WF
        return functional.normalize(
            features_CF.to(torch.promote_types(features_CF.dtype, torch.float32)), dim=-1
        )

    def _attention(self, attention: nn.MultiheadAttention, x_NW: torch.Tensor, contexts: int) -> torch.Tensor:
        """Causal attention of each prompt; tokens before the name never see it, so they stand alone."""
        qkv_N3W = functional.linear(x_NW, attention.in_proj_weight, attention.in_proj_bias)
        num_classes, num_before = len(self.name_CRW), contexts * len(self.position_PW)

        def heads(part_NW: torch.Tensor, prompts: int) -> torch.Tensor:
            return part_NW.view(prompts, -1, attention.num_heads, attention.head_dim).transpose(1, 2)

        query_GHPX, key_GHPX, value_GHPX = (
            heads(part_NW, contexts) for part_NW in qkv_N3W[:num_before].chunk(3, dim=-1)
        )
        query_CHRX, key_CHRX, value_CHRX = (
            heads(part_NW, num_classes) for part_NW in qkv_N3W[num_before:].chunk(3, dim=-1)
        )
        before_GHPX = functional.scaled_dot_product_attention(
            query_GHPX, key_GHPX, value_GHPX, is_causal=True
        )
        name_CHRX = functional.scaled_dot_product_attention(
            query_CHRX,
            torch.cat([key_GHPX.expand(num_classes, -1, -1, -1), key_CHRX], dim=2),
            torch.cat([value_GHPX.expand(num_classes, -1, -1, -1), value_CHRX], dim=2),
            attn_mask=self.visible_RS,
        )
        attended_NW = torch.cat(
            [part.transpose(1, 2).reshape(-1, x_NW.shape[-1]) for part in (before_GHPX, name_CHRX)]
        )
        out_NW: torch.Tensor = attention.out_proj(attended_NW)
        return out_NW


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

    encoder_weights: a tag or path to take instead of the one that the cache names. The last few towers
    are kept, frozen as they are, for the next runs of a grid that ask for the same.
    Raises WeightsError when the values are not those of the model that made the cache.
    """
    encoder = encoder_of(meta, encoder_weights)
    dtype = torch.bfloat16 if in_bf16(config.precision, device) else torch.float32
    return _tower(encoder, meta.text_sha256, meta.class_names, config.length, device, dtype)


@lru_cache(maxsize=_TOWERS_KEPT)
def _tower(
    encoder: EncoderConfig,
    text_sha256: str,
    class_names: tuple[str, ...],
    num_context: int,
    device: torch.device,
    dtype: torch.dtype,
) -> TextTower:
    clip = load_clip_model(encoder)
    if clip.text_sha256 != text_sha256:
        msg = (
            f"The text tower of {encoder.name} with weights '{encoder.weights}' has sha256 "
            f"{clip.text_sha256}, but this cache was made with {text_sha256}; "
            "give the weights that made it with --encoder-weights."
        )
        raise WeightsError(msg)
    return TextTower(clip, class_names, num_context).to(device=device, dtype=dtype)


def forget_text_towers() -> None:
    """Free the towers that are kept."""
    _tower.cache_clear()


def _projection(projection: nn.Linear | torch.Tensor) -> torch.Tensor:
    matrix = projection.weight.T if isinstance(projection, nn.Linear) else projection
    return matrix.detach().clone()


def _visible(num_before: int, num_positions: int) -> torch.Tensor:
    """Which of all positions S each of the name's positions R may look at: those up to itself."""
    position_S = torch.arange(num_positions)
    return position_S[None, :] <= position_S[num_before:, None]

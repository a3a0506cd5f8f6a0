"""Learnable prompts (III-C, eq. 11) through CLIP's frozen text encoder, without unused tokens.

The encoder is causal, and only its output at each prompt's end-of-text token (EOT) is used. Positions after
the longest prompt are therefore cut off. If classes share a context, the positions before the class name
(start token and context) are the same for all, and computed once. Both are exact, and save most of the time.

Letters: C classes; K contexts, 1 if the classes share it, else C; M context vectors; A = 1 + M positions
ahead of the name; E positions from the name to the longest EOT; Z = A + E positions of a prompt; X positions
of the tokenizer; Y tokens of all prompts; H heads; I width of a head; W width of the text encoder;
F embedding width.
"""

from copy import deepcopy
from functools import lru_cache
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from pipeline.clip_model import EncoderConfig, LoadedText, encoder_of, load_text_encoder
from pipeline.errors import ConfigError, WeightsError
from pipeline.store.meta import CacheMeta
from trainer.config import PromptConfig
from trainer.precision import in_bf16

_TOWERS_KEPT = 3
"""Number of prompt lengths in the paper's tables. A text encoder of ViT-L/14 takes 340 MB in float32."""


class TextTower(nn.Module):
    """Frozen text encoder of CLIP for prompts, without the vocabulary and the positions after the EOT.

    The weights of the blocks are used with fused attention, because `nn.MultiheadAttention` is several times
    slower if its weights are frozen, and slower still in bfloat16.
    """

    def __init__(self, clip: LoadedText, class_names: tuple[str, ...], num_context: int) -> None:
        """Copy the text encoder of a model.

        Args:
            clip: The loaded model; not changed.
            class_names: Names in the order of the labels; underscores are read as spaces.
            num_context: Context vectors of a prompt, M.

        Raises:
            ConfigError: A prompt has more tokens than the text encoder has positions.
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
        self.position_AW = nn.Buffer(position_W[:num_before].clone())
        name_CEW = embedded_CXW[:, 1 : 1 + num_positions - num_before]
        self.name_CEW = nn.Buffer(name_CEW + position_W[num_before:num_positions])
        self.eot_C = nn.Buffer(eot_C - num_before)
        self.end_C = nn.Buffer(self.eot_C + name_CEW.shape[1] * torch.arange(len(eot_C), device=device))
        self.visible_EZ = nn.Buffer(_visible(num_before, num_positions))
        self.blocks = deepcopy(model.transformer.resblocks)
        self.norm = deepcopy(model.ln_final)
        self.projection_WF = nn.Buffer(_projection(model.text_projection))
        self.requires_grad_(False).eval()

    def forward(self, context: torch.Tensor) -> torch.Tensor:
        """Return class features [C, F] of length 1, at least float32, for a context [M, W] or [C, M, W]."""
        context_KMW = context[None] if context.dim() == 2 else context
        start_K1W = self.start_1W.expand(len(context_KMW), -1, -1)
        before_KAW = torch.cat([start_K1W, context_KMW.to(start_K1W.dtype)], dim=1) + self.position_AW
        x_YW = torch.cat([before_KAW.flatten(0, 1), self.name_CEW.flatten(0, 1)])
        *first, last = self.blocks
        for block in first:
            x_YW = x_YW + block.ls_1(self._attention(block.attn, block.ln_1(x_YW), len(context_KMW)))
            x_YW = x_YW + block.ls_2(block.mlp(block.ln_2(x_YW)))
        features_CF = self.norm(self._ends(last, x_YW, len(context_KMW))) @ self.projection_WF
        return functional.normalize(
            features_CF.to(torch.promote_types(features_CF.dtype, torch.float32)), dim=-1
        )

    def _attention(self, attention: nn.MultiheadAttention, x_YW: torch.Tensor, contexts: int) -> torch.Tensor:
        """Compute causal attention of each prompt. Tokens ahead of the name do not depend on the name."""
        qkv_Y3W = functional.linear(x_YW, attention.in_proj_weight, attention.in_proj_bias)
        num_before = contexts * len(self.position_AW)
        query_KHAI, key_KHAI, value_KHAI = _heads(attention, qkv_Y3W[:num_before], 3, contexts)
        query_CHEI, key_CHEI, value_CHEI = _heads(attention, qkv_Y3W[num_before:], 3, len(self.name_CEW))
        before_KHAI = functional.scaled_dot_product_attention(
            query_KHAI, key_KHAI, value_KHAI, is_causal=True
        )
        name_CHEI = functional.scaled_dot_product_attention(
            query_CHEI,
            _after(key_KHAI, key_CHEI),
            _after(value_KHAI, value_CHEI),
            attn_mask=self.visible_EZ,
        )
        attended_YW = torch.cat(
            [part.transpose(1, 2).reshape(-1, x_YW.shape[-1]) for part in (before_KHAI, name_CHEI)]
        )
        out_YW: torch.Tensor = attention.out_proj(attended_YW)
        return out_YW

    def _ends(self, block: Any, x_YW: torch.Tensor, contexts: int) -> torch.Tensor:
        """Compute the last block at each prompt's EOT [C, W]. Other tokens are only keys and values there."""
        attention, y_YW = block.attn, block.ln_1(x_YW)
        weight, bias, width = attention.in_proj_weight, attention.in_proj_bias, self.width
        num_before = contexts * len(self.position_AW)
        query_CW = functional.linear(y_YW[num_before:][self.end_C], weight[:width], bias[:width])
        key_value = functional.linear(y_YW, weight[width:], bias[width:])
        key_KHAI, value_KHAI = _heads(attention, key_value[:num_before], 2, contexts)
        key_CHEI, value_CHEI = _heads(attention, key_value[num_before:], 2, len(self.end_C))
        (query_CH1I,) = _heads(attention, query_CW, 1, len(self.end_C))
        attended_CH1I = functional.scaled_dot_product_attention(
            query_CH1I,
            _after(key_KHAI, key_CHEI),
            _after(value_KHAI, value_CHEI),
            attn_mask=self.visible_EZ[self.eot_C][:, None, None],
        )
        x_CW = x_YW[num_before:][self.end_C]
        x_CW = x_CW + block.ls_1(attention.out_proj(attended_CH1I.flatten(1)))
        out_CW: torch.Tensor = x_CW + block.ls_2(block.mlp(block.ln_2(x_CW)))
        return out_CW


class ClassPrompts(nn.Module):
    """The trained context vectors [V]_1..[V]_M, initialised from N(0, init_std^2)."""

    def __init__(self, config: PromptConfig, num_classes: int, width: int) -> None:
        super().__init__()
        shape = (config.length, width) if config.context == "shared" else (num_classes, config.length, width)
        self.context = nn.Parameter(config.init_std * torch.randn(shape))

    def forward(self, tower: TextTower) -> torch.Tensor:
        """Return class features [C, F], float32, of length 1."""
        features: torch.Tensor = tower(self.context)
        return features


def load_text_tower(
    meta: CacheMeta, config: PromptConfig, device: torch.device, encoder_weights: str | None = None
) -> TextTower:
    """Return the text encoder of a cache's CLIP model. The last few are kept for the next runs of a sweep.

    Args:
        meta: Attributes of the cache.
        config: Settings of the prompts; `config.precision` sets the dtype.
        device: Device of the text encoder.
        encoder_weights: Tag or path of the weights. None: those that the cache names.

    Raises:
        ConfigError: A prompt has more tokens than the text encoder has positions.
        WeightsError: The weights are not those of the model that made the cache.
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
    clip = load_checked_text(encoder, text_sha256)
    return TextTower(clip, class_names, num_context).to(device=device, dtype=dtype)


def load_checked_text(encoder: EncoderConfig, text_sha256: str) -> LoadedText:
    """Return a text encoder. Raises WeightsError unless it is that of a cache, by its hash."""
    clip = load_text_encoder(encoder)
    if clip.text_sha256 != text_sha256:
        msg = (
            f"The text encoder of {encoder.name} with weights '{encoder.weights}' has sha256 "
            f"{clip.text_sha256}, but this cache was made with {text_sha256}; "
            "give the weights that made it with --encoder-weights."
        )
        raise WeightsError(msg)
    return clip


def forget_text_towers() -> None:
    """Free the text encoders that are kept."""
    _tower.cache_clear()


def _heads(
    attention: nn.MultiheadAttention, joined_YX: torch.Tensor, num_parts: int, prompts: int
) -> list[torch.Tensor]:
    """Split queries, keys and values that are side by side into parts [prompts, H, positions, I]."""
    return [
        part_YW.view(prompts, -1, attention.num_heads, attention.head_dim).transpose(1, 2)
        for part_YW in joined_YX.chunk(num_parts, dim=-1)
    ]


def _after(before_KHAI: torch.Tensor, name_CHEI: torch.Tensor) -> torch.Tensor:
    """Return keys or values of whole prompts [C, H, Z, I]."""
    return torch.cat([before_KHAI.expand(len(name_CHEI), -1, -1, -1), name_CHEI], dim=2)


def _projection(projection: nn.Linear | torch.Tensor) -> torch.Tensor:
    matrix = projection.weight.T if isinstance(projection, nn.Linear) else projection
    return matrix.detach().clone()


def _visible(num_before: int, num_positions: int) -> torch.Tensor:
    """Return whether each position from the name on may attend to each position [E, Z]: up to itself."""
    position_Z = torch.arange(num_positions)
    return position_Z[None, :] <= position_Z[num_before:, None]

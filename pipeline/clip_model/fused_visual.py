"""Copy of a CLIP model's image encoder that computes the same function in fewer operations.

Letters: N images; L tokens of an image; D width; H heads.
"""

import copy
from typing import Any

import torch
from torch import nn
from torch.nn import functional

_QUICK_GELU_SLOPE = 1.702


def fused_visual_tower(visual: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """Copy an image encoder, with fused operations. The original is not changed.

    QuickGELU, x sigmoid(1.702 x), becomes one SiLU of 1.702 x. The weights before it are multiplied by the
    factor and the weights after it divided by it, in float32, before the cast. Attention is one product for
    queries, keys and values, and torch's fused kernel. Blocks of another structure are copied unchanged.

    Args:
        visual: open_clip's image encoder, in float32.
        device: Device of the copy.
        dtype: Type of the copy's weights.
    """
    from open_clip.transformer import QuickGELU

    lean = copy.deepcopy(visual)
    for block in lean.transformer.resblocks:
        if isinstance(getattr(block.mlp, "gelu", None), QuickGELU):
            _fold_quick_gelu(block.mlp)
        if isinstance(getattr(block, "attn", None), nn.MultiheadAttention) and block.attn.batch_first:
            block.attn = _SelfAttention(block.attn)
    return lean.to(device=device, dtype=dtype)


def _fold_quick_gelu(mlp: Any) -> None:
    mlp.c_fc.weight.data *= _QUICK_GELU_SLOPE
    mlp.c_fc.bias.data *= _QUICK_GELU_SLOPE
    mlp.c_proj.weight.data /= _QUICK_GELU_SLOPE
    mlp.gelu = nn.SiLU(inplace=True)


class _SelfAttention(nn.Module):
    """Replacement of nn.MultiheadAttention for the one call in open_clip's blocks."""

    def __init__(self, attention: nn.MultiheadAttention) -> None:
        super().__init__()
        self.num_heads = attention.num_heads
        self.in_proj_weight = attention.in_proj_weight
        self.in_proj_bias = attention.in_proj_bias
        self.out_proj = attention.out_proj

    def forward(
        self,
        x_NLD: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        *,
        need_weights: bool,
        attn_mask: torch.Tensor | None,
    ) -> tuple[torch.Tensor, None]:
        """Compute self-attention of the tokens; key and value are the tokens themselves."""
        del key, value, need_weights
        n, length, width = x_NLD.shape
        projected = functional.linear(x_NLD, self.in_proj_weight, self.in_proj_bias)
        parts = projected.view(n, length, 3, self.num_heads, width // self.num_heads)
        queries, keys, values = parts.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=attn_mask)
        return self.out_proj(mixed.transpose(1, 2).reshape(n, length, width)), None

"""Linear layers of the encoder's MLP as fp8 products, to measure their gain.

The gain includes the time to quantise the input, by kernels of torch that are not fused with the product or
the layer before it. Fused kernels would gain more, therefore the result is a lower bound.

Letters: R rows; K width in; N width out.
"""

from typing import Any

import torch
from torch import nn

_LARGEST = torch.finfo(torch.float8_e4m3fn).max
_SMALLEST_SCALE = 1e-12
_HOPPER = (9, 0)


def has_fp8() -> bool:
    """Return whether the first CUDA device has fp8 products with a scale per row."""
    return torch.cuda.is_available() and torch.cuda.get_device_capability() >= _HOPPER


class Fp8Linear(nn.Module):
    """A linear layer in bf16 whose product is in fp8 (e4m3).

    Each row of the input and each output channel of the weight has a scale of its own: its largest absolute
    value over the largest fp8 number.
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.weight_NK, self.weight_scale_N1 = quantise_rows(layer.weight.data)
        self.bias = layer.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x W' + b in bf16; x has any shape [..., K]."""
        x_RK, scale_R1 = quantise_rows(x.reshape(-1, x.shape[-1]))
        y_RN = torch._scaled_mm(
            x_RK, self.weight_NK.T, scale_a=scale_R1, scale_b=self.weight_scale_N1.T.contiguous(),
            bias=self.bias, out_dtype=torch.bfloat16, use_fast_accum=True,
        )  # fmt: skip
        return y_RN.view(*x.shape[:-1], -1)


def quantise_rows(x_RK: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the rows in fp8 [R, K] and their scales [R, 1] in float32: x = fp8 * scale."""
    scale_R1 = x_RK.abs().amax(dim=1, keepdim=True).float().clamp_min(_SMALLEST_SCALE) / _LARGEST
    return (x_RK.float() / scale_R1).to(torch.float8_e4m3fn), scale_R1


def use_fp8(visual: Any) -> int:
    """Replace both layers of every block's MLP in a bf16 image encoder; return their number."""
    blocks = visual.transformer.resblocks
    for block in blocks:
        block.mlp.c_fc, block.mlp.c_proj = Fp8Linear(block.mlp.c_fc), Fp8Linear(block.mlp.c_proj)
    return 2 * len(blocks)

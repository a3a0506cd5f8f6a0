"""Matrix products, which limit the encoder's speed."""

import torch
from torch.nn import functional

from benchmarks.gpu_steps.context import Context

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}


def precisions_of(context: Context) -> tuple[str, ...]:
    """Return the precisions to measure: fp16 and bf16 on a GPU, float32 on a CPU."""
    return ("fp16", "bf16") if context.is_cuda else ("fp32",)


def square_product_tflops(context: Context, precision: str) -> float:
    """Return the TFLOP/s of the fastest of some large square products, as the device's limit."""
    sides = context.size((8192, 16384) if context.is_cuda else (2048, 4096), (512,))
    return max(_product_tflops(context, precision, side, side, side) for side in sides)


def linear_tflops(context: Context, precision: str, rows: int, width_in: int, width_out: int) -> float:
    """Return the TFLOP/s of a linear layer with bias, as in the encoder.

    Args:
        context: Context of the step.
        precision: fp32, bf16 or fp16.
        rows: Rows of the input.
        width_in: Channels of the input.
        width_out: Channels of the output.
    """
    x = _normal(context, precision, rows, width_in)
    weight, bias = _normal(context, precision, width_out, width_in), _normal(context, precision, width_out)
    seconds = context.seconds(lambda: functional.linear(x, weight, bias), repeats=10, warm_up=3)
    return 2e-12 * rows * width_in * width_out / seconds


def _product_tflops(context: Context, precision: str, rows: int, inner: int, columns: int) -> float:
    a, b = _normal(context, precision, rows, inner), _normal(context, precision, inner, columns)
    return 2e-12 * rows * inner * columns / context.seconds(lambda: a @ b, repeats=10, warm_up=3)


def _normal(context: Context, precision: str, *shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=DTYPES[precision], device=context.device)

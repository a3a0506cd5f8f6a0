"""Step `encoder`: passes of `extract` by precision and batch size, compared with the limit of products.

The best row decides the default of ``features.batch_pictures`` and ``features.precision`` on a GPU. If
`of_square_product` is far below 1 and pointwise kernels are the longest, see `encoder-changes`.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch

from benchmarks.gpu_steps.context import Context
from benchmarks.gpu_steps.inputs import load_encoder, random_images
from benchmarks.gpu_steps.kernels import PROFILE, kernel_times
from benchmarks.gpu_steps.passes import eager_pass, encoder_of
from benchmarks.gpu_steps.products import precisions_of, square_product_tflops
from pipeline.bench.encoding import flops_of
from pipeline.clip_model import LoadedClip
from pipeline.features import Encoder

_BATCHES, _DEFAULT_BATCH = (64, 128, 256, 512), 256
_TINY_BATCH = 4
_PASSES = 8


def run(context: Context) -> None:
    """Measure passes, whole calls, memory and kernels."""
    clip = load_encoder(context)
    context.results.numbers("model", {"gflop_per_image": 1e-9 * flops_of(clip)})
    for precision in precisions_of(context):
        _by_batch_size(context, clip, precision)
    precision, batch = precisions_of(context)[0], context.size(_DEFAULT_BATCH, _TINY_BATCH)
    encoder = encoder_of(context, clip, precision, batch)
    measure = context.results.measure
    settings: dict[str, Any] = {"precision": precision, "batch": batch}
    measure(
        "memory of a pass",
        partial(_memory, context, encoder, clip, batch),
        unless=context.unless_cuda,
        **settings,
    )
    for early in (False, True):
        measure(
            "Encoder.encode, results on the host",
            partial(_whole_calls, context, encoder, clip, context.size(_PASSES, 2) * batch, early=early),
            **settings, early=early,
        )  # fmt: skip
    measure(
        "kernels of a pass",
        partial(_kernels, context, encoder, clip, batch),
        unless=context.unless_cuda,
        **settings,
    )


def _by_batch_size(context: Context, clip: LoadedClip, precision: str) -> None:
    """Measure the square product, then passes of every batch size as a fraction of it."""
    ceiling: dict[str, float] = {}

    def product() -> Mapping[str, float]:
        ceiling["tflops"] = square_product_tflops(context, precision)
        return ceiling

    context.results.measure("square product", product, precision=precision)
    encoder = encoder_of(context, clip, precision, context.size(_DEFAULT_BATCH, _TINY_BATCH))
    for batch in context.size(_BATCHES, (_TINY_BATCH,)):
        for early in (False, True):

            def one(batch: int = batch, early: bool = early) -> Mapping[str, Any]:
                images = random_images(clip, batch, context.device)
                encode = eager_pass(encoder, early=early)
                seconds = context.seconds(lambda: encode(images))
                tflops = 1e-12 * batch * flops_of(clip) / seconds
                fraction = {"of_square_product": tflops / ceiling["tflops"]} if ceiling else {}
                return {"images_per_second": batch / seconds, "tflops": tflops, **fraction}

            context.results.measure("pass", one, precision=precision, batch=batch, early=early)
            if context.is_cuda:
                torch.cuda.empty_cache()


def _whole_calls(
    context: Context, encoder: Encoder, clip: LoadedClip, count: int, *, early: bool
) -> Mapping[str, Any]:
    """Measure the speed of `Encoder.encode` on `count` images; count is a multiple of the batch."""
    images = random_images(clip, count, context.device)
    seconds = context.seconds(lambda: encoder.encode(images, early=early), repeats=2, warm_up=1)
    return {"images_per_second": len(images) / seconds, "batch_at_the_end": encoder.batch_pictures}


def _memory(context: Context, encoder: Encoder, clip: LoadedClip, batch: int) -> Mapping[str, Any]:
    """Measure the largest memory of a pass, and the free memory of the device."""
    images = random_images(clip, batch, context.device)
    torch.cuda.reset_peak_memory_stats()
    eager_pass(encoder, early=True)(images)
    torch.cuda.synchronize()
    return {
        "peak_gb": 1e-9 * torch.cuda.max_memory_allocated(),
        "free_gb": 1e-9 * torch.cuda.mem_get_info()[0],
    }


def _kernels(context: Context, encoder: Encoder, clip: LoadedClip, batch: int) -> Mapping[str, Any]:
    """Measure the kernels of a pass with early statistics."""
    images = random_images(clip, batch, context.device)
    encode = eager_pass(encoder, early=True)
    title = f"encoder, a pass of {batch} images"
    return kernel_times(lambda: encode(images), context.options.out / PROFILE, title).numbers()

"""Step `encoder-changes`: single changes of the encoder's pass, each compared with the unchanged pass.

`times_faster` decides whether a change should be built. `difference`, the relative difference of the
features, decides whether it needs a new algorithm version, which is not needed if it is 0.

Letters: N images; L tokens; D width; H heads.
"""

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.gpu_steps.compiling import compile_backend
from benchmarks.gpu_steps.context import Context
from benchmarks.gpu_steps.fp8 import has_fp8, use_fp8
from benchmarks.gpu_steps.graphs import capture_graph
from benchmarks.gpu_steps.inputs import load_encoder, random_images, relative_difference
from benchmarks.gpu_steps.passes import Pass, compare_passes, eager_pass, encoder_of
from benchmarks.gpu_steps.products import precisions_of
from benchmarks.gpu_steps.records import UnavailableError
from pipeline.device import exact_float32
from pipeline.features import Encoder

_BACKENDS = ("FLASH_ATTENTION", "CUDNN_ATTENTION", "EFFICIENT_ATTENTION")
_GRAPH_BATCHES = (32, 64, 256)
_NO_KERNEL = ("No available kernel", "No viable backend")
"""Parts of torch's messages if a device does not have an attention kernel."""


def run(context: Context) -> None:
    """Measure each change. Measurements that may leave the device in an error state come last."""
    clip = load_encoder(context)
    precision, batch = precisions_of(context)[0], context.size(256, 4)
    encoder = encoder_of(context, clip, precision, batch)
    images = random_images(clip, batch, context.device)
    measure = partial(context.results.measure, precision=precision)
    alone = class_token_pass(encoder)
    measure(
        "class token alone in the last block", partial(_change, context, encoder, images, alone), batch=batch
    )
    for backend in _BACKENDS:
        measure(
            "attention backend",
            partial(_change, context, encoder, images, backend_pass(encoder, backend)),
            unless=context.unless_cuda, backend=backend, batch=batch,
        )  # fmt: skip
    for count in _GRAPH_BATCHES:
        measure(
            "CUDA graph of a pass",
            partial(_graphed, context, encoder, images[:count]),
            unless=context.unless_cuda, batch=count,
        )  # fmt: skip
    context.results.measure(
        "fp8 products in the MLP",
        partial(_fp8, context, clip, images),
        unless=context.unless_cuda or ("" if has_fp8() else "needs compute capability 9.0"),
        precision="bf16", batch=batch,
    )  # fmt: skip
    for early in context.size((False, True), (True,)):
        measure(
            "blocks compiled", partial(_compiled, context, clip, images, early=early),
            batch=batch, early=early,
        )  # fmt: skip


def _change(context: Context, encoder: Encoder, images: torch.Tensor, changed: Pass) -> Mapping[str, Any]:
    """Compare a changed pass with the unchanged pass, both without early statistics."""
    plain = eager_pass(encoder, early=False)
    difference = relative_difference(changed(images)[0], plain(images)[0])
    speeds = compare_passes(context, len(images), lambda: plain(images), lambda: changed(images))
    return {**speeds, "difference": difference}


def class_token_pass(encoder: Encoder) -> Pass:
    """Return a pass whose last block computes only the class token, from all tokens' keys and values."""
    visual = encoder._visual
    blocks, last = visual.transformer.resblocks[:-1], visual.transformer.resblocks[-1]

    def encode(images_N3SS: torch.Tensor) -> list[torch.Tensor]:
        with torch.inference_mode(), exact_float32():
            normal = (images_N3SS.float() / 255 - encoder._mean) / encoder._std
            x_NLD = visual._embeds(normal.to(encoder._dtype))
            for block in blocks:
                x_NLD = block(x_NLD)
            x_N1D = _class_token(last, x_NLD)
            return [(visual.ln_post(x_N1D)[:, 0] @ visual.proj).float()]

    return encode


def _class_token(block: Any, x_NLD: torch.Tensor) -> torch.Tensor:
    """Return the class token [N, 1, D] after a block."""
    normal_NLD, attention = block.ln_1(x_NLD), block.attn
    n, length, width = normal_NLD.shape
    weight, bias, heads = attention.in_proj_weight, attention.in_proj_bias, attention.num_heads
    query_N1D = functional.linear(normal_NLD[:, :1], weight[:width], bias[:width])
    both = functional.linear(normal_NLD, weight[width:], bias[width:])
    keys, values = both.view(n, length, 2, heads, width // heads).permute(2, 0, 3, 1, 4)
    query = query_N1D.view(n, 1, heads, width // heads).transpose(1, 2)
    mixed_N1D = (
        functional.scaled_dot_product_attention(query, keys, values).transpose(1, 2).reshape(n, 1, width)
    )
    x_N1D: torch.Tensor = x_NLD[:, :1] + block.ls_1(attention.out_proj(mixed_N1D))
    y_N1D: torch.Tensor = x_N1D + block.ls_2(block.mlp(block.ln_2(x_N1D)))
    return y_N1D


def backend_pass(encoder: Encoder, name: str) -> Pass:
    """Return a pass with one of torch's attention kernels.

    The pass raises UnavailableError if the device does not have the kernel.
    """
    plain, backend = eager_pass(encoder, early=False), getattr(SDPBackend, name)

    def encode(images_N3SS: torch.Tensor) -> list[torch.Tensor]:
        try:
            with sdpa_kernel(backend):
                return plain(images_N3SS)
        except RuntimeError as error:
            if any(words in str(error) for words in _NO_KERNEL):
                raise UnavailableError(str(error).splitlines()[0]) from error
            raise

    return encode


def _graphed(context: Context, encoder: Encoder, images: torch.Tensor) -> Mapping[str, Any]:
    """Compare a pass that is captured once and replayed with the same pass launched kernel by kernel."""
    plain = eager_pass(encoder, early=False)
    replay, output = capture_graph(lambda: plain(images)[0])
    speeds = compare_passes(context, len(images), lambda: plain(images), replay)
    return {**speeds, "difference": relative_difference(output, plain(images)[0])}


def _fp8(context: Context, clip: Any, images: torch.Tensor) -> Mapping[str, Any]:
    """Compare fp8 products with bf16. The weights are random: repeat with published ones to decide."""
    encoder = encoder_of(context, clip, "bf16", len(images))
    reference = eager_pass(encoder, early=False)
    expected = reference(images)[0]
    changed = encoder_of(context, clip, "bf16", len(images))
    layers = use_fp8(changed._visual)
    encode = eager_pass(changed, early=False)
    found = encode(images)[0]
    speeds = compare_passes(context, len(images), lambda: reference(images), lambda: encode(images))
    return {
        **speeds,
        "layers": layers,
        "difference": relative_difference(found, expected),
        "least_cosine": float(functional.cosine_similarity(found, expected).min()),
    }


def _compiled(context: Context, clip: Any, images: torch.Tensor, *, early: bool) -> Mapping[str, Any]:
    """Compare a pass whose blocks are compiled, each by itself, with the unchanged pass."""
    backend = compile_backend(context)
    precision = precisions_of(context)[0]
    plain = eager_pass(encoder_of(context, clip, precision, len(images)), early=early)
    changed = encoder_of(context, clip, precision, len(images))
    blocks = changed._visual.transformer.resblocks
    for number, block in enumerate(blocks):  # the first call compiles one; the others use its code
        blocks[number] = torch.compile(block, dynamic=False, fullgraph=True, backend=backend)
    encode = eager_pass(changed, early=early)
    began = time.perf_counter()
    found = encode(images)[0]
    context.wait()
    seconds = time.perf_counter() - began
    speeds = compare_passes(context, len(images), lambda: plain(images), lambda: encode(images))
    difference = relative_difference(found, plain(images)[0])
    return {**speeds, "difference": difference, "compile_seconds": seconds, "backend": backend}

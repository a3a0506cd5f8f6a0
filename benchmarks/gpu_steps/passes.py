"""The encoder's own work on one batch, whose results stay on the device.

Letters: N images; S their side.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from benchmarks.gpu_steps.context import Context
from pipeline.features import Encoder, FeatureConfig

Pass = Callable[[torch.Tensor], list[torch.Tensor]]
"""Function of uint8 images [N, 3, S, S] that returns the embedding, and the early statistics if computed."""


def encoder_of(context: Context, clip: Any, precision: str, batch: int) -> Encoder:
    """Return an encoder on the device of the run.

    Args:
        context: Context of the step.
        clip: The CLIP model.
        precision: fp32, bf16 or fp16.
        batch: Images per batch.
    """
    return Encoder(clip, FeatureConfig(precision=precision, batch_pictures=batch), context.device)


def eager_pass(encoder: Encoder, *, early: bool) -> Pass:
    """Return the pass of `extract`, with the statistics of the first four blocks if `early`."""

    def encode(images_N3SS: torch.Tensor) -> list[torch.Tensor]:
        with torch.inference_mode():
            return encoder._encode_batch(images_N3SS, early=early)

    return encode


def compare_passes(
    context: Context, count: int, plain: Callable[[], object], changed: Callable[[], object]
) -> Mapping[str, float]:
    """Compare two ways in turns; the best of two measurements counts.

    Args:
        context: Context of the step.
        count: Images of one call.
        plain: The unchanged way.
        changed: The changed way.

    Returns:
        Images per second of both ways, and their ratio.
    """
    took: dict[str, list[float]] = {"plain": [], "changed": []}
    for _ in range(context.size(2, 1)):
        for name, work in (("plain", plain), ("changed", changed)):
            took[name].append(context.seconds(work))
    before, after = min(took["plain"]), min(took["changed"])
    return {
        "images_per_second": count / after,
        "plain_images_per_second": count / before,
        "times_faster": before / after,
    }

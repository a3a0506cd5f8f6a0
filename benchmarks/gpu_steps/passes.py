"""The encoder's own work on one batch, results left on the device.

Letters: N images; S their side.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from benchmarks.gpu_steps.context import Context
from pipeline.features import Encoder, FeatureConfig

Pass = Callable[[torch.Tensor], list[torch.Tensor]]
"""Takes uint8 images [N, 3, S, S] and returns the embedding, then the early statistics if there are any."""


def encoder_of(context: Context, clip: Any, precision: str, batch: int) -> Encoder:
    """Return an encoder on the device of the run."""
    return Encoder(clip, FeatureConfig(precision=precision, batch_pictures=batch), context.device)


def eager_pass(encoder: Encoder, *, early: bool) -> Pass:
    """Return a pass as `extract` makes it. early: with the statistics of the first four blocks."""

    def encode(images_N3SS: torch.Tensor) -> list[torch.Tensor]:
        with torch.inference_mode():
            return encoder._encode_batch(images_N3SS, early=early)

    return encode


def compare_passes(
    context: Context, count: int, plain: Callable[[], object], changed: Callable[[], object]
) -> Mapping[str, float]:
    """Return the images per second of both ways, and their ratio; taken in turns, the best of two counts.

    count: images of one call.
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

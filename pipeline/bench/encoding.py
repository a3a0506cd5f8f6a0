"""The encoder alone, compared with the speed of bare matrix products.

Letters: N images; S their side.
"""

import time
from collections.abc import Callable

import torch

from pipeline.bench.result import Goal, Measured
from pipeline.clip_model import LoadedClip
from pipeline.process import Models

_DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
_SIDES_ON_CPU, _SIDES_ON_GPU = (2048, 4096), (8192, 16384)


def best_seconds(work: Callable[[], object], repeats: int, device: torch.device) -> float:
    """Return the shortest time of some work, after one call for warm-up.

    Args:
        work: The work.
        repeats: Number of timed calls.
        device: Device to synchronise with.

    Returns:
        Seconds.
    """
    return min(_seconds(work, device) for _ in range(repeats + 1))


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    began = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def matmul_flops(device: torch.device, precision: str, repeats: int) -> float:
    """Return the FLOP/s of the fastest of some large square matrix products, as the device's limit.

    Args:
        device: The device.
        precision: fp32, bf16 or fp16.
        repeats: Number of timed products of each size.
    """
    best = 0.0
    for side in _SIDES_ON_GPU if device.type == "cuda" else _SIDES_ON_CPU:
        a = torch.randn(side, side, dtype=_DTYPES[precision], device=device)
        best = max(best, 2 * side**3 / best_seconds(lambda a=a: a @ a, repeats, device))  # type: ignore[misc]
    return best


def flops_per_picture(
    *, num_blocks: int, width: int, mlp_width: int, num_patches: int, patch_px: int, embed_width: int
) -> int:
    """Return the floating point operations of an image encoder for one image; a multiply-add counts as two.

    Only products are counted: of patches, of queries, keys, values and output, of attention, of the MLP, and
    of the projection.

    Args:
        num_blocks: Transformer blocks.
        width: Channels of the transformer.
        mlp_width: Channels inside the MLP.
        num_patches: Patches of an image, without the class token.
        patch_px: Side of a patch, in pixels.
        embed_width: Channels of the embedding.
    """
    tokens = num_patches + 1
    block = 2 * tokens * width * (4 * width + 2 * mlp_width) + 4 * tokens * tokens * width
    return num_blocks * block + 2 * num_patches * 3 * patch_px**2 * width + 2 * width * embed_width


def flops_of(clip: LoadedClip) -> int:
    """Return the floating point operations of a model's image encoder for one image."""
    visual = clip.model.visual
    return flops_per_picture(
        num_blocks=len(visual.transformer.resblocks),
        width=clip.encoder_width,
        mlp_width=int(visual.transformer.resblocks[0].mlp.c_fc.out_features),
        num_patches=clip.num_patches,
        patch_px=int(visual.conv1.kernel_size[0]),
        embed_width=clip.embed_width,
    )


def encode(models: Models, repeats: int, num_pictures: int) -> Measured:
    """Measure the bare encoder on uint8 images, alternating with the device's limit.

    Args:
        models: The encoder.
        repeats: Number of rounds, in which both alternate; the best of each counts, and the median of the
            ratios.
        num_pictures: Number of images, rounded down to whole batches, at least one batch.
    """
    size = models.encoder.batch_pictures
    n = max(size, num_pictures // size * size)
    side = models.clip.picture_side_px
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 256, (n, 3, side, side), dtype=torch.uint8, generator=generator)
    pictures = pictures.to(models.device)
    plains, ceilings, early = [], [], float("inf")
    warm_up = 1 if models.device.type == "cuda" else 0
    for _ in range(repeats):
        ceilings.append(matmul_flops(models.device, models.encoder.precision, 2))
        plains.append(best_seconds(lambda: models.encoder.encode(pictures, early=False), 1, models.device))
        early = min(
            early, best_seconds(lambda: models.encoder.encode(pictures, early=True), warm_up, models.device)
        )
    of_run, plain, ceiling = flops_of(models.clip) * n, min(plains), max(ceilings)
    goal = Goal.of_rounds(
        "bare encoder FLOP/s / matmul ceiling",
        [of_run / seconds / limit for seconds, limit in zip(plains, ceilings, strict=True)],
        at_least=0.55, aim=0.75,
    )  # fmt: skip
    numbers = {
        "precision": models.encoder.precision,
        "batch_pictures": size,
        "gflop_per_picture": flops_of(models.clip) / 1e9,
        "pictures_per_second": n / plain,
        "pictures_per_second_with_early_blocks": n / early,
        "gflops": of_run / plain / 1e9,
        "matmul_ceiling_gflops": ceiling / 1e9,
    }
    return Measured(numbers=numbers, goals=(goal,))

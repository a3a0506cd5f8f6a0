"""The encoder alone, against the matrix products that it is made of.

Letters: N pictures; S their side.
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
    """The least time that `work` took, after one call to warm up; waits for the device."""
    return min(_seconds(work, device) for _ in range(repeats + 1))


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    began = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def matmul_flops(device: torch.device, precision: str, repeats: int) -> float:
    """FLOP/s of the best of some large square matrix products: what the device can do at most."""
    best = 0.0
    for side in _SIDES_ON_GPU if device.type == "cuda" else _SIDES_ON_CPU:
        a = torch.randn(side, side, dtype=_DTYPES[precision], device=device)
        best = max(best, 2 * side**3 / best_seconds(lambda a=a: a @ a, repeats, device))  # type: ignore[misc]
    return best


def flops_per_picture(
    *, num_blocks: int, width: int, mlp_width: int, num_patches: int, patch_px: int, embed_width: int
) -> int:
    """Return the floating point operations of a vision tower for one picture, a multiply-add counted as two.

    Widths are numbers of channels; num_patches does not count the class token.

    Products alone: patches, queries, keys, values and output, attention, MLP, projection.
    """
    tokens = num_patches + 1
    block = 2 * tokens * width * (4 * width + 2 * mlp_width) + 4 * tokens * tokens * width
    return num_blocks * block + 2 * num_patches * 3 * patch_px**2 * width + 2 * width * embed_width


def flops_of(clip: LoadedClip) -> int:
    """Return the operations of a model's vision tower for one picture."""
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
    """The bare encoder on uint8 pictures, in its own batches, and the ceiling, taken in turns."""
    size = models.encoder.batch_pictures
    n = max(size, num_pictures // size * size)
    side = models.clip.picture_side_px
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 256, (n, 3, side, side), dtype=torch.uint8, generator=generator)
    pictures = pictures.to(models.device)
    ceiling, plain, early = 0.0, float("inf"), float("inf")
    warm_up = 1 if models.device.type == "cuda" else 0
    for _ in range(repeats):
        ceiling = max(ceiling, matmul_flops(models.device, models.encoder.precision, 2))
        plain = min(
            plain, best_seconds(lambda: models.encoder.encode(pictures, early=False), 1, models.device)
        )
        early = min(
            early, best_seconds(lambda: models.encoder.encode(pictures, early=True), warm_up, models.device)
        )
    flops = flops_of(models.clip) * n / plain
    goal = Goal(what="bare encoder FLOP/s / matmul ceiling", value=flops / ceiling, at_least=0.55, aim=0.75)
    numbers = {
        "precision": models.encoder.precision,
        "batch_pictures": size,
        "gflop_per_picture": flops_of(models.clip) / 1e9,
        "pictures_per_second": n / plain,
        "pictures_per_second_with_early_blocks": n / early,
        "gflops": flops / 1e9,
        "matmul_ceiling_gflops": ceiling / 1e9,
    }
    return Measured(numbers=numbers, goals=(goal,))

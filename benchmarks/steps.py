"""Time of a training epoch on a cache of DFEW's size, with plain steps and on CUDA with graphed ones.

    python -m benchmarks.steps --out benchmarks/results/steps-gpu.json

The cache has random features in the sizes of ViT-L/14 (16 frames, 768 wide). The model has 12 TFE blocks and
64 prompt vectors, and batches have 16 clips. Series of steps are timed in turns, with one synchronisation at
the end of each series; the best counts. 90 epochs, of steps only, are the nine rows of Table III with ten
epochs each. ``launch_share`` is the fraction of a step in which the GPU runs no kernel: one minus the
kernels' time of a step, by torch's profiler, divided by the step's time without the profiler.
"""

import argparse
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.gpu_steps.kernels import kernel_times
from pipeline.bench.load import synthetic_cache
from pipeline.bench.result import about_this_run
from pipeline.clip_model import EncoderConfig, load_clip_model
from pipeline.config import override
from pipeline.datasets.synthetic import CLASSES
from pipeline.device import choose_device
from pipeline.store.reader import FeatureCache
from trainer.batches import Batch, ClipData
from trainer.clip_loading import load_clips
from trainer.config import TrainConfig
from trainer.model import FeatureShape, OusModel
from trainer.precision import in_bf16
from trainer.presets import paper
from trainer.prompts import ClassPrompts, TextTower
from trainer.steps import Steps, TrainState, steps_of

_UNTIMED = 5


def endless(data: ClipData, batch_size: int) -> Iterator[Batch]:
    """Yield whole batches, epoch after epoch."""
    generator = torch.Generator().manual_seed(0)
    places = torch.arange(len(data.label_N) // batch_size * batch_size)
    while True:
        yield from data.training_batches(places, batch_size, False, generator)


def timed(take: Steps, batches: Iterator[Batch], steps: int, lr: float) -> float:
    """Time a series of steps.

    Args:
        take: Function that takes a step.
        batches: Batches of clips.
        steps: Number of steps.
        lr: Learning rate.

    Returns:
        Mean seconds of a step.
    """
    began, last = time.perf_counter(), torch.empty(0)
    for batch in itertools.islice(batches, steps):
        last = take(batch, lr)["loss"]
    last.item()  # waits for the device
    return (time.perf_counter() - began) / steps


def kernel_seconds(take: Steps, batches: Iterator[Batch], steps: int, lr: float) -> float:
    """Return the seconds of a step's kernels, without the profiler's overhead for launches.

    Arguments are those of `timed`.
    """
    return kernel_times(lambda: timed(take, batches, steps, lr)).seconds / steps


def main() -> None:
    """Write the cache, time steps and write the result."""
    parser = argparse.ArgumentParser(description="Training steps, plain and graphed.")
    parser.add_argument("--clips", type=int, default=9_356)
    parser.add_argument("--steps", type=int, default=100, help="steps of a series")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--encoder", default="ViT-L-14-quickgelu", help="CLIP model of the text encoder")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    device = choose_device(args.device)
    about = about_this_run({}, {name: str(value) for name, value in vars(args).items()})
    config = override(paper(), args.settings)
    clip = load_clip_model(EncoderConfig(name=args.encoder, weights="random", seed=0))
    tower = TextTower(clip, CLASSES, config.prompts.length).to(device)
    if in_bf16(config.prompts.precision, device):
        tower.to(torch.bfloat16)
    del clip
    with tempfile.TemporaryDirectory(prefix="ous-steps-") as folder:
        path = Path(folder) / "feats.zarr"
        synthetic_cache(path, args.clips)
        with FeatureCache.open(path) as cache:
            shape = FeatureShape.of(cache.meta)
            began = time.perf_counter()
            data = load_clips(cache, np.arange(args.clips), config, device)
            load_seconds = time.perf_counter() - began
    ways: dict[str, tuple[TrainConfig, Steps]] = {}
    for name in ("plain", *(["graphed"] if device.type == "cuda" else [])):
        own = override(config, [f"optim.graphed={str(name == 'graphed').lower()}"])
        model = OusModel(own, shape).to(device).train()
        prompts = ClassPrompts(own.prompts, len(CLASSES), tower.width).to(device)
        ways[name] = own, steps_of(TrainState.of(own, model, prompts, tower), device)
    batches = endless(data, config.optim.batch_size)
    took: dict[str, list[float]] = {name: [] for name in ways}
    for own, take in ways.values():
        timed(take, batches, _UNTIMED, own.optim.lr)
    for _ in range(args.repeats):
        for name, (own, take) in ways.items():
            took[name].append(timed(take, batches, args.steps, own.optim.lr))
    num_steps = -(-args.clips // config.optim.batch_size)
    rows: dict[str, dict[str, Any]] = {
        name: {
            "step_ms": 1e3 * min(times),
            "epoch_seconds": num_steps * min(times),
            "90_epochs_minutes": 90 * num_steps * min(times) / 60,
        }
        for name, times in took.items()
    }
    if device.type == "cuda":
        for name, (own, take) in ways.items():
            kernels = kernel_seconds(take, batches, args.steps, own.optim.lr)
            rows[name]["launch_share"] = 1 - kernels / min(took[name])
    result = {
        **about,
        "residence": data.residence,
        "load_seconds": load_seconds,
        "steps_of_an_epoch": num_steps,
        "ways": rows,
    }
    text = json.dumps(result, indent=2) + "\n"
    args.out.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()

"""Time of an epoch on the cache, compared with an epoch that runs the frozen encoder on the clips.

    python -m benchmarks.epoch --clips FOLDER --detector-weights retinaface_mobilenet0.25.pth --out FILE

The clips are extracted once, which is timed; without a cache, every epoch would need that time. Then steps
on the cached features are timed as in a run, a batch at a time, with the gathering of clips. Both have the
same clips, model, machine and threads. ``encoder_alone`` adds only the encoder's time to a step, as if the
crops were in memory; ``from_video`` also adds decoding, detection and cropping. The encoder has random
weights, which does not change its time.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from pipeline.bench.clips import prepared_clips
from pipeline.bench.result import about_this_run
from pipeline.config import from_dict, override
from pipeline.device import choose_device
from pipeline.display.text import lines
from pipeline.process import ExtractConfig, load_models
from pipeline.runner import executor_of, extract
from pipeline.store.reader import FeatureCache
from trainer.clip_loading import load_clips
from trainer.config import TrainConfig
from trainer.model import FeatureShape, OusModel
from trainer.presets import PRESETS, preset
from trainer.prompts import ClassPrompts, load_text_tower
from trainer.steps import TrainState, steps_of

DFEW_TRAINING_CLIPS = 9_356  # in fold 1


def extraction(folder: Path, cache: Path, config: ExtractConfig, num_clips: int, device: torch.device) -> Any:
    """Extract clips into a cache and return the speed.

    Args:
        folder: Directory of videos.
        cache: Directory of the cache.
        config: The settings of all steps.
        num_clips: Number of clips.
        device: Device of the models.
    """
    with tempfile.TemporaryDirectory(prefix="ous-epoch-") as clips:
        index = prepared_clips(folder, num_clips, Path(clips))
        sys.stderr.writelines(f"note: {note}\n" for note in index.notes)
        report = extract(index, config, executor_of(load_models(config, device)), cache)
    if report.num_failed or report.speed is None:
        raise RuntimeError("\n".join(lines(report)))
    return report.speed


def step_seconds(cache: Path, config: TrainConfig, steps: int, device: torch.device) -> list[float]:
    """Return the seconds of each training step on a cache, after some steps for warm-up.

    Args:
        cache: Directory of the cache.
        config: Settings of the training.
        steps: Number of timed steps.
        device: Device of the model.
    """
    with FeatureCache.open(cache) as features:
        meta = features.meta
        data = load_clips(features, np.arange(meta.num_clips), config, device)
        model = OusModel(config, FeatureShape.of(meta)).to(device)
        tower = load_text_tower(meta, config.prompts, device)
        prompts = ClassPrompts(config.prompts, len(meta.class_names), tower.width).to(device)
    model.train()
    take = steps_of(TrainState.of(config, model, prompts, tower), device)
    places, generator, took = torch.arange(meta.num_clips), torch.Generator().manual_seed(0), []
    while len(took) < steps + 4:
        began = time.perf_counter()
        for batch in data.training_batches(places, config.optim.batch_size, False, generator):
            take(batch, config.optim.lr)["loss"].item()  # waits for the device
        took.append(time.perf_counter() - began)
    return took[4:]


def main() -> None:
    """Extract clips, time steps and write the result."""
    parser = argparse.ArgumentParser(description="A step on the cache, compared with one with the encoder.")
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--detector-weights", required=True)
    parser.add_argument("--encoder", default="ViT-L-14-quickgelu")
    parser.add_argument("--preset", default="default", choices=sorted(PRESETS))
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    device = choose_device(args.device)
    about = about_this_run({}, {name: str(value) for name, value in vars(args).items()})
    values = {
        "detector": {"name": "retinaface-mobilenet0.25", "weights": args.detector_weights},
        "encoder": {"name": args.encoder, "weights": "random"},
    }
    config = from_dict(ExtractConfig, values)
    sized = [f"optim.batch_size={args.batch}", "data.polarity_map=any:neutral", *args.settings]
    training = override(preset(args.preset), sized)
    with tempfile.TemporaryDirectory(prefix="ous-epoch-") as folder:
        cache = Path(folder) / "feats.zarr"
        speed = extraction(args.clips, cache, config, args.batch, device)
        took = step_seconds(cache, training, args.steps, device)
    step, whole, encoder = median(took), speed.seconds, speed.busy["encode"] * speed.seconds
    epoch = DFEW_TRAINING_CLIPS / args.batch
    result = {
        **about,
        "threads": torch.get_num_threads(),
        "prompt_vectors": training.prompts.length,
        "pictures_of_a_step": round(speed.pictures),
        "step_on_the_cache_seconds": step,
        "all_steps_seconds": took,
        "encoder_alone": {"seconds_of_a_step": encoder, "times_cheaper": (encoder + step) / step},
        "from_video": {"seconds_of_a_step": whole, "times_cheaper": (whole + step) / step},
        "epoch_of_dfew_hours": {
            "clips": DFEW_TRAINING_CLIPS,
            "on_the_cache": step * epoch / 3600,
            "with_the_encoder": (encoder + step) * epoch / 3600,
            "from_video": (whole + step) * epoch / 3600,
        },
    }
    text = json.dumps(result, indent=2) + "\n"
    args.out.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()

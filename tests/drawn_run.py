"""Drawn clips, and a run that was trained on features of their detected faces."""

from pathlib import Path

import torch

from pipeline.config import from_dict, override
from pipeline.datasets import read_dataset
from pipeline.datasets.synthetic import SyntheticConfig, write_synthetic
from pipeline.process import ExtractConfig, load_models
from pipeline.runner import RunOptions, executor_of
from pipeline.runner import extract as extract_cache
from tests.tiny_clip import modest_model
from trainer.presets import smoke
from trainer.training import train

SETTINGS = {
    "frames": {"num_frames": 4},
    "detector": {"name": "haar"},
    "encoder": {"name": modest_model(), "weights": "random"},
    "features": {"precision": "fp32", "batch_pictures": 8},
}
FACE_ONLY = ("model.scene=false", "model.polarity=false")


def write_drawn(root: Path) -> Path:
    """Draw 28 clips of 8 frames with a manifest, and return their directory."""
    write_synthetic(root, SyntheticConfig(num_clips=28, num_frames=8), lambda *_: None)
    return root


def extract_drawn(dataset: str, root: Path, cache: Path, **settings: object) -> Path:
    """Extract a dataset with the settings of the run, and return the cache."""
    config = from_dict(ExtractConfig, {**SETTINGS, **settings})
    models = load_models(config, torch.device("cpu"))
    extract_cache(read_dataset(dataset, root), config, executor_of(models), cache, RunOptions())
    return cache


def train_drawn(cache: Path, run: Path, *settings: str) -> Path:
    """Train one epoch on a cache of drawn clips, and return the run's directory."""
    config = override(smoke(), ["schedule.max_epochs=1", "data.validation=train", *settings])
    train(cache, run, config, device="cpu")
    return run

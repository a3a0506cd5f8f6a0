"""A tiny cache that is larger than a pool of memory, trainings on it, and comparisons of their numbers."""

import dataclasses
import json

import torch
from safetensors.torch import load_file

from pipeline.config import override
from tests.tiny_cache import tiny_cache, tiny_meta
from trainer.block_reading import ClipSource
from trainer.clip_loading import load_sources
from trainer.presets import smoke
from trainer.streamed_clips import open_clips

CPU = torch.device("cpu")
NUM = 480
TRAIN = 2 * NUM // 3
QUICK = override(
    smoke(),
    [
        "optim.batch_size=8",
        "data.shuffle_blocks=3",
        "schedule.max_epochs=2",
        "model.dropout=0.2",
        "model.tfe_blocks=1",
    ],
)
DISK = override(QUICK, ["data.residence=disk", "data.pool_gb=0.0017"])
"""The features of 320 clips take 3.9 MB."""


def larger_cache(folder):
    """Write a tiny cache of `NUM` clips, of which `TRAIN` train or validate."""
    return tiny_cache(folder / "feats.zarr", tiny_meta(num_clips=NUM))


def records(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def assert_same_numbers(one, other):
    assert records(one) == records(other)
    for name in ("scenes.safetensors", "training_clips.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    weights = [load_file(run / "best.safetensors") for run in (one, other)]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def opened(cache, config):
    """The clips of a cache, streamed and in memory."""
    rows = torch.arange(TRAIN).flip(0).numpy()
    sources = [ClipSource.of(cache, rows, config)]
    return open_clips(sources, config, CPU), load_sources(sources, config, CPU)


def assert_equal_batches(one, other):
    one, other = list(one), list(other)
    assert len(one) == len(other)
    for found, expected in zip(one, other, strict=True):
        for item in dataclasses.fields(found):
            values = [getattr(batch, item.name) for batch in (found, expected)]
            assert (values[0] is None) == (values[1] is None), item.name
            assert values[0] is None or torch.equal(*values), item.name

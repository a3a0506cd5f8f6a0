"""Two tiny caches of different datasets, and one cache that holds the clips of both."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.config import override
from pipeline.store.meta import CacheMeta
from pipeline.store.reader import FeatureCache
from pipeline.store.writer import CacheWriter
from pipeline.types import Split
from tests.tiny_cache import tiny_cache, tiny_meta, tiny_static
from trainer.presets import smoke

NUM = 48
QUICK = override(smoke(), ["schedule.max_epochs=1"])
SEVERAL = override(smoke(), ["schedule.max_epochs=3", "model.dropout=0.2", "optim.warmup_steps=2"])
TRAIN = 2 * NUM // 3
"""Training clips of a tiny cache, before any are held out."""

CPU = torch.device("cpu")
CONTEMPT = ("joy", "neutral", "sad", "contempt")
"""Classes of `other_cache`: two under other names, one in common, and one that the tiny cache lacks."""


def given_validation() -> np.ndarray:
    """Membership of the tiny cache with six clips that are marked as validation."""
    membership = tiny_static()["membership"].copy()
    membership[3:9] = Split.VALIDATION
    return membership


def other_static(prefix: str = "other", **changes: np.ndarray) -> dict[str, np.ndarray]:
    """Arrays of a dataset with other ids, paths and files."""
    names = np.array([f"{prefix}{row:03d}" for row in range(NUM)], dtype=object)
    sha256 = np.array([f"{NUM + row:064x}" for row in range(NUM)], dtype=object)
    return {"clip_id": names, "path": names, "source_sha256": sha256, **changes}


def other_cache(path: Path, meta: CacheMeta | None = None, **changes: np.ndarray) -> Path:
    """Write a tiny cache of another dataset."""
    return Path(tiny_cache(path, meta or tiny_meta(dataset="other"), signal=1.2, **other_static(**changes)))


def contempt_static() -> dict[str, np.ndarray]:
    """Labels for `CONTEMPT`: every twelfth clip is of the class that the tiny cache lacks."""
    label = np.where(np.arange(NUM) % 12 == 11, 3, np.arange(NUM) % 3).astype(np.int16)
    return {"label": label, "polarity": tiny_static()["polarity"]}


def contempt_cache(path: Path, **changes: np.ndarray) -> Path:
    """Write a cache of another dataset with the classes `CONTEMPT`."""
    meta = tiny_meta(dataset="other", class_names=CONTEMPT)
    return other_cache(path, meta, **{**contempt_static(), **changes})


def write_two(folder: Path) -> tuple[Path, Path]:
    """Write the tiny cache with given validation clips, and a cache of another dataset."""
    first = tiny_cache(folder / "a.zarr", membership=given_validation())
    return Path(first), contempt_cache(folder / "b.zarr")


def records(run_dir: Path) -> list[dict[str, Any]]:
    """Return the epochs of a run without their times."""
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def joined_cache(path: Path, first: Path, added: Path) -> Path:
    """Write a cache of the clips of two with the same classes: those of `first`, then those of `added`.

    The test clips of `added` are in no fold.
    """
    writers = [CacheWriter.resume(place) for place in (first, added)]
    static = {}
    for name in tiny_static():
        parts = []
        for place in (first, added):
            with FeatureCache.open(place) as cache:
                parts.append(cache.read(name))
        static[name] = np.concatenate(parts)
    own_M = static["membership"][NUM:]
    own_M[own_M == Split.TEST] = Split.ABSENT
    writer = CacheWriter.create(path, tiny_meta(num_clips=2 * NUM), static)
    for start in range(0, 2 * NUM, writer.meta.block_clips):
        writer.write_block(start, writers[start // NUM].read_block(start % NUM))
    return path

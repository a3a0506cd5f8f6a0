"""Measure how fast the trainer loads a cache, compared with reading the same bytes.

    python -m trainer.load_speed CACHE [--repeats N]

Prints one JSON document. Files that fit are in the memory of the operating system, so that the disk is not
measured. The repeats alternate, and the best of each counts. The part `load` of `cli.py bench` runs this
module on a synthetic cache.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch

from pipeline.store.reader import FeatureCache
from trainer.clip_loading import load_clips
from trainer.config import TrainConfig

_LOADED = ("face/embedding", "scene/embedding", "scene/early")


def raw_seconds(path: Path, *, kept: bool) -> tuple[float, int]:
    """Return the seconds for reading all files of the loaded arrays one by one, and their size in bytes.

    Args:
        path: Directory of the cache.
        kept: Keep all files in memory, as the trainer does. Otherwise, read every file into the same memory,
            which is the fastest way.
    """
    files = [file for name in _LOADED for file in sorted((path / name / "c").rglob("*")) if file.is_file()]
    sizes = [file.stat().st_size for file in files]
    began = time.perf_counter()
    memory = np.empty(sum(sizes) if kept else max(sizes), dtype=np.uint8)
    start = 0
    for file, size in zip(files, sizes, strict=True):
        with file.open("rb", buffering=0) as opened:
            opened.readinto(memory[start : start + size].data)
        start += size if kept else 0
    return time.perf_counter() - began, sum(sizes)


def load_seconds(path: Path) -> tuple[float, int]:
    """Return the seconds in which the trainer opens a cache and loads all clips, and their number."""
    began = time.perf_counter()
    with FeatureCache.open(path) as cache:
        num_clips = cache.meta.num_clips
        load_clips(cache, np.arange(num_clips), TrainConfig(), torch.device("cpu"))
    return time.perf_counter() - began, num_clips


def main() -> None:
    """Measure both, and print the speeds."""
    parser = argparse.ArgumentParser(description="Measure how fast the trainer loads a cache.")
    parser.add_argument("cache", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    kept, reused, loaded = [], [], []
    for _ in range(args.repeats):
        loaded.append(load_seconds(args.cache))
        kept.append(raw_seconds(args.cache, kept=True))
        reused.append(raw_seconds(args.cache, kept=False))
    (raw, num_bytes), (again, _), (load, num_clips) = min(kept), min(reused), min(loaded)
    result = {
        "clips": num_clips,
        "bytes": num_bytes,
        "raw_mb_per_second": num_bytes / 1e6 / raw,
        "raw_into_reused_memory_mb_per_second": num_bytes / 1e6 / again,
        "load_mb_per_second": num_bytes / 1e6 / load,
        "load_seconds": load,
    }
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()

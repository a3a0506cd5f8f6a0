"""How fast the trainer loads a cache, against reading the same bytes raw.

    python -m trainer.load_speed CACHE [--repeats N]

Prints one JSON document. Both read files that the operating system has in memory where they fit: the work on
the way is measured, not the disk. The best of the repeats counts; the repeats are taken in turns. The part
`load` of `cli.py bench` runs this module on a synthetic cache.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch

from pipeline.store.reader import FeatureCache
from trainer.batches import load_clips
from trainer.config import TrainConfig

_LOADED = ("face/embedding", "scene/embedding", "scene/early")


def raw_seconds(path: Path, *, kept: bool) -> tuple[float, int]:
    """Return the seconds in which all files of the loaded arrays are read one by one, and their bytes.

    Args:
        path: Directory of the cache.
        kept: Read into memory that holds all of them in the end, as a load does. Otherwise every file is read
            into the same memory, which is the most that the system can give.
    """
    files = [file for name in _LOADED for file in sorted((path / name / "c").rglob("*")) if file.is_file()]
    sizes = [file.stat().st_size for file in files]
    began = time.perf_counter()
    memory = np.empty(sum(sizes) if kept else max(sizes), dtype=np.uint8)
    place = 0
    for file, size in zip(files, sizes, strict=True):
        with file.open("rb", buffering=0) as opened:
            opened.readinto(memory[place : place + size].data)
        place += size if kept else 0
    return time.perf_counter() - began, sum(sizes)


def load_seconds(path: Path) -> tuple[float, int]:
    """Return the seconds of the trainer's own load of all clips, and their number; opening it included."""
    began = time.perf_counter()
    with FeatureCache.open(path) as cache:
        num_clips = cache.meta.num_clips
        load_clips(cache, np.arange(num_clips), TrainConfig(), torch.device("cpu"))
    return time.perf_counter() - began, num_clips


def main() -> None:
    """Read the cache both ways and print the speeds."""
    parser = argparse.ArgumentParser(description="The trainer's load against a raw read.")
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

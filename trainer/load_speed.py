"""Measure how fast the trainer loads a cache, compared with reading the same bytes.

    python -m trainer.load_speed CACHE [--repeats N]

Prints one JSON document. Each repeat has a cold and a warm turn. Before each cold measurement, the kernel is
asked to drop the pages of the files, so that the disk is measured too. In the warm turn, files that fit are
in the memory of the operating system. The best of each measurement counts. The part `load` of `cli.py bench`
runs this module on a synthetic cache.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from pipeline.store.reader import FeatureCache
from trainer.clip_loading import load_clips
from trainer.config import TrainConfig

_LOADED = ("face/embedding", "scene/embedding", "scene/early")


def files_of(path: Path) -> list[Path]:
    """Return all files of the loaded arrays."""
    return [file for name in _LOADED for file in sorted((path / name / "c").rglob("*")) if file.is_file()]


def drop_pages(files: list[Path]) -> None:
    """Write all changed pages to the disk, and ask the kernel to drop those of some files from its memory."""
    os.sync()
    for file in files:
        with file.open("rb") as opened:
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def raw_seconds(files: list[Path], *, kept: bool) -> tuple[float, int]:
    """Return the seconds for reading files one by one, and their size in bytes.

    Args:
        files: The files.
        kept: Keep all files in new memory. Otherwise, read every file into the same memory, which is the
            fastest way.
    """
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
    files = files_of(args.cache)
    found: dict[str, list[tuple[float, int]]] = {}
    measurements: dict[str, Callable[[], tuple[float, int]]] = {
        "load": lambda: load_seconds(args.cache),
        "raw": lambda: raw_seconds(files, kept=False),
        "raw_kept": lambda: raw_seconds(files, kept=True),
    }
    for _ in range(args.repeats):
        for state in ("cold", "warm"):
            for name, measure in measurements.items():
                if state == "cold":
                    drop_pages(files)
                found.setdefault(f"{state}_{name}", []).append(measure())
    best = {name: min(values) for name, values in found.items()}
    num_bytes = best["warm_raw"][1]
    result: dict[str, float] = {"clips": best["warm_load"][1], "bytes": num_bytes}
    result |= {f"{name}_mb_per_second": num_bytes / 1e6 / seconds for name, (seconds, _) in best.items()}
    result["warm_load_seconds"] = best["warm_load"][0]
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()

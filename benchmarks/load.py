"""The trainer's load of a synthetic cache of a data set's size, against reading the same bytes raw.

    python -m benchmarks.load --clips 16372

Prints one JSON document. Both read files that the system has in memory where they fit: it is the
work on the way that is measured, not the disk. The best of the repeats counts, taken in turns.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.clip_model import LoadedClip
from pipeline.datasets.emotions import polarity_of_class
from pipeline.datasets.synthetic import CLASSES
from pipeline.store.meta import CacheMeta
from pipeline.store.reader import FeatureCache
from pipeline.store.table import table_of
from pipeline.store.writer import CacheWriter
from pipeline.types import ClipRef, DatasetIndex, Split, Status
from trainer.batches import load_clips
from trainer.config import TrainConfig

BLOCK_CLIPS, NUM_FRAMES, EMBED_WIDTH, ENCODER_WIDTH = 64, 16, 768, 1024
LOADED = ("face/embedding", "scene/embedding", "scene/early")


def synthetic_cache(path: Path, num_clips: int, clip: LoadedClip | None = None) -> None:
    """Write a cache of random features, all clips done, one block over and over; every fifth is a test clip.

    clip: the model with random weights that the cache is to be of, so that it can be trained on; None for
    the sizes of ViT-L/14.
    """
    meta = CacheMeta(
        dataset="synthetic", class_names=CLASSES, fold_names=("1",), num_clips=num_clips,
        block_clips=BLOCK_CLIPS, num_views=1, num_frames=NUM_FRAMES, num_tokens=0, encoder_weights="random",
        identity={}, fingerprint="f" * 64, **_of_encoder(clip),
    )  # fmt: skip
    clips = tuple(
        ClipRef(
            clip_id=f"clip-{n:06d}",
            path=f"{n}.mp4",
            label=n % len(CLASSES),
            polarity=polarity_of_class(CLASSES[n % len(CLASSES)]),
            splits=(Split.TEST if n % 5 == 4 else Split.TRAIN,),
        )
        for n in range(num_clips)
    )
    index = DatasetIndex(
        name=meta.dataset,
        root=path.parent,
        class_names=meta.class_names,
        fold_names=meta.fold_names,
        clips=clips,
    )
    writer = CacheWriter.create(path, meta, table_of(clips, index))
    generator = np.random.default_rng(0)
    for start in range(0, num_clips, BLOCK_CLIPS):
        rows = writer.empty_rows(start)
        if start == 0:
            features = {name: generator.normal(size=rows[name].shape).astype(np.float16) for name in LOADED}
        for name in LOADED:
            rows[name] = features[name][: len(rows[name])]
        rows["frame_valid"][:] = True
        rows["status"][:] = Status.DONE
        writer.write_block(start, rows)


def _of_encoder(clip: LoadedClip | None) -> dict[str, Any]:
    """What a cache's attributes name of its encoder."""
    if clip is None:
        return {
            "embed_width": EMBED_WIDTH, "encoder_width": ENCODER_WIDTH, "encoder_name": "ViT-L-14-quickgelu",
            "encoder_sha256": "0" * 64, "text_sha256": "0" * 64, "config": {},
        }  # fmt: skip
    name, seed = clip.config.name, clip.config.seed
    return {
        "embed_width": clip.embed_width,
        "encoder_width": clip.encoder_width,
        "encoder_name": name,
        "encoder_sha256": clip.visual_sha256,
        "text_sha256": clip.text_sha256,
        "config": {"encoder": {"name": name, "weights": "random", "seed": seed}},
    }


def raw_seconds(path: Path, *, kept: bool) -> tuple[float, int]:
    """Seconds to read all files of the loaded arrays one after the other, and their bytes.

    kept: into memory that holds all of them in the end, as a load does; else into the same memory
    over and over, which is all that the system can give.
    """
    files = [file for name in LOADED for file in sorted((path / name / "c").rglob("*")) if file.is_file()]
    sizes = [file.stat().st_size for file in files]
    began = time.perf_counter()
    memory = np.empty(sum(sizes) if kept else max(sizes), dtype=np.uint8)
    place = 0
    for file, size in zip(files, sizes, strict=True):
        with file.open("rb", buffering=0) as opened:
            opened.readinto(memory[place : place + size].data)
        place += size if kept else 0
    return time.perf_counter() - began, sum(sizes)


def load_seconds(path: Path, num_clips: int) -> float:
    """Seconds of the trainer's own load of all clips, opening the cache included."""
    began = time.perf_counter()
    with FeatureCache.open(path) as cache:
        load_clips(cache, np.arange(num_clips), TrainConfig(), torch.device("cpu"))
    return time.perf_counter() - began


def main() -> None:
    """Write the cache, read it both ways, print."""
    parser = argparse.ArgumentParser(description="The trainer's load against a raw read.")
    parser.add_argument("--clips", type=int, default=16_372)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ous-load-") as folder:
        path = Path(folder) / "feats.zarr"
        synthetic_cache(path, args.clips)
        kept, reused, loaded = [], [], []
        for _ in range(args.repeats):
            kept.append(raw_seconds(path, kept=True))
            reused.append(raw_seconds(path, kept=False))
            loaded.append(load_seconds(path, args.clips))
    (raw, num_bytes), (again, _), load = min(kept), min(reused), min(loaded)
    result = {
        "clips": args.clips,
        "bytes": num_bytes,
        "raw_mb_per_second": num_bytes / 1e6 / raw,
        "raw_into_reused_memory_mb_per_second": num_bytes / 1e6 / again,
        "load_mb_per_second": num_bytes / 1e6 / load,
        "load_seconds": load,
    }
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()

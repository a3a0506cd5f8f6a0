"""The trainer's load of a synthetic cache of a dataset's size, compared with reading the same bytes.

The pipeline must not import the trainer, therefore `trainer/load_speed.py` runs in a process of its own.
"""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.bench.result import Goal, Measured
from pipeline.bench.separate_process import run_module
from pipeline.clip_model import LoadedClip
from pipeline.datasets.emotions import polarity_of_class
from pipeline.datasets.synthetic import CLASSES
from pipeline.scratch import ScratchDirectory
from pipeline.store.clip_table import table_of
from pipeline.store.meta import CacheMeta
from pipeline.store.writer import CacheWriter
from pipeline.types import ClipRef, DatasetIndex, Split, Status

_BLOCK_CLIPS, _NUM_FRAMES, _EMBED_WIDTH, _ENCODER_WIDTH = 64, 16, 768, 1024
_WRITTEN = ("face/embedding", "scene/embedding", "scene/early")


def load(num_clips: int, repeats: int) -> Measured:
    """Measure the trainer's load of a synthetic cache of `num_clips` clips; the best of `repeats` counts.

    The bytes are also read without the trainer, into memory that is used again. With a cold page cache, the
    disk has to be read; with a warm one, a cache that fits is in memory.
    """
    with ScratchDirectory("bench") as folder:
        synthetic_cache(folder / "feats.zarr", num_clips)
        numbers = run_module("trainer.load_speed", folder / "feats.zarr", "--repeats", repeats)
    goals = tuple(
        Goal(
            what=f"trainer's load / reading the same bytes, {state} page cache",
            value=numbers[f"{state}_load_mb_per_second"] / numbers[f"{state}_raw_mb_per_second"],
            at_least=0.5,
            aim=0.8,
        )
        for state in ("cold", "warm")
    )
    return Measured(numbers=numbers, goals=goals)


def synthetic_cache(path: Path, num_clips: int, clip: LoadedClip | None = None) -> None:
    """Write a cache of random features, in which all clips are done and every fifth is a test clip.

    Every block has features of its own, of 16 frames per clip.

    Args:
        path: Directory of the cache, which must not exist.
        num_clips: Number of clips.
        clip: CLIP model with random weights for which the cache is made, so that a run can train on it; None
            for the sizes of ViT-L/14.
    """
    meta = CacheMeta(
        dataset="synthetic", class_names=CLASSES, fold_names=("1",), num_clips=num_clips,
        block_clips=_BLOCK_CLIPS, num_views=1, num_frames=_NUM_FRAMES, num_tokens=0, encoder_weights="random",
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
    for start in range(0, num_clips, _BLOCK_CLIPS):
        rows = writer.empty_rows(start)
        for name in _WRITTEN:
            features = generator.standard_normal(rows[name].shape, dtype=np.float32)
            rows[name] = features.astype(np.float16)
        rows["frame_valid"][:] = True
        rows["status"][:] = Status.DONE
        writer.write_block(start, rows)


def _of_encoder(clip: LoadedClip | None) -> dict[str, Any]:
    """Return the attributes of a cache that describe its encoder."""
    if clip is None:
        return {
            "embed_width": _EMBED_WIDTH, "encoder_width": _ENCODER_WIDTH,
            "encoder_name": "ViT-L-14-quickgelu", "encoder_sha256": "0" * 64,
            "text_sha256": "0" * 64, "config": {},
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

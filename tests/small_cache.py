"""A complete cache of a few kilobytes, without any model: for tests of what is stored."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.fingerprint import sha256_json
from pipeline.store.meta import CacheMeta
from pipeline.store.writer import CacheWriter
from pipeline.versions import SECTIONS, VERSIONS

VERSIONED = {section: {"version": VERSIONS[step]} for section, step in SECTIONS.items()}
"""An identity of this program's algorithms."""
IDENTITY = VERSIONED | {
    "encoder": "none",
    "features": VERSIONED["features"] | {"precision": "fp32"},
    "detector": VERSIONED["detector"] | {"precision": "fp32"},
}


def small_meta(**changes: Any) -> CacheMeta:
    """The attributes of a cache of six clips in blocks of four."""
    values: dict[str, Any] = {
        "dataset": "manifest",
        "class_names": ("fear", "joy"),
        "fold_names": ("1",),
        "num_clips": 6,
        "block_clips": 4,
        "num_views": 1,
        "num_frames": 2,
        "embed_width": 3,
        "encoder_width": 5,
        "num_tokens": 0,
        "encoder_name": "none",
        "encoder_weights": "random",
        "encoder_sha256": "0" * 64,
        "text_sha256": "1" * 64,
        "identity": IDENTITY,
        "fingerprint": sha256_json(IDENTITY),
        "config": {"encoder": {"name": "none"}, "dataset": {"name": "manifest", "root": "clips"}},
    }
    return CacheMeta(**(values | changes))


def small_cache(path: Path, **changes: Any) -> Path:
    """Write it at `path`: every clip done, features rising."""
    meta = small_meta(**changes)
    n = meta.num_clips
    static = {
        "clip_id": np.array([f"{i}.mp4" for i in range(n)], dtype=object),
        "path": np.array([f"{i}.mp4" for i in range(n)], dtype=object),
        "face_path": np.full(n, "", dtype=object),
        "start_seconds": np.zeros(n),
        "end_seconds": np.full(n, -1.0),
        "given_boxes_sha256": np.full(n, "", dtype=object),
        "label": (np.arange(n) % 2).astype(np.int16),
        "polarity": np.zeros(n, dtype=np.int8),
        "membership": np.ones((n, len(meta.fold_names)), dtype=np.uint8),
        "votes": np.full((n, len(meta.class_names)), np.nan, dtype=np.float32),
    }
    writer = CacheWriter.create(path, meta, static)
    for start in range(0, n, meta.block_clips):
        rows = writer.empty_rows(start)
        for name in ("face/embedding", "scene/embedding", "scene/early"):
            rows[name] = np.arange(rows[name].size, dtype=np.float16).reshape(rows[name].shape)
        rows["source_bytes"][:] = 100
        rows["status"][:] = 1
        writer.write_block(start, rows)
    return path

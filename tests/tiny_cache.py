"""A small feature cache that a model can learn from, written through the real writer.

Every clip's features are its class's direction plus noise. The encoder has a few thousand random weights:
a real text tower, and a small one.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.config import to_dict
from pipeline.store.meta import CacheMeta
from pipeline.store.writer import CacheWriter
from pipeline.types import Split, Status
from tests.small_cache import VERSIONED
from tests.tiny_clip import modest_clip

CLASSES = ("happiness", "neutral", "sadness")
POLARITY_OF = {"happiness": 2, "neutral": 1, "sadness": 0}
NUM_FRAMES = 4


def tiny_meta(**changes: object) -> CacheMeta:
    """The attributes of the tiny cache, some of them changed."""
    clip = modest_clip()
    meta = CacheMeta(
        dataset="tiny",
        class_names=CLASSES,
        fold_names=("1",),
        num_clips=48,
        block_clips=8,
        num_views=2,
        num_frames=NUM_FRAMES,
        embed_width=clip.embed_width,
        encoder_width=clip.encoder_width,
        num_tokens=0,
        encoder_name=clip.config.name,
        encoder_weights=clip.config.weights,
        encoder_sha256=clip.visual_sha256,
        text_sha256=clip.text_sha256,
        identity={**VERSIONED, "encoder": clip.visual_sha256},
        fingerprint="f" * 64,
        config={"encoder": to_dict(clip.config)},
    )
    return replace(meta, **changes)


def tiny_cache(
    path: Path | str, /, meta: CacheMeta | None = None, *, signal: float = 1.7, **static: np.ndarray
) -> Path | str:
    """Write the cache at `path`. static: arrays known beforehand that differ from the usual ones.

    signal: standard deviation of a class's direction, in those of the noise.

    Clips 0, 1, 2, 3, ... show classes 0, 1, 2, 0, ...; the last third are the test split. Every
    fifth clip has two valid frames only. `status` and `source_sha256`, when given, are written with the
    blocks.
    """
    meta = meta or tiny_meta()
    n = meta.num_clips
    status = static.pop("status", np.full(n, Status.DONE, dtype=np.uint8))
    sha256 = static.pop("source_sha256", np.full(n, "", dtype=object))
    writer = CacheWriter.create(path, meta, {**tiny_static(meta), **static})
    generator = np.random.default_rng(0)
    centre = signal * generator.normal(size=(len(meta.class_names), 2, meta.embed_width))
    early_centre = generator.normal(size=(len(meta.class_names), 4, 3, meta.encoder_width))
    label_N = np.arange(n) % len(meta.class_names)
    for start in range(0, n, meta.block_clips):
        rows = writer.empty_rows(start)
        label_B = label_N[start : start + meta.block_clips]
        shape = rows["face/embedding"].shape
        for stream, name in enumerate(("face/embedding", "scene/embedding")):
            noise = generator.normal(size=shape)
            rows[name] = (centre[label_B, stream][:, None, None] + noise).astype(np.float16)
        early = early_centre[label_B][:, None, None] + generator.normal(size=rows["scene/early"].shape)
        rows["scene/early"] = early.astype(np.float16)
        for name in ("face/tokens", "scene/tokens") if meta.num_tokens else ():
            rows[name] = generator.normal(size=rows[name].shape).astype(np.float16)
        rows["source_bytes"][:] = 1
        rows["source_sha256"][:] = sha256[start : start + meta.block_clips]
        rows["frame_valid"][:] = True
        rows["frame_valid"][(np.arange(len(label_B)) + start) % 5 == 0, :, 2:] = False
        rows["status"] = status[start : start + meta.block_clips]
        writer.write_block(start, rows)
    return path


def write_feature(path: Path | str, clip: int, value: float, name: str = "face/embedding") -> None:
    """Write one value into a clip's features of its first frame, with a checksum that agrees."""
    writer = CacheWriter.resume(path)
    start = clip // writer.meta.block_clips * writer.meta.block_clips
    rows = writer.read_block(start)
    rows[name][clip - start, 0, 0].flat[0] = value
    writer.write_block(start, rows)


def tiny_static(meta: CacheMeta | None = None) -> dict[str, np.ndarray]:
    """The tiny cache's arrays that are known beforehand."""
    meta = meta or tiny_meta()
    n = meta.num_clips
    label_N = np.arange(n) % len(meta.class_names)
    membership = np.full((n, len(meta.fold_names)), Split.TRAIN, dtype=np.uint8)
    membership[2 * n // 3 :] = Split.TEST
    polarity = [POLARITY_OF.get(meta.class_names[label], -1) for label in label_N]
    return {
        "clip_id": np.array([f"clip{i:03d}" for i in range(n)], dtype=object),
        "path": np.array([f"clip{i:03d}.mp4" for i in range(n)], dtype=object),
        "face_path": np.full(n, "", dtype=object),
        "start_seconds": np.zeros(n),
        "end_seconds": np.full(n, -1.0),
        "given_boxes_sha256": np.full(n, "", dtype=object),
        "label": label_N.astype(np.int16),
        "polarity": np.array(polarity, dtype=np.int8),
        "membership": membership,
        "votes": np.full((n, len(meta.class_names)), np.nan, dtype=np.float32),
    }

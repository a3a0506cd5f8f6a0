"""A cache of random features in the shapes of a real one: to measure storage and loading by."""

import numpy as np

from pipeline.fingerprint import sha256_json
from pipeline.store.place import Where
from pipeline.store.schema import RANDOM_WEIGHTS, CacheMeta
from pipeline.store.writer import CacheWriter
from pipeline.types import Split, Status

_CLASSES = {"happy": 2, "sad": 0, "neutral": 1, "angry": 0, "surprise": 2, "disgust": 0, "fear": 0}
_NUM_FOLDS = 5


def noise_meta(num_clips: int, block_clips: int = 64, num_views: int = 1) -> CacheMeta:
    """The attributes of a cache as DFEW's is: ViT-L/14, 16 frames, seven classes, five folds."""
    identity = {"noise": True, "clips": num_clips, "features": {"precision": "fp16"}}
    return CacheMeta(
        dataset="noise",
        class_names=tuple(_CLASSES),
        fold_names=tuple(str(fold + 1) for fold in range(_NUM_FOLDS)),
        num_clips=num_clips,
        block_clips=block_clips,
        num_views=num_views,
        num_frames=16,
        embed_width=768,
        encoder_width=1024,
        num_tokens=0,
        encoder_name="ViT-L-14-quickgelu",
        encoder_weights=RANDOM_WEIGHTS,
        encoder_sha256="0" * 64,
        text_sha256="0" * 64,
        identity=identity,
        fingerprint=sha256_json(identity),
        config={"encoder": {"name": "ViT-L-14-quickgelu", "weights": RANDOM_WEIGHTS}},
        warnings=("NOISE: no clip was ever read; these features are random numbers.",),
    )


def write_noise_cache(where: Where, meta: CacheMeta, seed: int = 0) -> CacheWriter:
    """Write a whole cache of noise; every block holds the same features, drawn once."""
    generator = np.random.default_rng(seed)
    writer = CacheWriter.create(where, meta, _static(meta))
    rows = writer.empty_rows(0)
    for spec in meta.arrays():
        if spec.is_feature:
            rows[spec.name] = generator.standard_normal(rows[spec.name].shape, np.float32).astype(np.float16)
    rows["frame_index"][:] = np.arange(meta.num_frames)
    rows["frame_seconds"][:] = np.arange(meta.num_frames) / 25
    rows["frame_valid"][:] = True
    rows["face_found"][:] = True
    rows["face_box"][:] = (8, 8, 72, 72)
    rows["face_score"][:] = 1
    rows["num_decoded"][:] = meta.num_frames
    rows["source_bytes"][:] = 1
    rows["source_size"][:] = 80
    rows["status"][:] = Status.DONE
    for start in range(0, meta.num_clips, meta.block_clips):
        first, end = writer.block_bounds(start)
        block = {name: value[: end - first] for name, value in rows.items()}
        block["source_sha256"] = np.array([f"{row:064x}" for row in range(first, end)], dtype=object)
        writer.write_block(start, block)
    return writer


def _static(meta: CacheMeta) -> dict[str, np.ndarray]:
    n = meta.num_clips
    label_N = np.arange(n) % len(_CLASSES)
    fold_N1 = (np.arange(n) // len(_CLASSES) % _NUM_FOLDS)[:, None]
    names = np.array([f"{row:07d}" for row in range(n)], dtype=object)
    return {
        "clip_id": names,
        "path": names,
        "start_seconds": np.zeros(n),
        "end_seconds": np.full(n, -1.0),
        "given_boxes_sha256": np.full(n, "", dtype=object),
        "label": label_N.astype(np.int16),
        "polarity": np.array(list(_CLASSES.values()), dtype=np.int8)[label_N],
        "membership": np.where(fold_N1 == np.arange(_NUM_FOLDS), Split.TEST, Split.TRAIN).astype(np.uint8),
    }

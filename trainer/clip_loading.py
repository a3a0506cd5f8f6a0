"""Cached features -> clips in memory: read once, on the device if they fit.

The model uses early-block statistics and patch tokens only as means over valid frames. These means are taken
once, when the features are read. With 16 frames, they take an eighth of the memory, as float32.

With `data.face_frames=in_view`, the face stream has fewer frames than the scene stream: those on which the
subject is in view.

Letters: as in `batches`.
"""

import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from pipeline.errors import CacheError, ConfigError
from pipeline.store.meta import CacheMeta
from pipeline.store.raw_chunks import Scratch
from pipeline.store.reader import FeatureCache
from pipeline.types import Absence, Bools, Ints
from trainer.batches import ClipData
from trainer.config import TrainConfig
from trainer.finite import require_finite
from trainer.folds import polarity_labels
from trainer.frame_means import ARRAYS, means_needed, only_in_view, write_means
from trainer.threads import one_thread

_SHARE_OF_FREE_MEMORY = 0.6
_BYTES_PER_GB = 1e9
_READERS = 4


def require_arrays(meta: CacheMeta, config: TrainConfig) -> None:
    """Raise ConfigError if the settings need an array that the cache does not hold."""
    if config.model.has_patch_tokens and not meta.num_tokens:
        msg = (
            "model.tfe_tokens is 'patches', but this cache holds no patch tokens; extract it with --tokens "
            "grid4 or all, or set model.tfe_tokens to pooled or frames."
        )
        raise ConfigError(msg)
    if config.data.face_frames == "in_view" and not meta.follows_everyone:
        msg = (
            "data.face_frames is 'in_view', but this cache does not record on which frames the subject is in "
            "view; extract it with --set track.method=motion, or set data.face_frames=all."
        )
        raise ConfigError(msg)


def load_clips(cache: FeatureCache, rows: Ints, config: TrainConfig, device: torch.device) -> ClipData:
    """Read the features that a model uses into memory.

    Args:
        cache: An open cache.
        rows: Rows of the cache; row `rows[n]` becomes clip n.
        config: Settings of the run; `data.residence` chooses the memory.
        device: Device of the batches.

    Raises:
        CacheError: Features are NaN or infinite, or the valid frames of a clip are not its first ones.
        ConfigError: The settings need an array that the cache does not hold.
    """
    meta = cache.meta
    require_arrays(meta, config)
    shape = (len(rows), meta.num_views, meta.num_frames, meta.embed_width)
    face = torch.empty(shape, dtype=torch.float16)
    scene = torch.empty(shape, dtype=torch.float16) if config.model.scene else None
    means = {name: _empty_means(meta, name, len(rows)) for name in means_needed(config)}
    valid_all = cache.read("frame_valid")
    _require_prefix(valid_all[rows], cache, rows)
    in_view_all = None
    if config.data.face_frames == "in_view":
        in_view_all = only_in_view(valid_all, cache.read("face_absence") <= Absence.NOT_DETECTED)
    face_valid_all = valid_all if in_view_all is None else in_view_all

    local = threading.local()

    def read(name: str, block: _Block) -> torch.Tensor:
        if not hasattr(local, "scratch"):
            local.scratch = Scratch()
        return torch.from_numpy(cache.read(name, block.start, block.stop, scratch=local.scratch))

    def load(block: _Block) -> None:
        for name, array in (("face/embedding", face), ("scene/embedding", scene)):
            if array is not None:
                array[block.places] = read(name, block)[block.picked]
        for name, mean in means.items():
            kept_all = face_valid_all if name == "face_patches" else valid_all
            stored, valid = read(ARRAYS[name], block), kept_all[block.start : block.stop]
            write_means(stored, valid, block.picked.tolist(), block.places.tolist(), mean)

    with one_thread(), ThreadPoolExecutor(_READERS) as pool:
        deque(pool.map(load, _blocks(rows, meta.block_clips)), maxlen=0)
    loaded = {"face/embedding": face} | ({} if scene is None else {"scene/embedding": scene})
    loaded |= {ARRAYS[name]: mean for name, mean in means.items()}
    require_finite(loaded, cache, rows)
    num_bytes = sum(array.nbytes for array in loaded.values())
    home, residence = _home(num_bytes, device, config.data.residence)
    return ClipData(
        face_NVTF=face.to(home),
        scene_NVTF=None if scene is None else scene.to(home),
        early_NV43D=means["early"].to(home) if "early" in means else None,
        face_patches_NVJD=means["face_patches"].to(home) if "face_patches" in means else None,
        scene_patches_NVJD=means["scene_patches"].to(home) if "scene_patches" in means else None,
        valid_NVT=torch.from_numpy(valid_all[rows]).to(home),
        in_view_NVT=None if in_view_all is None else torch.from_numpy(in_view_all[rows]).to(home),
        label_N=torch.from_numpy(cache.read("label")[rows].astype(np.int64)).to(home),
        polarity_N=torch.from_numpy(polarity_labels(cache, config.data)[rows]).to(home),
        device=device,
        residence=residence,
    )


def bytes_needed(meta: CacheMeta, config: TrainConfig, num_clips: int) -> int:
    """Return the size of the features that `load_clips` keeps, in bytes.

    Args:
        meta: Attributes of the cache.
        config: Settings of the run.
        num_clips: Number of clips that are loaded.
    """
    streams = 2 if config.model.scene else 1
    frames = streams * num_clips * meta.num_views * meta.num_frames * meta.embed_width
    with torch.device("meta"):
        means = [_empty_means(meta, name, num_clips) for name in means_needed(config)]
    return frames * torch.float16.itemsize + sum(mean.nbytes for mean in means)


@dataclass(frozen=True)
class _Block:
    """Rows of a block to load: `picked`, counted from `start`, go to `places` in memory."""

    start: int
    stop: int
    picked: Ints
    places: torch.Tensor


def _blocks(rows: Ints, block_clips: int) -> Iterator[_Block]:
    """Yield every block that has any of the rows."""
    order = np.argsort(rows, kind="stable")
    starts = rows[order] // block_clips * block_clips
    for places in np.split(order, np.flatnonzero(np.diff(starts)) + 1):
        start = int(rows[places[0]] // block_clips * block_clips)
        yield _Block(start, start + block_clips, rows[places] - start, torch.from_numpy(places))


def _empty_means(meta: CacheMeta, name: str, num_clips: int) -> torch.Tensor:
    """Return memory for the means [N, V, ...] of an array [clip, view, frame, ...] of the cache."""
    shape = meta.shape(next(spec for spec in meta.arrays() if spec.name == ARRAYS[name]))
    return torch.empty((num_clips, meta.num_views, *shape[3:]), dtype=torch.float32)


def _require_prefix(valid_NVT: Bools, cache: FeatureCache, rows: Ints) -> None:
    rises = valid_NVT[:, :, 1:] & ~valid_NVT[:, :, :-1]
    bad = np.flatnonzero(rises.any(axis=(1, 2)) | ~valid_NVT[:, :, 0].all(axis=1))
    if len(bad):
        clip_id = cache.read("clip_id")[rows[bad[0]]]
        msg = (
            f"{cache.place}: valid frames of clip '{clip_id}' are not its first ones. "
            "The cache is damaged; extract it again."
        )
        raise CacheError(msg)


def _home(num_bytes: int, device: torch.device, setting: str) -> tuple[torch.device, str]:
    size = f"{num_bytes / _BYTES_PER_GB:.2f} GB of features"
    if device.type != "cuda":
        return device, f"{size} in memory"
    free, _ = torch.cuda.mem_get_info(device)
    if setting == "device" or (setting == "auto" and num_bytes <= _SHARE_OF_FREE_MEMORY * free):
        return device, f"{size} on {device}"
    return torch.device(
        "cpu"
    ), f"{size} in host memory, batches pinned ({free / _BYTES_PER_GB:.1f} GB free on {device})"

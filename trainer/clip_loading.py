"""Cached features -> clips in memory: read once, on the device if they fit.

The model uses early-block statistics and patch tokens only as means over valid frames. These means are taken
once, when the features are read. With 16 frames, they take an eighth of the memory, as float32.

With `data.face_frames=in_view`, the face stream has fewer frames than the scene stream: those on which the
subject is in view.

Letters: as in `batches`.
"""

import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
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
from trainer.class_map import ClassMap
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


@dataclass(frozen=True, kw_only=True)
class ClipSource:
    """Rows of a cache that become clips of a run.

    Attributes:
        cache: An open cache.
        row_N: Rows of the cache.
        label_N: Their classes, of the run.
        polarity_N: Their polarities, -1 for unknown.
        class_map: Classes of the cache -> classes of the run; None if they are the same.
    """

    cache: FeatureCache
    row_N: Ints
    label_N: Ints
    polarity_N: Ints
    class_map: ClassMap | None = None

    @classmethod
    def of(cls, cache: FeatureCache, row_N: Ints, config: TrainConfig) -> "ClipSource":
        """Return rows of a cache with its own labels and polarities (`folds.polarity_labels`)."""
        return cls(
            cache=cache,
            row_N=row_N,
            label_N=cache.read("label")[row_N].astype(np.int64),
            polarity_N=polarity_labels(cache, config.data)[row_N],
        )


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
    return load_sources([ClipSource.of(cache, rows, config)], config, device)


def load_sources(sources: Sequence[ClipSource], config: TrainConfig, device: torch.device) -> ClipData:
    """Read the features of clips of one or several caches into memory, in the order of the sources.

    The memory is allocated once for all, so that no features are held twice, and the place is chosen for all
    of them together.

    Args:
        sources: Rows of caches with features of one identity.
        config: Settings of the run; `data.residence` chooses the memory.
        device: Device of the batches.

    Raises:
        CacheError, ConfigError: As for `load_clips`.
    """
    for source in sources:
        require_arrays(source.cache.meta, config)
    arrays = _empty_arrays(sources[0].cache.meta, config, sum(len(source.row_N) for source in sources))
    masks, start = [], 0
    for source in sources:
        end = start + len(source.row_N)
        masks.append(_read_into({name: array[start:end] for name, array in arrays.items()}, source, config))
        start = end
    home, residence = _home(sum(array.nbytes for array in arrays.values()), device, config.data.residence)
    valid_NVT, face_valid_NVT = (
        torch.from_numpy(np.concatenate(parts)) for parts in zip(*masks, strict=True)
    )
    label_N, polarity_N = (
        torch.from_numpy(np.concatenate([getattr(source, name) for source in sources]))
        for name in ("label_N", "polarity_N")
    )

    def placed(name: str) -> torch.Tensor | None:
        array = arrays.pop(name, None)
        return None if array is None else array.to(home)

    face = placed("face/embedding")
    assert face is not None  # noqa: S101 - every model has the face stream
    return ClipData(
        face_NVTF=face,
        scene_NVTF=placed("scene/embedding"),
        early_NV43D=placed(ARRAYS["early"]),
        face_patches_NVJD=placed(ARRAYS["face_patches"]),
        scene_patches_NVJD=placed(ARRAYS["scene_patches"]),
        valid_NVT=valid_NVT.to(home),
        in_view_NVT=face_valid_NVT.to(home) if config.data.face_frames == "in_view" else None,
        label_N=label_N.to(home),
        polarity_N=polarity_N.to(home),
        device=device,
        residence=residence,
    )


def _empty_arrays(meta: CacheMeta, config: TrainConfig, num_clips: int) -> dict[str, torch.Tensor]:
    """Return memory for the features of clips, by name of the cache's array."""
    streams = ("face/embedding", "scene/embedding") if config.model.scene else ("face/embedding",)
    shape = (num_clips, meta.num_views, meta.num_frames, meta.embed_width)
    arrays = {name: torch.empty(shape, dtype=torch.float16) for name in streams}
    return arrays | {ARRAYS[name]: _empty_means(meta, name, num_clips) for name in means_needed(config)}


def _read_into(
    arrays: Mapping[str, torch.Tensor], source: ClipSource, config: TrainConfig
) -> tuple[Bools, Bools]:
    """Fill memory with the features of a source. Returns the valid frames of all and of the face stream."""
    cache, rows = source.cache, source.row_N
    valid_all = cache.read("frame_valid")
    _require_prefix(valid_all[rows], cache, rows)
    face_valid_all = valid_all
    if config.data.face_frames == "in_view":
        face_valid_all = only_in_view(valid_all, cache.read("face_absence") <= Absence.NOT_DETECTED)

    local = threading.local()

    def load(block: _Block) -> None:
        if not hasattr(local, "scratch"):
            local.scratch = Scratch()
        for name, array in arrays.items():
            stored = torch.from_numpy(cache.read(name, block.start, block.stop, scratch=local.scratch))
            if name.endswith("/embedding"):
                array[block.places] = stored[block.picked]
            else:
                kept_all = face_valid_all if name == ARRAYS["face_patches"] else valid_all
                valid = kept_all[block.start : block.stop]
                write_means(stored, valid, block.picked.tolist(), block.places.tolist(), array)

    with one_thread(), ThreadPoolExecutor(_READERS) as pool:
        deque(pool.map(load, _blocks(rows, cache.meta.block_clips)), maxlen=0)
    require_finite(arrays, cache, rows)
    return valid_all[rows], face_valid_all[rows]


def bytes_needed(meta: CacheMeta, config: TrainConfig, num_clips: int) -> int:
    """Return the size of the features that `load_clips` keeps, in bytes.

    Args:
        meta: Attributes of the cache.
        config: Settings of the run.
        num_clips: Number of clips that are loaded.
    """
    with torch.device("meta"):
        return sum(array.nbytes for array in _empty_arrays(meta, config, num_clips).values())


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

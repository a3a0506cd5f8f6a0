"""Rows of a cache -> their features in memory, a block at a time.

The model uses early-block statistics and patch tokens only as means over valid frames. These means are taken
once, when the features are read. With 16 frames, they take an eighth of the memory, as float32.

With `data.face_frames=in_view`, the face stream has fewer frames than the scene stream: those on which the
subject is in view.

Letters: as in `batches`.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
import torch

from pipeline.errors import CacheError, ConfigError
from pipeline.store.meta import CacheMeta
from pipeline.store.raw_chunks import Scratch
from pipeline.store.reader import FeatureCache
from pipeline.store.schema import BY_NAME
from pipeline.types import Absence, Bools, Ints
from trainer.class_map import ClassMap
from trainer.config import TrainConfig
from trainer.folds import polarity_labels
from trainer.frame_means import ARRAYS, means_needed, only_in_view, write_means


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


def arrays_needed(config: TrainConfig) -> list[str]:
    """Return the names of the cache's arrays that a model of this config uses."""
    streams = ["face/embedding", "scene/embedding"] if config.model.scene else ["face/embedding"]
    return [*streams, *(ARRAYS[name] for name in means_needed(config))]


def empty_arrays(meta: CacheMeta, config: TrainConfig, num_clips: int) -> dict[str, torch.Tensor]:
    """Return memory for the features of clips, by name of the cache's array.

    Embeddings are float16 [N, V, T, F]. The others are float32 [N, V, ...], the means over the frames.
    """
    arrays = {}
    for name in arrays_needed(config):
        shape = meta.shape(BY_NAME[name])
        if name.endswith("/embedding"):
            arrays[name] = torch.empty((num_clips, *shape[1:]), dtype=torch.float16)
        else:
            arrays[name] = torch.empty((num_clips, shape[1], *shape[3:]), dtype=torch.float32)
    return arrays


def bytes_needed(meta: CacheMeta, config: TrainConfig, num_clips: int) -> int:
    """Return the size of the features of clips in memory, in bytes.

    Args:
        meta: Attributes of the cache.
        config: Settings of the run.
        num_clips: Number of clips.
    """
    with torch.device("meta"):
        return sum(array.nbytes for array in empty_arrays(meta, config, num_clips).values())


def stored_block_bytes(meta: CacheMeta, config: TrainConfig) -> int:
    """Return the size of the largest chunk of a block that is read, as stored, in bytes."""
    shapes = [meta.shape(BY_NAME[name])[1:] for name in arrays_needed(config)]
    return meta.block_clips * max(2 * prod(shape) for shape in shapes)


class Scratches(threading.local):
    """Reusable memory of each thread that reads."""

    def __init__(self) -> None:
        self.scratch = Scratch()


class BlockReader:
    """Reads the features of a source, a block at a time. Several threads may read at once.

    Args:
        source: Rows of a cache.
        config: Settings of the run.
        scratches: Memory of the threads.

    Attributes:
        valid_NVT: True for the valid frames of the clips.
        face_valid_NVT: True for those of the face stream.

    Raises:
        CacheError: The valid frames of a clip are not its first ones.
    """

    def __init__(self, source: ClipSource, config: TrainConfig, scratches: Scratches) -> None:
        cache, row_N = source.cache, source.row_N
        self._source, self._scratches = source, scratches
        valid_all: Bools = cache.read("frame_valid")
        _require_prefix(valid_all[row_N], cache, row_N)
        face_valid_all = valid_all
        if config.data.face_frames == "in_view":
            face_valid_all = only_in_view(valid_all, cache.read("face_absence") <= Absence.NOT_DETECTED)
        self._valid_all, self._face_valid_all = valid_all, face_valid_all
        self.valid_NVT: Bools = valid_all[row_N]
        self.face_valid_NVT: Bools = face_valid_all[row_N]

    def blocks(self) -> Iterator[torch.Tensor]:
        """Yield the clips of every block that has any, int64, counted in the source."""
        block_N = self._source.row_N // self._source.cache.meta.block_clips
        order = np.argsort(block_N, kind="stable")
        for clips in np.split(order, np.flatnonzero(np.diff(block_N[order])) + 1):
            yield torch.from_numpy(clips)

    def read(self, clips: torch.Tensor, places: torch.Tensor, arrays: Mapping[str, torch.Tensor]) -> None:
        """Read clips of one block into memory.

        Args:
            clips: Clips of a block, counted in the source, at least one.
            places: Place of each in `arrays`.
            arrays: Memory, a result of `empty_arrays`.

        Raises:
            CacheDamagedError, CacheError: As for `FeatureCache.read`.
        """
        cache, row_N = self._source.cache, self._source.row_N[clips.numpy()]
        size = cache.meta.block_clips
        start = int(row_N[0] // size * size)
        picked = torch.from_numpy(row_N - start)
        for name, array in arrays.items():
            scratch = self._scratches.scratch
            stored = torch.from_numpy(cache.read(name, start, start + size, scratch=scratch))
            if name.endswith("/embedding"):
                array[places] = stored[picked]
            else:
                valid_all = self._face_valid_all if name == ARRAYS["face_patches"] else self._valid_all
                valid = valid_all[start : start + size]
                write_means(stored, valid, picked.tolist(), places.tolist(), array)


def block_numbers(sources: Iterable[ClipSource]) -> torch.Tensor:
    """Return the block of each clip, int64 [N], in the order of the sources.

    Blocks of one cache have one number, also in several sources; those of different caches differ.
    """
    starts: dict[int, int] = {}
    end, parts = 0, []
    for source in sources:
        meta = source.cache.meta
        if id(source.cache) not in starts:
            starts[id(source.cache)] = end
            end += -(-meta.num_clips // meta.block_clips)
        parts.append(starts[id(source.cache)] + source.row_N // meta.block_clips)
    return torch.from_numpy(np.concatenate(parts).astype(np.int64))


def _require_prefix(valid_NVT: Bools, cache: FeatureCache, row_N: Ints) -> None:
    rises = valid_NVT[:, :, 1:] & ~valid_NVT[:, :, :-1]
    bad = np.flatnonzero(rises.any(axis=(1, 2)) | ~valid_NVT[:, :, 0].all(axis=1))
    if len(bad):
        clip_id = cache.read("clip_id")[row_N[bad[0]]]
        msg = (
            f"{cache.place}: valid frames of clip '{clip_id}' are not its first ones. "
            "The cache is damaged; extract it again."
        )
        raise CacheError(msg)

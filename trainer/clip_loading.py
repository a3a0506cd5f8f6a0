"""Cached features -> clips in memory: read once, on the device if they fit.

Letters: as in `batches`.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import torch

from pipeline.store.reader import FeatureCache
from pipeline.types import Ints
from trainer.batches import ClipData
from trainer.block_reading import (
    BlockReader,
    ClipSource,
    Scratches,
    block_numbers,
    empty_arrays,
    require_arrays,
)
from trainer.config import TrainConfig
from trainer.finite import require_finite
from trainer.frame_means import ARRAYS
from trainer.threads import one_thread

_SHARE_OF_FREE_MEMORY = 0.6
BYTES_PER_GB = 1e9
READERS = 4
"""Threads that read blocks."""


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
    scratches = Scratches()
    arrays = empty_arrays(sources[0].cache.meta, config, sum(len(source.row_N) for source in sources))
    readers, start = [], 0
    for source in sources:
        reader, end = BlockReader(source, config, scratches), start + len(source.row_N)
        part = {name: array[start:end] for name, array in arrays.items()}
        with one_thread(), ThreadPoolExecutor(READERS) as pool:
            deque(pool.map(partial(_read_block, reader, part), reader.blocks()), maxlen=0)
        require_finite(part, source.cache, source.row_N)
        readers.append(reader)
        start = end
    home, residence = _home(sum(array.nbytes for array in arrays.values()), device, config.data.residence)
    return clip_data(arrays, of_each_clip(sources, readers, config), home, device, residence)


def _read_block(reader: BlockReader, arrays: Mapping[str, torch.Tensor], clips: torch.Tensor) -> None:
    reader.read(clips, clips, arrays)


def of_each_clip(
    sources: Sequence[ClipSource], readers: Sequence[BlockReader], config: TrainConfig
) -> dict[str, Any]:
    """Return masks, labels, polarities and blocks of clips by their names in `Clips`, without targets.

    Args:
        sources: Rows of caches.
        readers: The reader of each.
        config: Settings of the run.
    """

    def joined(owners: Sequence[object], name: str) -> torch.Tensor:
        return torch.from_numpy(np.concatenate([getattr(owner, name) for owner in owners]))

    has_own_frames = config.data.face_frames == "in_view"
    return {
        "valid_NVT": joined(readers, "valid_NVT"),
        "in_view_NVT": joined(readers, "face_valid_NVT") if has_own_frames else None,
        "label_N": joined(sources, "label_N"),
        "polarity_N": joined(sources, "polarity_N"),
        "block_N": block_numbers(sources),
    }


def clip_data(
    arrays: dict[str, torch.Tensor],
    each: Mapping[str, Any],
    home: torch.device,
    device: torch.device,
    residence: str,
) -> ClipData:
    """Return clips in memory.

    Args:
        arrays: Their features, a result of `empty_arrays`. It is emptied, so that none are held twice.
        each: Result of `of_each_clip`.
        home: Device of the memory.
        device: Device of the batches.
        residence: Size and place of the features, in words.
    """

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
        device=device,
        residence=residence,
        **{
            name: value if value is None or name == "block_N" else value.to(home)
            for name, value in each.items()
        },
    )


def _home(num_bytes: int, device: torch.device, setting: str) -> tuple[torch.device, str]:
    size = f"{num_bytes / BYTES_PER_GB:.2f} GB of features"
    if device.type != "cuda":
        return device, f"{size} in memory"
    free, _ = torch.cuda.mem_get_info(device)
    if setting == "device" or (setting == "auto" and num_bytes <= _SHARE_OF_FREE_MEMORY * free):
        return device, f"{size} on {device}"
    return torch.device(
        "cpu"
    ), f"{size} in host memory, batches pinned ({free / BYTES_PER_GB:.1f} GB free on {device})"

"""Cached features as batches: read into memory once, on the device if they fit, and gathered by index.

The model uses early-block statistics and patch tokens only as means over valid frames. These means are taken
once, when the features are read. With 16 frames, they take an eighth of the memory, as float32.

With `data.face_frames=in_view`, the face stream has fewer frames than the scene stream: those on which the
subject is in view.

Letters: N clips in memory; B clips of a batch; V views; T frames; F embedding width; D encoder width; J kept
tokens of an image. 4 and 3 are early blocks and their statistics.
"""

import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from pipeline.errors import CacheError, ConfigError
from pipeline.store.meta import CacheMeta
from pipeline.store.raw_chunks import Scratch
from pipeline.store.reader import FeatureCache
from pipeline.types import Absence, Bools, Ints
from trainer.config import TrainConfig
from trainer.finite import require_finite
from trainer.folds import polarity_labels
from trainer.frame_means import ARRAYS, means_needed, only_in_view, write_means
from trainer.threads import one_thread

_SHARE_OF_FREE_MEMORY = 0.6
_BYTES_PER_GB = 1e9
_READERS = 4


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Clips on the device of the model. Features that the model does not use are None.

    A batch of one face has the face stream and masks of one clip, and the scene streams of B clips.

    Attributes:
        face_BTF, scene_BTF: Embeddings, float32, not normalised.
        early_B43D: Statistics of the early blocks, float32, mean over valid frames.
        face_patches_BJD, scene_patches_BJD: float32, mean over the valid frames of their stream. The first
            token is the class token.
        valid_BT: True for valid frames, which come first.
        in_view_BT: True for the valid frames of the face stream, at least one per clip, in any place; None if
            they are all valid frames.
        label_B, polarity_B: int64, -1 for unknown.
        target_BC: Targets of L_contrast, float32; None if they are the labels.
        polarity_target_BP: Targets of L_polarity, float32; None if they are the polarities.
    """

    face_BTF: torch.Tensor
    scene_BTF: torch.Tensor | None
    early_B43D: torch.Tensor | None
    valid_BT: torch.Tensor
    label_B: torch.Tensor
    polarity_B: torch.Tensor
    face_patches_BJD: torch.Tensor | None = None
    scene_patches_BJD: torch.Tensor | None = None
    in_view_BT: torch.Tensor | None = None
    target_BC: torch.Tensor | None = None
    polarity_target_BP: torch.Tensor | None = None

    @property
    def face_valid_BT(self) -> torch.Tensor:
        """True for the valid frames of the face stream."""
        return self.valid_BT if self.in_view_BT is None else self.in_view_BT


@dataclass(frozen=True, kw_only=True)
class ClipData:
    """The features of N clips in memory, which is the device's or the host's.

    The tensors are those of `Batch`, by clip and view. `label_N` and `polarity_N` have no axis of views.
    Embeddings are float16.

    Attributes:
        device: Device of the batches.
        residence: Size and place of the features, in words.
        target_NC: Targets of L_contrast, float32; None if they are the labels.
    """

    face_NVTF: torch.Tensor
    scene_NVTF: torch.Tensor | None
    early_NV43D: torch.Tensor | None
    face_patches_NVJD: torch.Tensor | None
    scene_patches_NVJD: torch.Tensor | None
    valid_NVT: torch.Tensor
    in_view_NVT: torch.Tensor | None
    label_N: torch.Tensor
    polarity_N: torch.Tensor
    device: torch.device
    residence: str
    target_NC: torch.Tensor | None = None

    def gather(self, place_B: torch.Tensor, view_B: torch.Tensor) -> Batch:
        """Return the clips at `place_B` (0 to N - 1) as a batch, in the views `view_B` (0 to V - 1)."""
        views = self.valid_NVT.shape[1]
        flat_B = place_B * views + view_B

        def taken(array: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
            index = index.to(array.device)
            if array.device.type == self.device.type:  # not the devices: cuda and cuda:0 are equal
                rows = array.index_select(0, index)
            else:
                rows = _page_locked(len(index), array)
                torch.index_select(array, 0, index, out=rows)
                rows = rows.to(self.device, non_blocking=True)
            return rows.float() if rows.is_floating_point() else rows

        def seen(array_NV: torch.Tensor | None) -> torch.Tensor | None:
            return None if array_NV is None else taken(array_NV.flatten(0, 1), flat_B)

        return Batch(
            face_BTF=taken(self.face_NVTF.flatten(0, 1), flat_B),
            scene_BTF=seen(self.scene_NVTF),
            early_B43D=seen(self.early_NV43D),
            face_patches_BJD=seen(self.face_patches_NVJD),
            scene_patches_BJD=seen(self.scene_patches_NVJD),
            valid_BT=taken(self.valid_NVT.flatten(0, 1), flat_B),
            in_view_BT=seen(self.in_view_NVT),
            label_B=taken(self.label_N, place_B),
            polarity_B=taken(self.polarity_N, place_B),
            target_BC=None if self.target_NC is None else taken(self.target_NC, place_B),
        )

    def training_batches(
        self,
        places: torch.Tensor,
        batch_size: int,
        random_views: bool,
        generator: torch.Generator,
        *,
        two_classes: bool = False,
        share_N: torch.Tensor | None = None,
    ) -> Iterator[Batch]:
        """Yield the batches of an epoch, in random order. The last batch may be shorter.

        Args:
            places: Clips of the epoch, 0 to N - 1.
            batch_size: Clips of a batch.
            random_views: Draw a view for each clip; otherwise take the first.
            generator: Source of the order and the views, on the CPU.
            two_classes: Every batch has clips of at least two classes. A batch of one class is joined with
                the next one, the last with the one before.
            share_N: Probability of each clip of `places` in one draw, float64; as many clips are drawn, with
                replacement. None: each clip once.
        """
        if share_N is None:
            order = places[torch.randperm(len(places), generator=generator)]
        else:
            order = places[torch.multinomial(share_N, len(places), replacement=True, generator=generator)]
        num_views = self.valid_NVT.shape[1] if random_views else 1
        view_of = torch.randint(num_views, (len(places),), generator=generator)
        ends = _batch_ends(len(places), batch_size, self.label_N.cpu()[order] if two_classes else None)
        home = self.face_NVTF.device  # moved once: each copy from the host would wait for the last step
        order, view_of = order.to(home), view_of.to(home)
        for start, end in pairwise([0, *ends]):
            yield self.gather(order[start:end], view_of[start:end])

    def evaluation_batches(self, places: torch.Tensor, batch_size: int) -> Iterator[Batch]:
        """Yield the clips at `places` in their order, in the first view."""
        for start in range(0, len(places), batch_size):
            place_B = places[start : start + batch_size]
            yield self.gather(place_B, torch.zeros_like(place_B))


def _batch_ends(num_clips: int, batch_size: int, label_N: torch.Tensor | None) -> list[int]:
    """Return the end of each batch of an epoch.

    `label_N` are the classes in the order of the epoch if every batch must have two of them, else None.
    """
    ends = [*range(batch_size, num_clips, batch_size), num_clips]
    if label_N is None:
        return ends
    kept, start = [], 0
    for end in ends:
        if (label_N[start:end] != label_N[start]).any():
            kept.append(end)
            start = end
    return [*kept[:-1], num_clips]


def _page_locked(num_rows: int, like: torch.Tensor) -> torch.Tensor:
    """Return page-locked memory for rows to copy to a GPU. Torch reuses it after the copy."""
    return torch.empty((num_rows, *like.shape[1:]), dtype=like.dtype, pin_memory=True)


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

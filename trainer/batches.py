"""Cached features as batches: who trains, who validates, where the arrays lie, gathered by index.

The model needs the early-block statistics only as their mean over valid frames, so that mean is
taken once, here: with 16 frames an eighth of the memory, as float32.

Letters: N clips in memory; B clips of a batch; V views; T frames; F embedding width; D encoder
width; K early blocks (4); Z statistics (3).
"""

import threading
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from pipeline.config import require_one_of
from pipeline.errors import CacheError, ConfigError
from pipeline.fingerprint import sha256_json
from pipeline.store.chunks import Scratch
from pipeline.store.meta import CacheMeta
from pipeline.store.reader import FeatureCache
from pipeline.types import Bools, Ints, Polarity, Split, Status
from trainer.config import DataConfig, TrainConfig

_RULES = ("holdout", "given", "test", "train")
_SHARE_OF_FREE_MEMORY = 0.6
_BYTES_PER_GB = 1e9
_READERS = 4


@dataclass(frozen=True, kw_only=True)
class FoldRows:
    """The cache rows of one fold, by what they are for.

    rule: how the checkpoint is selected: holdout, given, test or train.
    left_out: why clips of the fold are not used, and how many.
    """

    fold_name: str
    train: Ints
    validation: Ints
    test: Ints
    rule: str
    left_out: Mapping[str, int]

    def training_sha256(self) -> str:
        """A hash of which rows train and which validate: it differs once more clips are done."""
        return sha256_json([self.train.tolist(), self.validation.tolist()])

    def of(self, split: str) -> Ints:
        """The rows of a split by its name. Raises ConfigError when it is unknown or empty."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        require_one_of("split", split, tuple(splits))
        if not len(splits[split]):
            counts = [f"{name} {len(rows)}" for name, rows in splits.items()]
            left_out = [f"{count} {reason}" for reason, count in self.left_out.items()]
            remedy = ""
            if split == "test":
                remedy = " Measure another one with --split train, or mark test clips in the data set."
            if split == "validation":
                others = ", ".join(rule for rule in _RULES if rule != self.rule)
                remedy = (
                    f" data.validation is {self.rule}; others: {others} (holdout needs two clips a class). "
                    "With a handful of clips: --set data.validation=train."
                )
            msg = (
                f"Fold '{self.fold_name}' has no usable clips in split '{split}' "
                f"({', '.join(counts)}; left out: {', '.join(left_out) or 'none'}).{remedy}"
            )
            raise ConfigError(msg)
        return splits[split]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Clips, ready for the model, on its device.

    face_BTF, scene_BTF: float32, not normalised. early_BKZD: float32, mean over valid frames.
    valid_BT: true for real frames, which come first. label_B, polarity_B: int64, -1 unknown.
    scene_BTF and early_BKZD are None when the model does not use them.
    """

    face_BTF: torch.Tensor
    scene_BTF: torch.Tensor | None
    early_BKZD: torch.Tensor | None
    valid_BT: torch.Tensor
    label_B: torch.Tensor
    polarity_B: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class ClipData:
    """The features of N clips, in memory once. residence: where that is, in words."""

    face_NVTF: torch.Tensor
    scene_NVTF: torch.Tensor | None
    early_NVKZD: torch.Tensor | None
    valid_NVT: torch.Tensor
    label_N: torch.Tensor
    polarity_N: torch.Tensor
    device: torch.device
    residence: str

    def gather(self, place_B: torch.Tensor, view_B: torch.Tensor) -> Batch:
        """The clips at `place_B` (0 to N-1), each seen in its view of `view_B`, as a batch."""
        views = self.valid_NVT.shape[1]
        flat_B = place_B * views + view_B

        def taken(array: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
            rows = array.index_select(0, index.to(array.device))
            if array.device != self.device:
                rows = rows.pin_memory().to(self.device, non_blocking=True)
            return rows.float() if rows.is_floating_point() else rows

        return Batch(
            face_BTF=taken(self.face_NVTF.flatten(0, 1), flat_B),
            scene_BTF=None if self.scene_NVTF is None else taken(self.scene_NVTF.flatten(0, 1), flat_B),
            early_BKZD=None if self.early_NVKZD is None else taken(self.early_NVKZD.flatten(0, 1), flat_B),
            valid_BT=taken(self.valid_NVT.flatten(0, 1), flat_B),
            label_B=taken(self.label_N, place_B),
            polarity_B=taken(self.polarity_N, place_B),
        )

    def training_batches(
        self, places: torch.Tensor, batch_size: int, random_views: bool, generator: torch.Generator
    ) -> Iterator[Batch]:
        """One epoch over `places` in random order, the last batch as short as it comes."""
        order = places[torch.randperm(len(places), generator=generator)]
        num_views = self.valid_NVT.shape[1] if random_views else 1
        view_of = torch.randint(num_views, (len(places),), generator=generator)
        for start in range(0, len(places), batch_size):
            yield self.gather(order[start : start + batch_size], view_of[start : start + batch_size])

    def evaluation_batches(self, places: torch.Tensor, batch_size: int) -> Iterator[Batch]:
        """`places` in their order, first view."""
        for start in range(0, len(places), batch_size):
            place_B = places[start : start + batch_size]
            yield self.gather(place_B, torch.zeros_like(place_B))


def fold_number(meta: CacheMeta, fold: int | str) -> int:
    """The column of a fold, given by its name or, where no fold has that name, its number from 1."""
    names, text = meta.fold_names, str(fold)
    if text in names:
        return names.index(text)
    if text.isdecimal() and 1 <= int(text) <= len(names):
        return int(text) - 1
    msg = f"fold is {fold!r}; this cache has {len(names)}: {', '.join(names)}."
    raise ConfigError(msg)


def fold_rows(cache: FeatureCache, fold: int | str, config: DataConfig, seed: int) -> FoldRows:
    """Who trains, validates and tests in a fold of the cache; the same for the same seed."""
    column = fold_number(cache.meta, fold)
    membership_N = cache.read("membership")[:, column]
    label_N, status_N = cache.read("label"), cache.read("status")
    in_fold = membership_N != Split.ABSENT
    done = (status_N == Status.DONE) | (status_N == Status.DONE_WITHOUT_FACE)
    left_out = {
        "pending": int((in_fold & (status_N == Status.PENDING)).sum()),
        "failed": int((in_fold & (status_N == Status.FAILED)).sum()),
        "unlabelled": int((in_fold & done & (label_N < 0)).sum()),
    }
    usable = in_fold & done & (label_N >= 0)
    train, given, test = (
        np.flatnonzero(usable & (membership_N == split))
        for split in (Split.TRAIN, Split.VALIDATION, Split.TEST)
    )
    rule: str = config.validation
    if rule == "auto":
        rule = "given" if len(given) else "holdout"
    if rule != "given":
        left_out[f"marked validation while data.validation={rule}"] = len(given)
    if rule == "holdout":
        train, validation = hold_out(train, label_N, config.holdout_share, seed)
    else:
        validation = {"given": given, "test": test, "train": train}[rule]
    return FoldRows(
        fold_name=cache.meta.fold_names[column],
        train=train,
        validation=validation,
        test=test,
        rule=rule,
        left_out={reason: count for reason, count in left_out.items() if count},
    )


def hold_out(rows: Ints, label_N: Ints, share: float, seed: int) -> tuple[Ints, Ints]:
    """Split rows into training and held-out ones, the share taken from every class.

    Of a class with two clips or more, at least one is held out and one kept; a single clip trains.
    """
    generator = np.random.default_rng(seed)
    held = [np.empty(0, dtype=np.int64)]
    for label in np.unique(label_N[rows]):
        of_class = rows[label_N[rows] == label]
        count = min(max(1, int(share * len(of_class) + 0.5)), len(of_class) - 1)
        held.append(generator.permutation(of_class)[:count])
    validation = np.sort(np.concatenate(held))
    return np.setdiff1d(rows, validation), validation


def polarity_labels(cache: FeatureCache, config: DataConfig) -> Ints:
    """The polarity of every clip [N]: the cache's, overridden by `data.polarity_map`; -1 unknown."""
    names = cache.meta.class_names
    polarity_N = cache.read("polarity").astype(np.int64)
    label_N = cache.read("label")
    for name, polarity in config.polarities().items():
        if name not in names:
            msg = f"data.polarity_map names class {name!r}; this cache has: {', '.join(names)}."
            raise ConfigError(msg)
        polarity_N[label_N == names.index(name)] = polarity
    return polarity_N


def require_polarities(cache: FeatureCache, polarity_N: Ints, rows: Ints) -> None:
    """Raise ConfigError when the polarity of any of the rows is unknown."""
    unknown = rows[polarity_N[rows] == Polarity.UNKNOWN]
    if len(unknown):
        labels = np.unique(cache.read("label")[unknown])
        classes = ", ".join(cache.meta.class_names[label] for label in labels)
        msg = (
            f"{len(unknown)} clips of {classes} have no known polarity; give the data set a 'polarity' "
            f"column, or --set data.polarity_map={cache.meta.class_names[labels[0]]}:positive,... "
            "(positive, neutral, negative), or train without it: --set model.polarity=false."
        )
        raise ConfigError(msg)


def load_clips(cache: FeatureCache, rows: Ints, config: TrainConfig, device: torch.device) -> ClipData:
    """Read what the model needs of `rows` into memory: the device's when it fits, else the host's.

    Raises CacheError when a clip's valid frames are not its first ones.
    """
    meta = cache.meta
    shape = (len(rows), meta.num_views, meta.num_frames, meta.embed_width)
    face = torch.empty(shape, dtype=torch.float16)
    scene = torch.empty(shape, dtype=torch.float16) if config.model.scene else None
    early: torch.Tensor | None = None
    if config.has_polarity_token:
        early_shape = meta.shape(next(spec for spec in meta.arrays() if spec.name == "scene/early"))
        early = torch.empty((len(rows), meta.num_views, *early_shape[3:]), dtype=torch.float32)
    valid_all = cache.read("frame_valid")
    _require_prefix(valid_all[rows], cache, rows)

    mine = threading.local()

    def read(name: str, block: _Block) -> torch.Tensor:
        if not hasattr(mine, "scratch"):
            mine.scratch = Scratch()
        return torch.from_numpy(cache.read(name, block.start, block.stop, scratch=mine.scratch))

    def load(block: _Block) -> None:
        for name, array in (("face/embedding", face), ("scene/embedding", scene)):
            if array is not None:
                array[block.places] = read(name, block)[block.picked]
        if early is not None:
            _valid_means(read("scene/early", block), valid_all[block.start : block.stop], block, early)

    with _one_thread_each(), ThreadPoolExecutor(_READERS) as pool:
        deque(pool.map(load, _blocks(rows, meta.block_clips)), maxlen=0)
    arrays = [array for array in (face, scene, early) if array is not None]
    num_bytes = sum(array.nbytes for array in arrays)
    home, residence = _home(num_bytes, device, config.data.residence)
    return ClipData(
        face_NVTF=face.to(home),
        scene_NVTF=None if scene is None else scene.to(home),
        early_NVKZD=None if early is None else early.to(home),
        valid_NVT=torch.from_numpy(valid_all[rows]).to(home),
        label_N=torch.from_numpy(cache.read("label")[rows].astype(np.int64)).to(home),
        polarity_N=torch.from_numpy(polarity_labels(cache, config.data)[rows]).to(home),
        device=device,
        residence=residence,
    )


@dataclass(frozen=True)
class _Block:
    """What is wanted of a block: its rows `picked`, counted from `start`, go to `places` in memory."""

    start: int
    stop: int
    picked: Ints
    places: torch.Tensor


def _blocks(rows: Ints, block_clips: int) -> Iterator[_Block]:
    """Every block with one of the rows."""
    order = np.argsort(rows, kind="stable")
    starts = rows[order] // block_clips * block_clips
    for places in np.split(order, np.flatnonzero(np.diff(starts)) + 1):
        start = int(rows[places[0]] // block_clips * block_clips)
        yield _Block(start, start + block_clips, rows[places] - start, torch.from_numpy(places))


def _valid_means(
    stored_NVTKZD: torch.Tensor, valid_NVT: Bools, block: _Block, mean_NVKZD: torch.Tensor
) -> None:
    """Write the mean over each wanted clip's valid frames, its first ones, in float32.

    A view at a time: it fits the processor's cache, a block of them does not.
    """
    num_NV = valid_NVT.sum(axis=2)
    for row, place in zip(block.picked.tolist(), block.places.tolist(), strict=True):
        for view, num in enumerate(num_NV[row].tolist()):
            frames_TKZD, mean_KZD = stored_NVTKZD[row, view, :num], mean_NVKZD[place, view]
            torch.sum(frames_TKZD, dim=0, dtype=torch.float32, out=mean_KZD).div_(num)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Torch works without threads of its own, for many small operations in threads of ours."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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


def _home(num_bytes: int, device: torch.device, asked: str) -> tuple[torch.device, str]:
    size = f"{num_bytes / _BYTES_PER_GB:.2f} GB of features"
    if device.type != "cuda":
        return device, f"{size} in memory"
    free, _ = torch.cuda.mem_get_info(device)
    if asked == "device" or (asked == "auto" and num_bytes <= _SHARE_OF_FREE_MEMORY * free):
        return device, f"{size} on {device}"
    return torch.device(
        "cpu"
    ), f"{size} in host memory, batches pinned ({free / _BYTES_PER_GB:.1f} GB free on {device})"

"""Origin and progress of a run: the content of run.json."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from pipeline.device import device_name
from pipeline.errors import (
    CheckpointError,
    counted,
)
from pipeline.fingerprint import differences
from pipeline.store.location import Location, LocationLike
from pipeline.store.meta import CacheMeta
from pipeline.store.reader import FeatureCache
from trainer.caches import stored_location, training_cache
from trainer.config import TrainConfig
from trainer.folds import FoldRows, usable_sha256
from trainer.model import FeatureShape
from trainer.precision import training_precision

LARGEST_SIZE = 65_536
_PACKAGES = ("torch", "numpy", "open_clip_torch", "zarr")
_SHOWN = 100
_KINDS: Mapping[Any, tuple[type, ...]] = {
    str: (str,),
    int: (int,),
    bool: (bool,),
    float: (float, int),
    tuple[str, ...]: (list,),
    Mapping[str, int]: (dict,),
}
"""Annotations of `RunInfo` -> types of such values in JSON."""

_IN_WORDS: Mapping[type, str] = {list: "a list of texts", dict: "an object of counts"}


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """Origin and progress of a run.

    Attributes:
        cache_path: Location of the training cache, without the user's name; see `training_cache`.
        cache_from_run: Its path from the run's directory; empty on object storage and in older runs.
        cache_fingerprint, encoder_sha256, text_sha256: Hashes of the training cache.
        clips_sha256: Hash of the cache's clips, labels and membership.
        training_sha256: Hash of the rows of training and validation.
        num_tokens: Patch tokens per image that the model uses; 0 for none.
        selection: Rule that chose the checkpoint: holdout, holdout by group, given, test or train.
        validation_leak: Number of validation clips that share footage with training clips.
        usable_sha256, num_train, num_validation, left_out_of_training, precision: See `training_set` and
            `precision`. Empty or 0 in runs of versions that did not record them.
        best_epoch, best_loss: Epoch of the lowest ungated class-contrastive validation loss.
        overfit_epoch: First epoch with a training accuracy above `schedule.overfit_accuracy`; 0 for none.
        stop_reason: Why training ended; empty before its end.
        hardware: Name of the GPU, or the CPU and its threads.
        packages: Each "name version".
    """

    cache_path: str
    cache_fingerprint: str
    dataset: str
    class_names: tuple[str, ...]
    encoder_name: str
    encoder_sha256: str
    text_sha256: str
    random_weights: bool
    num_frames: int
    embed_width: int
    encoder_width: int
    fold: str
    seed: int
    selection: str
    clips_sha256: str
    training_sha256: str
    cache_from_run: str = ""
    num_tokens: int = 0
    validation_leak: int = 0
    usable_sha256: str = ""
    num_train: int = 0
    num_validation: int = 0
    left_out_of_training: Mapping[str, int] = field(default_factory=dict)
    precision: str = ""
    best_epoch: int = 0
    best_loss: float = 0.0
    overfit_epoch: int = 0
    stop_reason: str = ""
    hardware: str = ""
    packages: tuple[str, ...] = ()

    @classmethod
    def of_cache(
        cls, cache: FeatureCache, rows: FoldRows, config: TrainConfig, seed: int, device: torch.device
    ) -> "RunInfo":
        """Return the origin of a run at its start.

        Args:
            cache: The training cache, open.
            rows: Rows of the fold.
            config: Settings of the run.
            seed: Seed of the run.
            device: Device that trains.
        """
        meta = cache.meta
        return cls(
            cache_path=stored_location(cache.place),
            cache_fingerprint=meta.fingerprint,
            dataset=meta.dataset,
            class_names=meta.class_names,
            encoder_name=meta.encoder_name,
            encoder_sha256=meta.encoder_sha256,
            text_sha256=meta.text_sha256,
            random_weights=meta.has_random_weights,
            num_frames=meta.num_frames,
            embed_width=meta.embed_width,
            encoder_width=meta.encoder_width,
            fold=rows.fold_name,
            seed=seed,
            selection=rows.rule,
            clips_sha256=cache.clips_sha256(),
            training_sha256=rows.training_sha256(),
            usable_sha256=usable_sha256(cache),
            num_train=len(rows.train),
            num_validation=len(rows.validation),
            left_out_of_training=dict(rows.left_out),
            precision=training_precision(config, device),
            num_tokens=meta.num_tokens if config.model.has_patch_tokens else 0,
            hardware=device_name(device)
            if device.type == "cuda"
            else f"CPU, {counted(torch.get_num_threads(), 'thread')}",
            packages=tuple(f"{name} {version(name)}" for name in _PACKAGES),
        )

    @property
    def banners(self) -> tuple[str, ...]:
        """Warnings to show beside every number and figure of this run."""
        lines = []
        if self.random_weights:
            lines.append("RANDOM ENCODER WEIGHTS: these numbers say nothing about the method")
        if self.selection in ("test", "train"):
            lines.append(f"SELECTED ON {self.selection.upper()}")
        if self.validation_leak:
            lines.append(
                f"VALIDATION LEAK: {counted(self.validation_leak, 'clip')} that chose the checkpoint with "
                "footage of training clips"
            )
        if pending := self.left_out_of_training.get("pending", 0):
            lines.append(
                f"UNFINISHED CACHE: trained while {counted(pending, 'clip')} of the fold had no features yet"
            )
        return tuple(lines)

    @property
    def shape(self) -> FeatureShape:
        """Sizes that the model was built for."""
        return FeatureShape(
            num_frames=self.num_frames, embed_width=self.embed_width, encoder_width=self.encoder_width
        )

    def training_cache(self, run_dir: Path) -> Location:
        """Return the location of the training cache that this run names. Nothing is opened."""
        return training_cache(run_dir, self.cache_path, self.cache_from_run)

    def require_fits(self, meta: CacheMeta, where: LocationLike) -> None:
        """Raise CheckpointError, naming the differences, unless the model can read this cache.

        Class names in their order, encoder and sizes must be equal. The dataset may differ.
        """
        names = (
            "class_names",
            "encoder_name",
            "encoder_sha256",
            "num_frames",
            "embed_width",
            "encoder_width",
            *(["num_tokens"] if self.num_tokens else []),
        )
        found = differences(
            {name: getattr(self, name) for name in names}, {name: getattr(meta, name) for name in names}
        )
        if found:
            msg = (
                f"This run ('here') does not fit the cache '{where}' ('there'): {'; '.join(found)}. "
                "Evaluate on a cache with the same classes and encoder"
                f"{' and --tokens' if self.num_tokens else ''}."
            )
            raise CheckpointError(msg)


def require_types(info: RunInfo) -> None:
    """Raise ValueError for a value of an undeclared type, or a number out of its range."""
    for part in fields(info):
        value, allowed = getattr(info, part.name), _KINDS[part.type]
        if type(value) not in allowed or not _has_members(value):
            wanted = _IN_WORDS.get(allowed[0], allowed[0].__name__)
            msg = f"{part.name} is {repr(value)[:_SHOWN]}; {wanted} is needed"
            raise ValueError(msg)
    if not math.isfinite(info.best_loss):
        msg = f"best_loss is {info.best_loss}; a finite number is needed"
        raise ValueError(msg)
    for name in ("num_frames", "embed_width", "encoder_width"):
        if not 1 <= getattr(info, name) <= LARGEST_SIZE:
            msg = f"{name} is {repr(getattr(info, name))[:_SHOWN]}; allowed: 1 to {LARGEST_SIZE}"
            raise ValueError(msg)
    for name in ("num_tokens", "seed", "num_train", "num_validation", "validation_leak"):
        if getattr(info, name) < 0:
            msg = f"{name} is {repr(getattr(info, name))[:_SHOWN]}; allowed: 0 or more"
            raise ValueError(msg)


def _has_members(value: Any) -> bool:
    """Return whether a list has only texts and an object only counts; True for other values."""
    if isinstance(value, dict):
        return all(type(number) is int and number >= 0 for number in value.values())
    return not isinstance(value, list) or all(isinstance(text, str) for text in value)

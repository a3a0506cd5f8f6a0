"""Origin and progress of a run: the content of run.json."""

from collections.abc import Mapping
from dataclasses import dataclass, field
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
from pipeline.portable import portable_values
from pipeline.store.location import Location, LocationLike
from pipeline.store.meta import CacheMeta
from pipeline.store.reader import FeatureCache
from trainer.added_cache import AddedCache, cache_names
from trainer.caches import stored_location, training_cache
from trainer.clip_lengths import length_quartiles
from trainer.clips_without_face import NOT_RECORDED, count_without_face
from trainer.config import TrainConfig
from trainer.folds import FoldRows, usable_sha256
from trainer.model import FeatureShape
from trainer.precision import training_precision

LARGEST_SIZE = 65_536
OF_MODEL_INPUT = (
    "class_names",
    "encoder_name",
    "encoder_sha256",
    "num_frames",
    "embed_width",
    "encoder_width",
)
"""Attributes, of runs and of caches, that are equal if features of one fit the model of another."""
_PACKAGES = ("torch", "numpy", "open_clip_torch", "zarr")


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
        selection: Rule for the clips that chose the checkpoint: holdout, holdout by group, given, test or
            train.
        selected_by: Number of these clips that chose it: loss, war or uar (`schedule.select`).
        validation_leak: Number of validation clips that share footage with training clips.
        added_caches: Further caches, which added training clips. All other attributes of clips are of the
            first cache alone, but for `clip_seconds` and `num_without_face`.
        usable_sha256, num_train, num_validation, left_out_of_training, precision: See `training_set` and
            `precision`. Empty or 0 in runs of versions that did not record them.
        identity, extract_config: How the features were made: `CacheMeta.identity`, which holds no path, and
            `CacheMeta.config`, without the user's name. Empty in older runs.
        clip_seconds: Quartiles of the lengths of the training clips in seconds; empty if none has times, and
            in older runs.
        num_without_face: Training and validation clips without a face, of all caches; -1 in older runs.
        best_epoch, best_loss: Epoch of the checkpoint, and its ungated class-contrastive validation loss.
        overfit_epoch: First epoch with a training accuracy above `schedule.overfit_accuracy`; 0 for none.
        stop_reason: Why training ended; empty before its end.
        temperature, ece_before, ece_after, not_calibrated: See `calibration.Fit`; 0 and empty before the end
            of training, and in older runs.
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
    added_caches: tuple[AddedCache, ...] = ()
    num_tokens: int = 0
    validation_leak: int = 0
    usable_sha256: str = ""
    num_train: int = 0
    num_validation: int = 0
    left_out_of_training: Mapping[str, int] = field(default_factory=dict)
    precision: str = ""
    identity: Mapping[str, Any] = field(default_factory=dict)
    extract_config: Mapping[str, Any] = field(default_factory=dict)
    clip_seconds: tuple[float, ...] = ()
    num_without_face: int = NOT_RECORDED
    selected_by: str = "loss"
    best_epoch: int = 0
    best_loss: float = 0.0
    overfit_epoch: int = 0
    stop_reason: str = ""
    temperature: float = 0.0
    ece_before: float = 0.0
    ece_after: float = 0.0
    not_calibrated: str = ""
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
            identity=dict(meta.identity),
            extract_config=portable_values(meta.config),
            clip_seconds=length_quartiles([(cache, rows.train)]),
            num_without_face=count_without_face([(cache, rows.seen)]),
            selected_by=config.schedule.select,
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
        for added, name in zip(self.added_caches, self.cache_names[1:], strict=True):
            if pending := added.left_out.get("pending", 0):
                clips = f"{counted(pending, 'clip')} of {name}"
                lines.append(f"UNFINISHED CACHE: trained while {clips} had no features yet")
        return tuple(lines)

    @property
    def selection_rule(self) -> str:
        """`selection`, with the number that chose the checkpoint unless it is the loss."""
        return self.selection if self.selected_by == "loss" else f"{self.selection}, by {self.chosen_number}"

    @property
    def chosen_number(self) -> str:
        """`selected_by` as it is shown: loss, WAR or UAR."""
        return "loss" if self.selected_by == "loss" else self.selected_by.upper()

    @property
    def datasets(self) -> tuple[str, ...]:
        """The datasets of all caches that trained the run, each once, that of the first cache first."""
        return tuple(dict.fromkeys([self.dataset, *(added.dataset for added in self.added_caches)]))

    @property
    def cache_names(self) -> tuple[str, ...]:
        """Names of the caches of the training, the first cache first; see `added_cache.cache_names`."""
        added = [(one.dataset, one.cache_path) for one in self.added_caches]
        return cache_names([(self.dataset, self.cache_path), *added])

    @property
    def added_clips(self) -> tuple[str, ...]:
        """Number of clips and fold of each further cache, in words."""
        pairs = zip(self.added_caches, self.cache_names[1:], strict=True)
        return tuple(one.clips_of(name) for one, name in pairs)

    @property
    def trained_on(self) -> str:
        """Names and folds of the cache of the training, and of those that added clips, in words."""
        folds = [self.fold, *(one.fold for one in self.added_caches)]
        return ", with ".join(
            f"{name}, fold {fold}" for name, fold in zip(self.cache_names, folds, strict=True)
        )

    @property
    def num_training_clips(self) -> int:
        """Number of training clips of all caches; 0 if the run did not record it."""
        if not self.num_train:
            return 0
        return self.num_train + sum(added.num_train for added in self.added_caches)

    @property
    def shape(self) -> FeatureShape:
        """Sizes that the model was built for."""
        return FeatureShape(
            num_frames=self.num_frames, embed_width=self.embed_width, encoder_width=self.encoder_width
        )

    def training_cache(self, run_dir: Path) -> Location:
        """Return the location of the training cache that this run names. Nothing is opened."""
        return training_cache(run_dir, self.cache_path, self.cache_from_run)

    def require_fits(self, meta: CacheMeta, where: LocationLike, *, any_classes: bool = False) -> None:
        """Raise CheckpointError, naming the differences, unless the model can read this cache.

        Encoder and sizes must be equal, and the class names in their order unless `any_classes`. The dataset
        may differ.
        """
        names = [*OF_MODEL_INPUT, *(["num_tokens"] if self.num_tokens else [])]
        if any_classes:
            names.remove("class_names")
        found = differences(
            {name: getattr(self, name) for name in names}, {name: getattr(meta, name) for name in names}
        )
        if found:
            msg = (
                f"This run ('here') does not fit the cache '{where}' ('there'): {'; '.join(found)}. "
                f"Evaluate on a cache with the same {'' if any_classes else 'classes and '}encoder"
                f"{' and --tokens' if self.num_tokens else ''}."
            )
            raise CheckpointError(msg)

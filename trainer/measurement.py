"""A trained run and a split -> predictions for every clip, and the facts that must be shown beside them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from pipeline.device import choose_device
from pipeline.errors import CheckpointError, counted
from pipeline.groups import groups_of_cache, has_groups
from pipeline.own_dir import Folder
from pipeline.store.location import Location, LocationLike
from pipeline.store.meta import CacheMeta
from pipeline.types import Bools, Floats, Ints
from trainer.added_polarities import mapped_polarities
from trainer.batches import ClipData, Clips
from trainer.block_reading import ClipSource
from trainer.calibration import Calibration
from trainer.checkpoint import Checkpoint, load_checkpoint
from trainer.class_map import ClassMap
from trainer.clip_loading import load_sources
from trainer.clips_without_face import ClipsWithoutFace, read_without_face
from trainer.doubtful_tracks import DoubtfulTracks, read_doubtful
from trainer.folds import usable_sha256
from trainer.leaks import Leak
from trainer.measured_clips import ClipsToMeasure, MeasureRequest
from trainer.metrics import Metrics
from trainer.model import VideoModel
from trainer.precision import model_precision
from trainer.training_set import TrainingSet


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Predictions of a model for N clips.

    Attributes:
        label_N, predicted_N: True and predicted classes.
        logits_NC: Logits, float32.
        loss: Ungated class-contrastive loss, mean over the clips.
    """

    label_N: Ints
    predicted_N: Ints
    logits_NC: Floats
    loss: float

    def metrics(self, class_names: tuple[str, ...], group_N: Ints | None = None) -> Metrics:
        """Return the metrics of these clips. `group_N` is the group of each; None without groups."""
        return Metrics.of_clips(class_names, self.label_N, self.predicted_N, group_N)

    def among(self, allowed: Sequence[bool]) -> "Scores":
        """Return the predictions among some of the classes, of which every clip has one."""
        logits_NC = np.where(np.array(allowed), self.logits_NC, -np.inf).astype(np.float32)
        return Scores(
            label_N=self.label_N,
            predicted_N=logits_NC.argmax(axis=1),
            logits_NC=logits_NC,
            loss=float(functional.cross_entropy(torch.from_numpy(logits_NC), torch.from_numpy(self.label_N))),
        )


@torch.inference_mode()
def score(
    model: VideoModel, text_CF: torch.Tensor, data: Clips, places: torch.Tensor, batch_size: int
) -> Scores:
    """Predict clips in their first view. Puts the model into evaluation mode.

    Args:
        model: Model on the device of `data`.
        text_CF: Class features of length 1.
        data: Features of N clips.
        places: Clips to predict, 0 to N - 1.
        batch_size: Clips of a batch.
    """
    model.eval()
    logits, labels = [], []
    for batch in data.evaluation_batches(places, batch_size):
        logits.append(model(batch, text_CF).logits_BC)
        labels.append(batch.label_B)
    logits_NC, label_N = torch.cat(logits).cpu(), torch.cat(labels).cpu()
    return Scores(
        label_N=label_N.numpy(),
        predicted_N=logits_NC.argmax(dim=1).numpy(),
        logits_NC=logits_NC.numpy(),
        loss=float(functional.cross_entropy(logits_NC, label_N)),
    )


def unfinished_banners(left_out: Mapping[str, int]) -> tuple[str, ...]:
    """Return a warning if clips had no features yet. `left_out` are numbers of clips by reason."""
    pending = left_out.get("pending", 0)
    text = f"UNFINISHED CACHE: measured while {counted(pending, 'clip')} of the fold had no features yet"
    return (text,) if pending else ()


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Predictions of a run for every clip of a split of a fold. `EvalResult` explains the other attributes.

    Attributes:
        checkpoint: The run's best model.
        place, meta: Location and attributes of the measured cache.
        row_N: Rows of the clips there.
        group_N: Groups of the clips; None if no clips of the cache share one.
        doubtful_N: True for clips whose face track is doubtful; None if the cache does not record it.
        without_face_N: True for clips without a face on any sampled frame.
        data: Features of the clips.
        scores: Predictions.
        clips_sha256, usable_sha256: Hashes of the measured cache, as in `RunInfo`.
        class_map: Classes of the measured cache; None if they are those of the run.
    """

    checkpoint: Checkpoint
    place: Location
    meta: CacheMeta
    split: str
    row_N: Ints
    group_N: Ints | None
    doubtful_N: Bools | None
    without_face_N: Bools
    data: ClipData
    scores: Scores
    clips_sha256: str
    usable_sha256: str
    fold: str
    is_own_fold: bool
    same_cache: bool
    training_set: TrainingSet
    precision: str
    left_out: dict[str, int]
    leak: Leak
    class_map: ClassMap | None = None

    @property
    def banners(self) -> tuple[str, ...]:
        """Warnings to show beside every number of these clips."""
        return (
            *self.checkpoint.info.banners,
            *self.training_set.banners,
            *unfinished_banners(self.left_out),
            *([f"OTHER CLASSES: {one}"] if (one := self.class_map) and not one.is_complete else []),
            *self.leak.banners,
        )

    def metrics(self) -> Metrics:
        """Return the metrics of these clips."""
        return self.scores.metrics(self.checkpoint.info.class_names, self.group_N)

    def calibration(self) -> Calibration:
        """Return the calibration of these clips, without and with the run's temperature."""
        info, scores = self.checkpoint.info, self.scores
        return Calibration.of(scores.logits_NC, scores.label_N, info.temperature, info.not_calibrated)

    def doubtful_tracks(self) -> DoubtfulTracks | None:
        """Return the metrics without doubtful tracks; None if none is doubtful, or this is not known."""
        scores, names = self.scores, self.checkpoint.info.class_names
        return DoubtfulTracks.of(self.doubtful_N, scores.label_N, scores.predicted_N, names, self.group_N)

    def without_face(self) -> ClipsWithoutFace | None:
        """Return the metrics of the clips with a face; None if every clip has one."""
        scores, names = self.scores, self.checkpoint.info.class_names
        return ClipsWithoutFace.of(
            self.without_face_N, scores.label_N, scores.predicted_N, names, self.group_N
        )


def measure(
    run_dir: Folder,
    split: str = "test",
    cache: LocationLike | None = None,
    device: str = "auto",
    *,
    fold: int | str | None = None,
    allow_leak: bool = False,
    classes: Mapping[str, str] | None = None,
    shared_classes: bool = False,
) -> Measured:
    """Predict every clip of a split of a fold with a run's best model. Nothing is written.

    Args:
        run_dir: Directory of the run.
        split: ``test``, ``validation`` or ``train``.
        cache: Cache to measure on. None: the training cache.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        fold: Name, or number from 1. None: the run's own fold, that of a further cache that added clips, or
            the only one of another cache (`folds.fold_to_measure`).
        allow_leak: Measure clips whose footage the run has seen, and mark the result.
        classes: Classes of `cache` -> classes of the run, as for `ClassMap.of`. None: by their names, in any
            spelling; or as in the training, if the cache added clips to it.
        shared_classes: Choose only among classes of the run that the cache has.

    Raises:
        CheckpointError: The run cannot be read, does not fit the cache, or has seen footage of the clips
            (unless `allow_leak`).
        ConfigError: The split is empty, the fold is unknown, or the cache has no labels.
        CacheError: The cache cannot be read, has features that are NaN or infinite, or is on object storage
            and only the run's files name it.
    """
    request = MeasureRequest(
        run_dir=run_dir, split=split, cache=cache, fold=fold, allow_leak=allow_leak, classes=classes
    )
    request.require_no_model_directory()
    checkpoint = load_checkpoint(run_dir, choose_device(device))
    info, config = checkpoint.info, checkpoint.config
    with request.open_cache(info) as features:
        place = features.place
        clips = ClipsToMeasure.of(request, info, config, features)
        row_N, class_map = clips.row_N, clips.class_map
        group_N = groups_of_cache(features)
        doubtful_N = read_doubtful(features, row_N)
        without_face_N = read_without_face(features, row_N)
        source = ClipSource.of(features, row_N, config) if class_map is None else ClipSource(
            cache=features, row_N=row_N, label_N=clips.label_N, class_map=class_map,
            polarity_N=mapped_polarities(features, row_N, clips.label_N, info.class_names, config),
        )  # fmt: skip
        data = load_sources([source], config, choose_device(device))
        hashes = features.clips_sha256(), usable_sha256(features)
        is_known = clips.same_cache and clips.knows_fold
        training_set = TrainingSet.of(run_dir, info, config, features if is_known else None)
    places = torch.arange(len(data.label_N))
    scores = score(checkpoint.model, checkpoint.text_CF, data, places, config.optim.batch_size)
    if shared_classes and class_map is not None:
        scores = scores.among([name in class_map.shared for name in info.class_names])
    if not math.isfinite(scores.loss):
        msg = (
            f"'{run_dir}' gives a loss of {scores.loss} on the {split} clips of '{place}', whose features "
            "are finite: its weights are too large. Train again."
        )
        raise CheckpointError(msg)
    return Measured(
        checkpoint=checkpoint,
        place=place,
        meta=features.meta,
        split=split,
        row_N=row_N,
        group_N=group_N[row_N] if has_groups(group_N) else None,
        doubtful_N=doubtful_N,
        without_face_N=without_face_N,
        data=data,
        scores=scores,
        clips_sha256=hashes[0],
        usable_sha256=hashes[1],
        fold=clips.fold,
        is_own_fold=clips.is_own_fold,
        same_cache=clips.same_cache,
        training_set=training_set,
        precision=model_precision(config, data.device),
        left_out=clips.left_out,
        leak=clips.leak,
        class_map=class_map,
    )

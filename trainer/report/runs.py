"""A run directory -> the reported run: predictions by clip, metrics, curves, origin."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import CheckpointError, FileError, MissingFileError, first_line
from pipeline.own_dir import OwnDir
from pipeline.store.meta import CacheMeta
from pipeline.store.reader import FeatureCache
from pipeline.strict_json import from_json
from pipeline.types import Floats, Ints
from trainer.calibration import Calibration
from trainer.clips_without_face import ClipsWithoutFace
from trainer.config import TrainConfig
from trainer.doubtful_tracks import DoubtfulTracks
from trainer.epochs import METRICS_FILE
from trainer.leaks import Leak
from trainer.losses import loss_names
from trainer.measurement import Measured
from trainer.metrics import Metrics
from trainer.precision import recorded_precision
from trainer.run_info import RunInfo
from trainer.training_set import TrainingSet

_MOST_BYTES = 64 << 20
_VALIDATION = ("loss", "war", "uar")


@dataclass(frozen=True, kw_only=True)
class ReportedRun:
    """A run and its predictions for N clips.

    Attributes:
        place, meta: Location and attributes of the measured cache.
        fold, is_own_fold, clips_sha256, usable_sha256, training_set, banners: See `Measured`.
        precision, measured_precision: Precisions of training and of measuring.
        polarity_N: Polarity, -1 for unknown.
        group_N: Groups of the clips; None if no clips of the cache share one.
        doubtful_tracks, without_face, calibration: See `EvalResult`.
        votes_NC: Fractions of the annotators' votes, NaN for clips without votes; None without any.
        epochs: Records of metrics.jsonl; empty if the file is missing.
    """

    run_dir: Path
    info: RunInfo
    config: TrainConfig
    place: str
    meta: CacheMeta
    fold: str
    is_own_fold: bool
    clips_sha256: str
    usable_sha256: str
    training_set: TrainingSet
    precision: str
    measured_precision: str
    clip_ids: tuple[str, ...]
    label_N: Ints
    predicted_N: Ints
    polarity_N: Ints
    group_N: Ints | None
    votes_NC: Floats | None
    metrics: Metrics
    doubtful_tracks: DoubtfulTracks | None
    without_face: ClipsWithoutFace | None
    calibration: Calibration
    loss: float
    same_cache: bool
    left_out: Mapping[str, int]
    leak: Leak
    banners: tuple[str, ...]
    epochs: tuple[Mapping[str, Any], ...]

    @classmethod
    def of(cls, run_dir: Path, measured: Measured) -> "ReportedRun":
        """Return a measured run in a directory."""
        checkpoint, row_N = measured.checkpoint, measured.row_N
        info = checkpoint.info
        with FeatureCache.open(measured.place) as cache:
            ids, votes_NC = cache.read("clip_id")[row_N], cache.read("votes")[row_N]
        return cls(
            run_dir=run_dir,
            info=info,
            config=checkpoint.config,
            place=str(measured.place),
            meta=measured.meta,
            fold=measured.fold,
            is_own_fold=measured.is_own_fold,
            clips_sha256=measured.clips_sha256,
            usable_sha256=measured.usable_sha256,
            training_set=measured.training_set,
            precision=recorded_precision(info.precision, checkpoint.config, info.hardware),
            measured_precision=measured.precision,
            clip_ids=tuple(ids.tolist()),
            label_N=measured.scores.label_N,
            predicted_N=measured.scores.predicted_N,
            polarity_N=measured.data.polarity_N.cpu().numpy(),
            group_N=measured.group_N,
            votes_NC=votes_NC if measured.class_map is None and _any_complete(votes_NC) else None,
            metrics=measured.metrics(),
            doubtful_tracks=measured.doubtful_tracks(),
            without_face=measured.without_face(),
            calibration=measured.calibration(),
            loss=measured.scores.loss,
            same_cache=measured.same_cache,
            left_out=measured.left_out,
            leak=measured.leak,
            banners=measured.banners,
            epochs=read_epochs(run_dir),
        )

    @property
    def fold_name(self) -> str:
        """The run's fold. If another fold was measured, such as fold 1: "2 on 1"."""
        return self.info.fold if self.is_own_fold else f"{self.info.fold} on {self.fold}"

    @property
    def metrics_without_doubtful(self) -> Metrics | None:
        """Metrics of the clips without a doubtful face track; None if every track is doubtful."""
        return self.metrics if self.doubtful_tracks is None else self.doubtful_tracks.without

    @property
    def metrics_with_face(self) -> Metrics | None:
        """Metrics of the clips with a face; None if no clip has one."""
        return self.metrics if self.without_face is None else self.without_face.with_face

    @property
    def is_unfinished(self) -> bool:
        """Whether clips had no features yet in training or measuring."""
        added = (one.left_out for one in self.training_set.added)
        left_out = (self.training_set.left_out or {}, self.left_out, *added)
        return bool(self.training_set.num_more) or any(counts.get("pending") for counts in left_out)

    @property
    def name(self) -> str:
        """Fold and seed."""
        return f"fold {self.fold_name}, seed {self.info.seed}"


def _any_complete(votes_NC: Floats) -> bool:
    """Return whether any clip has votes."""
    return not bool(np.isnan(votes_NC).any(axis=1).all())


def read_epochs(run_dir: Path) -> tuple[Mapping[str, Any], ...]:
    """Return the records of a run's metrics.jsonl; none if the file is missing.

    Raises CheckpointError for a damaged file.
    """
    path = run_dir / METRICS_FILE
    try:
        text = OwnDir.of(run_dir).read_text(METRICS_FILE, _MOST_BYTES)
        return tuple(_record(from_json(line)) for line in text.splitlines())
    except MissingFileError:
        return ()
    except FileError as error:
        raise CheckpointError(str(error)) from error
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        msg = f"'{path}' does not hold one epoch a line ({first_line(error)}). Remove it, or train again."
        raise CheckpointError(msg) from error


def _record(values: Any) -> Mapping[str, Any]:
    """Return the part of an epoch's record that the curves show. Raises ValueError, KeyError or TypeError."""
    losses = (name for name in loss_names() if name in values["train"])  # an older run may lack new ones
    return {
        "epoch": int(values["epoch"]),
        "train": {name: _number(values["train"][name]) for name in ("loss", *losses, "accuracy")},
        "validation": {name: _number(values["validation"][name]) for name in _VALIDATION},
    }


def _number(value: Any) -> float:
    number = float(value)
    if not np.isfinite(number):
        msg = f"{number} among the numbers"
        raise ValueError(msg)
    return number

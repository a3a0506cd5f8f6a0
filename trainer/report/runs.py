"""A run directory -> the run as it is reported: answers clip by clip, numbers, curves, origin."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config import to_dict
from pipeline.errors import CheckpointError, first_line
from pipeline.store.meta import CacheMeta
from pipeline.store.reader import FeatureCache
from pipeline.types import Floats, Ints
from trainer.checkpoint import RunInfo
from trainer.config import TrainConfig
from trainer.evaluate import Measured
from trainer.folds import polarity_labels
from trainer.leaks import Leak
from trainer.metrics import Metrics
from trainer.train import METRICS_FILE

_MOST_BYTES = 64 << 20
_TRAIN = ("loss", "contrast", "similarity", "polarity", "accuracy")
_VALIDATION = ("loss", "war", "uar")


@dataclass(frozen=True, kw_only=True)
class ReportedRun:
    """A run and what it says of N clips.

    place: the cache it was measured on, meta its attributes. polarity_N: of the scene, -1 unknown.
    group_N: the clips' groups, None where no clips of the cache share one.
    votes_NC: shares of the annotators' votes, NaN for clips without; None where no clip has any.
    epochs: the records of metrics.jsonl; empty where the file is not there.
    """

    run_dir: Path
    info: RunInfo
    config: TrainConfig
    place: str
    meta: CacheMeta
    clip_ids: tuple[str, ...]
    label_N: Ints
    predicted_N: Ints
    polarity_N: Ints
    group_N: Ints | None
    votes_NC: Floats | None
    metrics: Metrics
    loss: float
    same_cache: bool
    left_out: Mapping[str, int]
    leak: Leak
    epochs: tuple[Mapping[str, Any], ...]

    @classmethod
    def of(cls, run_dir: Path, measured: Measured) -> "ReportedRun":
        """The run in a directory, as it was measured."""
        checkpoint, row_N = measured.checkpoint, measured.row_N
        with FeatureCache.open(measured.place) as cache:
            ids, votes_NC = cache.read("clip_id")[row_N], cache.read("votes")[row_N]
            polarity_N = polarity_labels(cache, checkpoint.config.data)[row_N]
        return cls(
            run_dir=run_dir,
            info=checkpoint.info,
            config=checkpoint.config,
            place=str(measured.place),
            meta=measured.meta,
            clip_ids=tuple(ids.tolist()),
            label_N=measured.scores.label_N,
            predicted_N=measured.scores.predicted_N,
            polarity_N=polarity_N,
            group_N=measured.group_N,
            votes_NC=None if np.isnan(votes_NC).any(axis=1).all() else votes_NC,
            metrics=measured.metrics(),
            loss=measured.scores.loss,
            same_cache=measured.same_cache,
            left_out=measured.left_out,
            leak=measured.leak,
            epochs=read_epochs(run_dir),
        )

    @property
    def banners(self) -> tuple[str, ...]:
        """What must stand, loudly, beside every number of this run on these clips."""
        return (*self.info.banners, *self.leak.banners)

    @property
    def name(self) -> str:
        """Which of its setting's runs it is."""
        return f"fold {self.info.fold}, seed {self.info.seed}"

    def to_dict(self) -> dict[str, Any]:
        """Everything but the single clips, as plain JSON values."""
        return {
            "run_dir": str(self.run_dir),
            **asdict(self.info),
            "class_names": list(self.info.class_names),
            "packages": list(self.info.packages),
            "banners": list(self.banners),
            "config": to_dict(self.config),
            "measured_on": {
                "cache": self.place,
                "dataset": self.meta.dataset,
                "fingerprint": self.meta.fingerprint,
                "encoder_weights": self.meta.encoder_weights,
                "packages_of_extraction": dict(self.meta.packages),
                "is_the_training_cache": self.same_cache,
            },
            "loss": self.loss,
            "left_out": dict(self.left_out),
            "leak": self.leak.to_dict(),
            "metrics": self.metrics.to_dict(),
            "num_epochs": len(self.epochs),
        }


def read_epochs(run_dir: Path) -> tuple[Mapping[str, Any], ...]:
    """The records of a run's metrics.jsonl; none where there is no such file.

    Raises CheckpointError for a file that holds something else.
    """
    path = run_dir / METRICS_FILE
    if not path.is_file():
        return ()
    try:
        if path.stat().st_size > _MOST_BYTES:
            size = path.stat().st_size
            msg = f"'{path}' has {size} bytes; allowed: {_MOST_BYTES}. Remove it, or train again."
            raise CheckpointError(msg)
        records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return tuple(_record(record) for record in records)
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        msg = f"'{path}' does not hold one epoch a line ({first_line(error)}). Remove it, or train again."
        raise CheckpointError(msg) from error


def _record(values: Any) -> Mapping[str, Any]:
    """The part of an epoch's record that the curves show. Raises ValueError, KeyError or TypeError."""
    return {
        "epoch": int(values["epoch"]),
        "train": {name: _number(values["train"][name]) for name in _TRAIN},
        "validation": {name: _number(values["validation"][name]) for name in _VALIDATION},
    }


def _number(value: Any) -> float:
    number = float(value)
    if not np.isfinite(number):
        msg = f"{number} among the numbers"
        raise ValueError(msg)
    return number

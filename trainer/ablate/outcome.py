"""A requested run, and its outcome."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from pipeline.choices import MeasuredSplit
from pipeline.config import from_dict, require_one_of, require_range, to_dict
from pipeline.errors import ConfigError
from pipeline.own_dir import OwnDir
from trainer.baselines.settings import Baseline
from trainer.config import TrainConfig
from trainer.intervals import GroupCounts
from trainer.metrics import Metrics

_STATES = ("finished", "diverged", "failed")
_MOST_EPOCHS = 10**9
_MOST_CLIPS = 10**9


@dataclass(frozen=True, kw_only=True)
class RunTask:
    """A run of a sweep, small enough to be sent to a worker.

    Attributes:
        cache: Location of the cache.
        run_dir: Directory of the run once it has an outcome.
        row: Name of the row.
        device: auto, cpu or cuda.
        encoder_weights, usable_sha256: See `train`.
        allow_leak: See `measure`.
        split: Split that is measured: test, or validation in a search.
        baseline: The baseline, of a row that has one; the other settings are then those of the data.
    """

    cache: str
    run_dir: OwnDir
    row: str
    config: TrainConfig
    fold: str
    seed: int
    device: str
    encoder_weights: str | None
    allow_leak: bool = False
    usable_sha256: str | None = None
    baseline: Baseline | None = None
    split: MeasuredSplit = "test"

    def __str__(self) -> str:
        return f"{self.row}, fold {self.fold}, seed {self.seed}"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Result of a run, or the reason why it has none.

    Attributes:
        split: Measured split.
        state: ``diverged`` if the loss was NaN or infinite, ``failed`` for any other `reason`.
        confusion: [C, C] of the measured split, rows true class, of a finished run.
        groups: The same clips by group (`GroupCounts.to_rows`); empty if the cache has no groups.
        best_epoch, num_epochs: 0 for a baseline without epochs.
        selection: Rule for the clips that chose the checkpoint; empty for a baseline for which no clips chose
            anything.
        selected_by: Number of these clips that chose it: loss, war or uar.
        facts: What a baseline used or chose, in words.
        validation_loss: Validation loss of the best epoch; 0 for a baseline, and in outcomes of versions that
            did not record it.
        left_out: Numbers of clips of the fold that were not used, with reasons; num_pending had no features
            yet.
        num_without_face: Measured clips without a face on any sampled frame; 0 in outcomes of versions that
            did not record it.
        num_leaked: Test clips whose footage the run has seen.
        usable_sha256, num_train, precision: As in `RunInfo`; empty or 0 in outcomes of versions that did not
            record them.
        device, threads: Device and threads of the run.
    """

    row: str
    fold: str
    seed: int
    state: Literal["finished", "diverged", "failed"]
    reason: str = ""
    class_names: tuple[str, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    groups: tuple[tuple[int, ...], ...] = ()
    best_epoch: int = 0
    num_epochs: int = 0
    selection: str = ""
    selected_by: str = "loss"
    validation_loss: float = 0.0
    banners: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    num_without_face: int = 0
    num_leaked: int = 0
    num_pending: int = 0
    usable_sha256: str = ""
    num_train: int = 0
    precision: str = ""
    device: str = ""
    threads: int = 0
    seconds: float = 0.0
    split: MeasuredSplit = "test"
    facts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_one_of("state", self.state, _STATES)
        require_range("best_epoch", self.best_epoch, 0, _MOST_EPOCHS)
        for name in ("num_without_face", "num_leaked", "num_pending", "num_train"):
            require_range(name, getattr(self, name), 0, _MOST_CLIPS)
        require_range("seconds", self.seconds, 0)
        for name in ("class_names", "banners", "left_out", "facts"):
            texts = getattr(self, name)
            if not all(isinstance(text, str) for text in texts):
                msg = f"{name} is {texts!r:.100}; texts are needed."
                raise ConfigError(msg)
        if self.state == "finished":
            self.metrics()

    def metrics(self) -> Metrics:
        """Return the metrics of the test split. Raises ConfigError if the run has none."""
        try:
            return Metrics(
                class_names=self.class_names,
                confusion=np.array(self.confusion, dtype=np.int32).astype(np.int64),  # no larger counts
                groups=GroupCounts.from_rows(self.groups, len(self.class_names)) if self.groups else None,
            )
        except (ValueError, TypeError, OverflowError) as error:
            size = len(self.class_names)
            counts = f"counts of {size} classes, and the same clips by group,"
            msg = f"confusion is {repr(self.confusion)[:100]}; {counts} are needed."
            raise ConfigError(msg) from error

    @classmethod
    def of(cls, task: RunTask, **values: Any) -> "Outcome":
        """Return the outcome of a task."""
        return cls(row=task.row, fold=task.fold, seed=task.seed, **values)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Outcome":
        """Read the values of `to_dict`. Raises ConfigError for other values."""
        read = from_dict(cls, values)
        return replace(
            read,
            confusion=tuple(tuple(row) for row in read.confusion),
            groups=tuple(tuple(row) for row in read.groups),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as plain JSON values."""
        return to_dict(self)

    def __str__(self) -> str:
        what = f"{self.row}, fold {self.fold}, seed {self.seed}"
        if self.state != "finished":
            return f"{what}: {self.state.upper()}: {self.reason}"
        metrics = self.metrics()
        epochs = [f"best epoch {self.best_epoch} of {self.num_epochs}"] if self.num_epochs else self.facts
        split = "" if self.split == "test" else f"{self.split} clips: "
        rates = f"{split}UAR {metrics.uar:.2%}, WAR {metrics.war:.2%}"
        return f"{what}: {', '.join([rates, *epochs, f'{self.seconds:.0f} s'])}"

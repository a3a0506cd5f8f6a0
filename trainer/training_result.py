"""How a training run went: each epoch, and the whole."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.program import command
from trainer.losses import loss_names
from trainer.profile import Profile
from trainer.run_info import RunInfo
from trainer.scalars import ScalarTable


@dataclass(frozen=True, kw_only=True)
class TrainEpoch:
    """Means over the steps of an epoch (losses) and over its clips (accuracy).

    loss: What was minimised.
    losses: Each loss of `losses.LOSSES` by name, without its weight; 0 where the run does not have it.
    gated_share: Share of the steps with eq. 4 whole, 0 to 1.
    accuracy: Share of the clips whose class was named, 0 to 1.
    """

    loss: float
    losses: Mapping[str, float]
    gated_share: float
    accuracy: float

    @classmethod
    def of(cls, table: ScalarTable, num_clips: int) -> "TrainEpoch":
        """Return the means of an epoch's steps, which saw `num_clips` clips."""
        means = table.means()
        return cls(
            loss=means["loss"],
            losses={name: means[name] for name in loss_names()},
            gated_share=means["gated_share"],
            accuracy=int(table["right"].sum()) / num_clips,
        )


@dataclass(frozen=True, kw_only=True)
class ValidationEpoch:
    """The validation clips after an epoch. loss: ungated class-contrastive."""

    loss: float
    war: float
    uar: float


@dataclass(frozen=True, kw_only=True)
class EpochReport:
    """One line of metrics.jsonl. lr: of the epoch's last step. is_best: whether it was saved.

    joined_batches: batches of one class that were joined with another, because ``losses.contrast=batch``
    has no negative in them.
    """

    epoch: int
    steps: int
    lr: float
    train: TrainEpoch
    validation: ValidationEpoch
    is_best: bool
    seconds: float
    joined_batches: int = 0


def epoch_record(report: EpochReport) -> dict[str, Any]:
    """Return the line of metrics.jsonl as plain values, each loss beside the other numbers of training."""
    record = asdict(report)
    trained = record["train"]
    record["train"] = {"loss": trained.pop("loss"), **trained.pop("losses"), **trained}
    return record


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """How a run went. best: the epoch that was saved. residence: where the features lay.

    left_out: why clips of the fold were not used, and how many. next_split: the one to measure, validation
    where the fold has no test clips. notes: footage that splits share, batches that were joined. profile:
    where the time went, if asked.
    """

    run_dir: Path
    info: RunInfo
    best: EpochReport
    num_epochs: int
    num_steps: int
    num_train: int
    num_validation: int
    left_out: dict[str, int]
    residence: str
    next_split: str
    notes: tuple[str, ...] = ()
    profile: Profile | None = None


def evaluate_command(run_dir: Path, split: str) -> str:
    """The command that measures a run on a split of its fold, for a shell."""
    return command("evaluate", run_dir, *([] if split == "test" else ["--split", split]))

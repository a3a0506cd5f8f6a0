"""Results of a training run: of each epoch, and of the run."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.display.shown import Shown
from pipeline.program import command
from trainer.losses import loss_names
from trainer.profile import Profile
from trainer.run_info import RunInfo
from trainer.scalars import ScalarTable


@dataclass(frozen=True, kw_only=True)
class TrainEpoch:
    """Means over the steps of an epoch (losses) and over its clips (accuracy).

    Attributes:
        loss: The minimised loss.
        losses: Each loss of `losses.LOSSES` by name, without its weight; 0 if the run does not have it.
        gated_share: Fraction of the steps that trained on L_global (eq. 4), 0 to 1.
        accuracy: Fraction of the clips classified correctly, 0 to 1.
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
    """Results of the validation clips after an epoch.

    The loss is the ungated class-contrastive one of logits and labels: without weights, prior, smoothing or
    votes, so that it is comparable between runs.
    """

    loss: float
    war: float
    uar: float


@dataclass(frozen=True, kw_only=True)
class EpochReport:
    """One line of metrics.jsonl.

    Attributes:
        epoch: Number from 1.
        steps: Steps of the run so far.
        lr: Learning rate of the last step.
        is_best: Whether the epoch is the best one so far by `schedule.select`, and was saved.
        seconds: Time of training, validation and saving.
        joined_batches: Batches of one class that were joined with another, because ``losses.contrast=batch``
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
    """Return a line of metrics.jsonl as plain values, with each loss next to the other training numbers."""
    record = asdict(report)
    trained = record["train"]
    record["train"] = {"loss": trained.pop("loss"), **trained.pop("losses"), **trained}
    return record


@dataclass(frozen=True, kw_only=True, repr=False)
class TrainResult(Shown):
    """Result of a run.

    Attributes:
        best: The saved epoch.
        residence: Size and place of the features, in words.
        left_out: Number of clips of the fold that were not used, by reason.
        next_split: Split to measure: test, or validation if the fold has no test clips.
        notes: Footage that splits share, clips without a face, joined batches, a failed record of the cache.
        profile: Time of each part of a step; None if not requested.
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
    """Return the command that measures a run on a split of its fold, for a shell."""
    return command("evaluate", run_dir, *([] if split == "test" else ["--split", split]))

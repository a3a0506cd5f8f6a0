"""Settings of losses, optimiser and schedule; `config` has the others and puts all of them together."""

from dataclasses import dataclass
from typing import Literal

from pipeline.config import require_one_of, require_range


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """The three losses and the gate.

    Attributes:
        terms: ``all`` of eq. 4, or ``contrast`` alone (the L_ce of Tables IV and V).
        similarity: Eq. 2 ``as_printed``, over the whole batch, or ``per_sample``.
        contrast: ``class``: output against the class prompts. ``batch``: eq. 3 over the batch, where the
            sample's own prompt is the positive; a batch then needs clips of two classes. ``streams``:
            ``class`` plus eq. 3 between scene and face.
        reduction: Reduction of eqs. 1 and 3. The paper prints sums over the batch; ``mean`` does not depend
            on its size.
        gate: Loss that is compared with `alpha`: ``contrast``, or the ``total`` of eq. 4. The mean over the
            clips is compared, whatever the reduction (decision 0015).
        alpha: Threshold of the gate (eq. 4).
        logit_scale: 1 / tau, frozen. Trained CLIP models have 100.
        class_weights: Weight of a training clip in L_contrast, by its class. ``inverse``: 1 / n for a class
            of n clips. ``effective``: (1 - beta) / (1 - beta^n) (Cui et al. 2019). The mean over the clips
            is 1.
        effective_beta: beta of ``class_weights=effective``, 0 to 0.999999. 0 gives equal weights; near 1 they
            are those of ``inverse``.
        logit_adjustment: Multiple of the log share of each class in the training clips that is added to the
            logits in training alone (tau of Menon et al. 2021, who take 1). 0 for none.
        label_smoothing: Fraction of each target that is spread over all classes, 0 to 0.9.
        targets: Targets of L_contrast: the ``label``, or the annotators' ``votes`` as a distribution. Clips
            without votes keep their label. With fixed targets, cross-entropy and the Kullback-Leibler
            divergence have the same gradient, so there is no setting for it.
        vote_temperature: Votes are raised to the power 1 / temperature and scaled to a sum of 1: lower values
            sharpen them, higher ones flatten them. 0.05 to 20.
    """

    terms: Literal["all", "contrast"] = "all"
    similarity: Literal["as_printed", "per_sample"] = "as_printed"
    contrast: Literal["class", "batch", "streams"] = "class"
    reduction: Literal["mean", "sum"] = "mean"
    gate: Literal["contrast", "total"] = "contrast"
    alpha: float = 1.0
    logit_scale: float = 100.0
    class_weights: Literal["none", "inverse", "effective"] = "none"
    effective_beta: float = 0.999
    logit_adjustment: float = 0.0
    label_smoothing: float = 0.0
    targets: Literal["label", "votes"] = "label"
    vote_temperature: float = 1.0

    def __post_init__(self) -> None:
        require_one_of("losses.terms", self.terms, ("all", "contrast"))
        require_one_of("losses.similarity", self.similarity, ("as_printed", "per_sample"))
        require_one_of("losses.contrast", self.contrast, ("class", "batch", "streams"))
        require_one_of("losses.reduction", self.reduction, ("mean", "sum"))
        require_one_of("losses.gate", self.gate, ("contrast", "total"))
        require_range("losses.alpha", self.alpha, 0)
        require_range("losses.logit_scale", self.logit_scale, 1)
        require_one_of("losses.class_weights", self.class_weights, ("none", "inverse", "effective"))
        require_range("losses.effective_beta", self.effective_beta, 0, 0.999999)
        require_range("losses.logit_adjustment", self.logit_adjustment, 0, 10)
        require_range("losses.label_smoothing", self.label_smoothing, 0, 0.9)
        require_one_of("losses.targets", self.targets, ("label", "votes"))
        require_range("losses.vote_temperature", self.vote_temperature, 0.05, 20)

    @property
    def is_plain(self) -> bool:
        """Whether L_contrast compares the logits with the labels, and all clips count equally."""
        return (
            self.class_weights == "none"
            and self.targets == "label"
            and not self.logit_adjustment
            and not self.label_smoothing
        )


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """Adam or AdamW.

    Attributes:
        name: ``adam``, as in the paper, or ``adamw``, whose weight decay is not part of the gradient
            (Loshchilov and Hutter 2019).
        lr: Learning rate after warm-up.
        weight_decay: With ``adam``, the L2 term of the gradient. With ``adamw``, each step also multiplies
            all parameters by 1 - rate * weight_decay.
        batch_size: Clips per step.
        clip_norm: Largest norm of the gradient; 0 for no limit.
        warmup_steps: Steps of linear rise.
        graphed: Replay steps of full batches as one CUDA graph. This changes the speed alone.
    """

    name: Literal["adam", "adamw"] = "adam"
    lr: float = 2e-4
    weight_decay: float = 0.0
    batch_size: int = 32
    clip_norm: float = 1.0
    warmup_steps: int = 100
    graphed: bool = False

    def __post_init__(self) -> None:
        require_one_of("optim.name", self.name, ("adam", "adamw"))
        require_range("optim.lr", self.lr, 1e-12, 10)
        require_range("optim.weight_decay", self.weight_decay, 0)
        require_range("optim.batch_size", self.batch_size, 1)
        require_range("optim.clip_norm", self.clip_norm, 0)
        require_range("optim.warmup_steps", self.warmup_steps, 0)


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """Choice of the checkpoint, and length of the training (IV-A).

    Attributes:
        select: Number of the validation clips that chooses the checkpoint: the lowest ``loss``, the highest
            ``war`` or the highest ``uar``; of equal ones, that of the lower loss. The loss is the ungated
            class-contrastive one of logits and labels, whatever the settings of ``losses``. An epoch in which
            this number is no better than before is one without improvement.
        decay: ``plateau``: the rate falls by `plateau_factor` after epochs without improvement.
            ``cosine``: after the warm-up it falls with every step along half a cosine, to `min_lr` at the
            last step of `max_epochs` or `max_steps` (Loshchilov and Hutter 2017, without restarts). Training
            may still end earlier by `stop_patience`; 0 completes the cosine.
        max_epochs: Epochs after which training ends.
        max_steps: Steps after which training ends; 0 for no limit.
        plateau_factor: Factor of the rate after `plateau_patience` epochs without improvement.
        plateau_patience: Epochs without improvement before the rate falls.
        stop_patience: Epochs without improvement before training ends; 0 for no limit.
        min_lr: With ``plateau``, training ends at a lower rate; with ``cosine``, the last rate.
        overfit_accuracy: Training accuracy above which a run counts as overfit, 0 to 1.
    """

    select: Literal["loss", "war", "uar"] = "loss"
    decay: Literal["plateau", "cosine"] = "plateau"
    max_epochs: int = 60
    max_steps: int = 0
    plateau_factor: float = 1 / 3
    plateau_patience: int = 5
    stop_patience: int = 12
    min_lr: float = 1e-7
    overfit_accuracy: float = 0.8

    def __post_init__(self) -> None:
        require_one_of("schedule.select", self.select, ("loss", "war", "uar"))
        require_one_of("schedule.decay", self.decay, ("plateau", "cosine"))
        require_range("schedule.max_epochs", self.max_epochs, 1)
        require_range("schedule.max_steps", self.max_steps, 0)
        require_range("schedule.plateau_factor", self.plateau_factor, 0.01, 1)
        require_range("schedule.plateau_patience", self.plateau_patience, 1)
        require_range("schedule.stop_patience", self.stop_patience, 0)
        require_range("schedule.min_lr", self.min_lr, 0)
        require_range("schedule.overfit_accuracy", self.overfit_accuracy, 0, 1)

"""The losses (III-A, eqs. 1-4) and the gate between them; `LOSSES` is the one place to add another.

Letters: B clips of a batch; N training clips; C classes; F embedding width; P polarities (3).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch
from torch.nn import functional

from pipeline.errors import ConfigError
from pipeline.types import Ints
from trainer.config import TrainConfig
from trainer.model import Outputs
from trainer.training_config import LossConfig

_SMALLEST_NORM = 1e-8


def similarity_loss(face_BF: torch.Tensor, scene_BF: torch.Tensor, form: str) -> torch.Tensor:
    """Compute L_similarity (eq. 2).

    Args:
        face_BF: Face features.
        scene_BF: Scene features.
        form: ``as_printed`` for sums over the whole batch, ``per_sample`` for the mean of 1 - cosine.

    Returns:
        A scalar.
    """
    if form == "per_sample":
        return 1 - functional.cosine_similarity(face_BF, scene_BF, dim=1).mean()
    dots = (face_BF * scene_BF).sum()
    norms = _norm(face_BF) * _norm(scene_BF)
    return 1 - dots / norms.clamp_min(_SMALLEST_NORM)


def _norm(value_BF: torch.Tensor) -> torch.Tensor:
    """Return the norm over the whole batch, never 0, where the gradient of the square root is infinite."""
    return value_BF.square().sum().clamp_min(_SMALLEST_NORM**2).sqrt()


def polarity_loss(logits_BP: torch.Tensor, polarity_B: torch.Tensor, reduction: str = "mean") -> torch.Tensor:
    """Compute L_polarity (eq. 1): cross-entropy of the polarity logits.

    Args:
        logits_BP: Polarity logits.
        polarity_B: Polarities, 0 to P - 1, or distributions over them [B, P].
        reduction: ``mean`` or ``sum`` over the batch.
    """
    return functional.cross_entropy(logits_BP, polarity_B, reduction=reduction)


def class_contrast(logits_BC: torch.Tensor, label_B: torch.Tensor, reduction: str = "mean") -> torch.Tensor:
    """Compute L_contrast over the class prompts: cross-entropy of sim / tau over the C prompts.

    Args:
        logits_BC: Similarities of outputs and prompts, divided by tau.
        label_B: Classes, 0 to C - 1.
        reduction: ``mean`` or ``sum`` over the batch.
    """
    return functional.cross_entropy(logits_BC, label_B, reduction=reduction)


def batch_contrast(logits_BC: torch.Tensor, label_B: torch.Tensor, reduction: str = "mean") -> torch.Tensor:
    """Compute eq. 3 over the batch: sample i against the prompt of every sample j.

    The positive is the sample's own prompt; other samples of its class do not count as negatives.

    Args:
        logits_BC: Similarities of outputs and prompts, divided by tau.
        label_B: Classes, 0 to C - 1.
        reduction: ``mean`` or ``sum`` over the batch.
    """
    sim_BB = logits_BC[:, label_B]
    own = torch.eye(len(label_B), dtype=torch.bool, device=label_B.device)
    same_class = label_B[:, None] == label_B[None, :]
    sim_BB = sim_BB.masked_fill(same_class & ~own, float("-inf"))
    own_B = torch.arange(len(label_B), device=label_B.device)
    return functional.cross_entropy(sim_BB, own_B, reduction=reduction)


def require_negatives(config: TrainConfig, label_N: Ints) -> None:
    """Raise ConfigError if eq. 3 over the batch has no negative in any batch, so that its loss is always 0.

    `label_N` are the classes of the training clips.
    """
    if config.losses.contrast != "batch":
        return
    trouble = ""
    if config.optim.batch_size == 1:
        trouble = "optim.batch_size is 1; set optim.batch_size to 2 or more"
    elif len(np.unique(label_N)) < 2:
        trouble = f"all {len(label_N)} training clips have one class; give clips of two classes or more"
    if trouble:
        msg = (
            "losses.contrast is 'batch', which compares a clip with clips of other classes in its batch, but "
            f"{trouble}, or set losses.contrast=class."
        )
        raise ConfigError(msg)


def stream_contrast(
    scene_BF: torch.Tensor, face_BF: torch.Tensor, logit_scale: float, reduction: str = "mean"
) -> torch.Tensor:
    """Compute eq. 3 as printed: scene i against the face of every sample j; its own face is the positive.

    Args:
        scene_BF: Scene features, of any length.
        face_BF: Face features, of any length.
        logit_scale: 1 / tau.
        reduction: ``mean`` or ``sum`` over the batch.
    """
    scene_BF, face_BF = functional.normalize(scene_BF, dim=1), functional.normalize(face_BF, dim=1)
    own_B = torch.arange(len(face_BF), device=face_BF.device)
    return functional.cross_entropy(logit_scale * scene_BF @ face_BF.T, own_B, reduction=reduction)


ClassTerm = Callable[[torch.Tensor], torch.Tensor]
"""Logits [B, C] -> a loss that replaces `class_contrast`; see `targets.ClassLoss`."""


def contrast_loss(
    outputs: Outputs, label_B: torch.Tensor, config: LossConfig, class_term: ClassTerm | None = None
) -> torch.Tensor:
    """Compute L_contrast in the reading of `config.contrast`.

    Args:
        outputs: Outputs of the model for a batch.
        label_B: Classes, 0 to C - 1.
        config: The settings of the losses.
        class_term: Replaces `class_contrast`; not used by ``batch``.
    """
    if config.contrast == "batch":
        return batch_contrast(outputs.logits_BC, label_B, config.reduction)
    if class_term is None:
        loss = class_contrast(outputs.logits_BC, label_B, config.reduction)
    else:
        loss = class_term(outputs.logits_BC)
    if config.contrast == "streams" and outputs.scene_BF is not None:
        loss = loss + stream_contrast(outputs.scene_BF, outputs.face_BF, config.logit_scale, config.reduction)
    return loss


Value = Callable[[Outputs, torch.Tensor, torch.Tensor, TrainConfig], torch.Tensor | None]
"""Outputs, class labels [B], polarities [B] and config -> the loss, a scalar; None without its inputs."""


@dataclass(frozen=True, kw_only=True)
class Loss:
    """A term of eq. 4. To add a loss to training and to all records, add an entry to `LOSSES`.

    Attributes:
        name: Key in metrics.jsonl, in TensorBoard and in messages.
        value: Function that computes the loss. If it returns None or the loss does not apply, 0 is recorded.
        applies: Returns whether a run of a config has the loss.
        weight: Returns the weight in eq. 4. The recorded value is without it.
        is_reduced: Whether ``losses.reduction`` chooses between sum and mean over the clips.
    """

    name: str
    value: Value
    applies: Callable[[TrainConfig], bool] = lambda _config: True
    weight: Callable[[TrainConfig], float] = lambda _config: 1.0
    is_reduced: bool = False


def _contrast(
    outputs: Outputs, label_B: torch.Tensor, _polarity_B: torch.Tensor, config: TrainConfig
) -> torch.Tensor:
    return contrast_loss(outputs, label_B, config.losses)


def _similarity(
    outputs: Outputs, _label_B: torch.Tensor, _polarity_B: torch.Tensor, config: TrainConfig
) -> torch.Tensor | None:
    if outputs.scene_BF is None:
        return None
    return similarity_loss(outputs.face_BF, outputs.scene_BF, config.losses.similarity)


def _polarity(
    outputs: Outputs, _label_B: torch.Tensor, polarity_B: torch.Tensor, config: TrainConfig
) -> torch.Tensor | None:
    if outputs.polarity_logits_BP is None:
        return None
    return polarity_loss(outputs.polarity_logits_BP, polarity_B, config.losses.reduction)


_CONTRAST = "contrast"
"""The loss that eq. 4 keeps when the gate is closed."""

LOSSES = (
    Loss(name=_CONTRAST, value=_contrast, is_reduced=True),
    Loss(name="similarity", value=_similarity, applies=lambda config: config.has_similarity_loss),
    Loss(name="polarity", value=_polarity, applies=lambda config: config.has_polarity_loss, is_reduced=True),
)
"""The losses of eq. 4, in the order of the records. The gate never leaves out the first one."""


def loss_names() -> tuple[str, ...]:
    """Return the names of all losses, in the order of the records."""
    return tuple(loss.name for loss in LOSSES)


@dataclass(frozen=True, kw_only=True)
class BatchLosses:
    """The losses of a batch, scalars on the device.

    Attributes:
        loss: The minimised loss.
        parts: Every loss of `LOSSES` by name, without its weight; 0 where the run does not have it.
        is_global: Whether the loss is L_global.
    """

    loss: torch.Tensor
    parts: Mapping[str, torch.Tensor]
    is_global: torch.Tensor


def gated(
    parts: Mapping[str, torch.Tensor], *, gate: str, alpha: float, num_summed: int = 1
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute L_global (eq. 4) while the watched loss exceeds alpha, else L_contrast.

    Args:
        parts: Every loss of `LOSSES` by name, with its weight.
        gate: The watched loss: ``contrast``, or ``total`` for the sum of all.
        alpha: Threshold for the mean over the clips, so that the gate depends neither on the reduction nor on
            the size of the batch (decision 0015).
        num_summed: Number of clips in the sums; 1 if the losses are means.

    Returns:
        The loss, and whether it is L_global; scalars.
    """
    means = {loss.name: parts[loss.name] / (num_summed if loss.is_reduced else 1) for loss in LOSSES}
    watched = means[_CONTRAST] if gate == "contrast" else _total(means)
    is_global = watched.detach() > alpha
    return torch.where(is_global, _total(parts), parts[_CONTRAST]), is_global


def _total(parts: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Return the sum of eq. 4, L_contrast last as printed."""
    others = [part for name, part in parts.items() if name != _CONTRAST]
    return reduce(torch.add, [*others, parts[_CONTRAST]])


def training_loss(
    outputs: Outputs,
    label_B: torch.Tensor,
    polarity_B: torch.Tensor,
    config: TrainConfig,
    class_term: ClassTerm | None = None,
) -> BatchLosses:
    """Compute all losses of a batch, and pass them through the gate.

    Args:
        outputs: Outputs of the model for the batch.
        label_B: Classes, 0 to C - 1.
        polarity_B: Polarities, 0 to P - 1, or distributions over them [B, P].
        config: The settings of the run.
        class_term: Replaces `class_contrast` in L_contrast.
    """
    values = {
        loss.name: loss.value(outputs, label_B, polarity_B, config) if loss.applies(config) else None
        for loss in LOSSES
    }
    if class_term is not None:
        values[_CONTRAST] = contrast_loss(outputs, label_B, config.losses, class_term)
    zero = torch.zeros((), device=outputs.logits_BC.device)
    parts = {name: zero if value is None else value for name, value in values.items()}
    if config.losses.terms == "contrast":
        return BatchLosses(loss=parts[_CONTRAST], parts=parts, is_global=zero.bool())
    loss, is_global = gated(
        {loss.name: loss.weight(config) * parts[loss.name] for loss in LOSSES},
        gate=config.losses.gate,
        alpha=config.losses.alpha,
        num_summed=len(label_B) if config.losses.reduction == "sum" else 1,
    )
    return BatchLosses(loss=loss, parts=parts, is_global=is_global)

"""The three losses (III-A, eqs. 1-4) and the gate between them.

Letters: B batch; C classes; F embedding width; P polarities (3).
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from pipeline.errors import ConfigError
from pipeline.types import Ints
from trainer.config import LossConfig, TrainConfig
from trainer.model import Outputs

_SMALLEST_NORM = 1e-8


@dataclass(frozen=True, kw_only=True)
class LossParts:
    """One batch's losses, scalars on the device; a part that a run does not have is zero.

    loss: what is minimised. is_global: whether the gate let all parts in.
    """

    loss: torch.Tensor
    contrast: torch.Tensor
    similarity: torch.Tensor
    polarity: torch.Tensor
    is_global: torch.Tensor


def similarity_loss(face_BF: torch.Tensor, scene_BF: torch.Tensor, form: str) -> torch.Tensor:
    """L_similarity (eq. 2). `as_printed`: sums over the whole batch; `per_sample`: mean of 1 - cosine."""
    if form == "per_sample":
        return 1 - functional.cosine_similarity(face_BF, scene_BF, dim=1).mean()
    dots = (face_BF * scene_BF).sum()
    norms = _norm(face_BF) * _norm(scene_BF)
    return 1 - dots / norms.clamp_min(_SMALLEST_NORM)


def _norm(value_BF: torch.Tensor) -> torch.Tensor:
    """The norm over the whole batch, never 0: there a square root has an infinite gradient."""
    return value_BF.square().sum().clamp_min(_SMALLEST_NORM**2).sqrt()


def polarity_loss(logits_BP: torch.Tensor, polarity_B: torch.Tensor, reduction: str = "mean") -> torch.Tensor:
    """L_polarity (eq. 1): cross-entropy of the polarity logits."""
    return functional.cross_entropy(logits_BP, polarity_B, reduction=reduction)


def class_contrast(logits_BC: torch.Tensor, label_B: torch.Tensor, reduction: str = "mean") -> torch.Tensor:
    """Output against class prompts: cross-entropy of sim/tau over the C prompts."""
    return functional.cross_entropy(logits_BC, label_B, reduction=reduction)


def batch_contrast(logits_BC: torch.Tensor, label_B: torch.Tensor, reduction: str = "mean") -> torch.Tensor:
    """Eq. 3 over the batch: sample i against the prompt of every sample j.

    The positive is the sample's own prompt; other samples of its class do not count as negatives.
    """
    sim_BB = logits_BC[:, label_B]
    own = torch.eye(len(label_B), dtype=torch.bool, device=label_B.device)
    same_class = label_B[:, None] == label_B[None, :]
    sim_BB = sim_BB.masked_fill(same_class & ~own, float("-inf"))
    own_B = torch.arange(len(label_B), device=label_B.device)
    return functional.cross_entropy(sim_BB, own_B, reduction=reduction)


def require_negatives(config: TrainConfig, label_N: Ints) -> None:
    """Raise ConfigError when eq. 3 over the batch has no negative in any batch, so that its loss is always 0.

    label_N: of the training clips.
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
    """Eq. 3 as printed: scene i against the face of every sample j, its own being the positive."""
    scene_BF, face_BF = functional.normalize(scene_BF, dim=1), functional.normalize(face_BF, dim=1)
    own_B = torch.arange(len(face_BF), device=face_BF.device)
    return functional.cross_entropy(logit_scale * scene_BF @ face_BF.T, own_B, reduction=reduction)


def contrast_loss(outputs: Outputs, label_B: torch.Tensor, config: LossConfig) -> torch.Tensor:
    """L_contrast in the reading of `config.contrast`."""
    if config.contrast == "batch":
        return batch_contrast(outputs.logits_BC, label_B, config.reduction)
    loss = class_contrast(outputs.logits_BC, label_B, config.reduction)
    if config.contrast == "streams" and outputs.scene_BF is not None:
        loss = loss + stream_contrast(outputs.scene_BF, outputs.face_BF, config.logit_scale, config.reduction)
    return loss


def gated(
    contrast: torch.Tensor,
    similarity: torch.Tensor,
    polarity: torch.Tensor,
    *,
    gate: str,
    alpha: float,
    num_summed: int = 1,
) -> tuple[torch.Tensor, torch.Tensor]:
    """L_global (eq. 4) while the watched loss exceeds alpha, else L_contrast; and which it was.

    num_summed: clips that `contrast` and `polarity` are sums over, 1 for means. Alpha is compared with the
    mean in both cases, so that the gate depends neither on the reduction nor on the size of the batch
    (decision 0015).
    """
    total = similarity + polarity + contrast
    watched = contrast / num_summed
    if gate == "total":
        watched = similarity + polarity / num_summed + contrast / num_summed
    is_global = watched.detach() > alpha
    return torch.where(is_global, total, contrast), is_global


def training_loss(
    outputs: Outputs, label_B: torch.Tensor, polarity_B: torch.Tensor, config: TrainConfig
) -> LossParts:
    """All losses of a batch, through the gate."""
    contrast = contrast_loss(outputs, label_B, config.losses)
    similarity = polarity = torch.zeros_like(contrast)
    if config.has_similarity_loss and outputs.scene_BF is not None:
        similarity = similarity_loss(outputs.face_BF, outputs.scene_BF, config.losses.similarity)
    if config.has_polarity_loss and outputs.polarity_logits_BP is not None:
        polarity = polarity_loss(outputs.polarity_logits_BP, polarity_B, config.losses.reduction)
    if config.losses.terms == "contrast":
        return LossParts(
            loss=contrast, contrast=contrast, similarity=similarity, polarity=polarity,
            is_global=torch.zeros_like(contrast, dtype=torch.bool),
        )  # fmt: skip
    loss, is_global = gated(
        contrast,
        similarity,
        polarity,
        gate=config.losses.gate,
        alpha=config.losses.alpha,
        num_summed=len(label_B) if config.losses.reduction == "sum" else 1,
    )
    return LossParts(
        loss=loss, contrast=contrast, similarity=similarity, polarity=polarity, is_global=is_global
    )

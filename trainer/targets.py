"""Targets of L_contrast in training, if they are not just labels: votes, smoothing, weights, priors.

Validation and all measurements use the logits as they are, and labels.

Letters: B clips of a batch; N training clips; C classes.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn import functional

from pipeline.errors import CacheError, ConfigError, counted, some
from pipeline.store.reader import FeatureCache
from pipeline.types import Ints
from trainer.batches import Batch, ClipData
from trainer.class_balance import Doubles, class_counts, class_weights, drawing_shares, log_prior
from trainer.config import TrainConfig

_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, kw_only=True)
class ClassLoss:
    """L_contrast against the class prompts, with weights of classes, a prior, and smoothed targets.

    Attributes:
        weight_C: Weight of a clip by its class, on the device; None for equal weights.
        prior_C: Multiple of the log prior that is added to the logits, on the device; None for none. Menon
            et al., "Long-Tail Learning via Logit Adjustment" (ICLR 2021), eq. 10.
        smoothing: Fraction of each target that is spread over all classes.
        reduction: ``mean`` or ``sum`` over the batch.
    """

    weight_C: torch.Tensor | None
    prior_C: torch.Tensor | None
    smoothing: float
    reduction: str

    @classmethod
    def of(
        cls, config: TrainConfig, label_N: Ints, target_NC: Doubles, device: torch.device
    ) -> "ClassLoss | None":
        """Return the loss of a run; None if it is the plain cross-entropy of logits and labels.

        Weights and prior are those of the clips as `data.sampling` draws them.

        Args:
            config: Settings of the run.
            label_N: Classes of the training clips.
            target_NC: Their targets.
            device: Device that trains.
        """
        if config.has_plain_targets:
            return None
        losses = config.losses
        counts_C = class_counts(target_NC, drawing_shares(label_N, config.data.sampling))
        weight_C = prior_C = None
        if losses.class_weights != "none":
            weight_C = _on(device, class_weights(counts_C, losses.class_weights, losses.effective_beta))
        if losses.logit_adjustment:
            prior_C = _on(device, losses.logit_adjustment * log_prior(counts_C))
        return cls(
            weight_C=weight_C, prior_C=prior_C, smoothing=losses.label_smoothing, reduction=losses.reduction
        )

    def __call__(self, logits_BC: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Compute the loss of a batch, a scalar.

        The weight of a clip is that of its class, or the mean over its target before smoothing.

        Args:
            logits_BC: Logits of the model.
            batch: Batch with its targets; without any, the targets are its labels.
        """
        num_classes = logits_BC.shape[1]
        target_BC = batch.target_BC
        if target_BC is None:
            target_BC = torch.zeros_like(logits_BC).scatter(1, batch.label_B[:, None], 1)
        smooth_BC = (1 - self.smoothing) * target_BC + self.smoothing / num_classes
        shifted_BC = logits_BC if self.prior_C is None else logits_BC + self.prior_C
        loss_B = -(smooth_BC * functional.log_softmax(shifted_BC, dim=1)).sum(dim=1)
        if self.weight_C is not None:
            loss_B = loss_B * (target_BC @ self.weight_C)
        return loss_B.sum() if self.reduction == "sum" else loss_B.mean()


def training_targets(cache: FeatureCache, row_N: Ints, config: TrainConfig) -> tuple[Doubles, str]:
    """Return the targets of training clips [N, C], and a remark on clips without votes; empty for none.

    Args:
        cache: An open cache.
        row_N: Rows of the training clips, with labels.
        config: Settings of the run.

    Raises:
        ConfigError, CacheError: As for `vote_targets`.
    """
    if config.losses.targets == "label":
        return label_targets(cache.read("label")[row_N], len(cache.meta.class_names)), ""
    target_NC, num_voted = vote_targets(cache, row_N, config.losses.vote_temperature)
    if num_voted == len(row_N):
        return target_NC, ""
    note = f"{num_voted:,} of {counted(len(row_N), 'training clip')} have votes; the others keep their label"
    return target_NC, note


def with_targets(data: ClipData, target_NC: Doubles) -> ClipData:
    """Return features with the targets of their first N clips, the training clips; the others have labels."""
    label_N, num = data.label_N.cpu().numpy(), len(target_NC)
    all_NC = np.concatenate([target_NC, label_targets(label_N[num:], target_NC.shape[1])])
    return replace(data, target_NC=_on(data.label_N.device, all_NC))


def label_targets(label_N: Ints, num_classes: int) -> Doubles:
    """Return targets [N, C] that are 1 at the label."""
    return np.eye(num_classes)[label_N]


def vote_targets(cache: FeatureCache, row_N: Ints, temperature: float) -> tuple[Doubles, int]:
    """Return the votes of clips as targets, and the number of clips with votes.

    The target of a class with the share v of the votes is proportional to v^(1 / temperature). A clip without
    votes has its label as target.

    Args:
        cache: An open cache.
        row_N: Rows of the training clips, with labels.
        temperature: ``losses.vote_temperature``.

    Returns:
        Targets [N, C], and a number from 1 to N.

    Raises:
        ConfigError: None of the clips has votes.
        CacheError: Votes are not fractions with a sum of 1.
    """
    vote_NC = cache.read("votes")[row_N].astype(np.float64)
    has_votes_N = ~np.isnan(vote_NC).all(axis=1)
    if not has_votes_N.any():
        msg = (
            f"losses.targets is 'votes', but none of the {counted(len(row_N), 'training clip')} of "
            f"'{cache.place}' has annotators' votes; give the dataset votes and run `cache relabel`, or set "
            "losses.targets=label."
        )
        raise ConfigError(msg)
    given_NC = vote_NC[has_votes_N]
    is_right_N = (given_NC >= 0).all(axis=1) & (np.abs(given_NC.sum(axis=1) - 1) < _SUM_TOLERANCE)
    if not is_right_N.all():
        ids = cache.read("clip_id")[row_N[has_votes_N][~is_right_N]].tolist()
        msg = (
            f"{cache.place}: the votes of {counted(len(ids), 'clip')} are not fractions with a sum of 1: "
            f"{some([repr(one) for one in ids])}. The cache is damaged; run `cache relabel`."
        )
        raise CacheError(msg)
    target_NC = label_targets(cache.read("label")[row_N], vote_NC.shape[1])
    sharp_NC = (given_NC / given_NC.max(axis=1, keepdims=True)) ** (1 / temperature)
    target_NC[has_votes_N] = sharp_NC / sharp_NC.sum(axis=1, keepdims=True)
    return target_NC, int(has_votes_N.sum())


def _on(device: torch.device, value: Doubles) -> torch.Tensor:
    return torch.from_numpy(value.astype(np.float32)).to(device)

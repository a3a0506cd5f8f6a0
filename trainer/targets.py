"""Targets of L_contrast in training, if they are not just labels: votes, smoothing, weights, priors.

Validation and all measurements use the logits as they are, and labels.

Letters: B clips of a batch; N training clips; C classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn import functional

from pipeline.errors import CacheError, ConfigError, counted, some
from pipeline.types import Ints
from trainer.batches import Batch, Clips
from trainer.block_reading import ClipSource
from trainer.class_balance import Doubles, class_counts, class_weights, log_prior
from trainer.class_map import NO_CLASS
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
        cls, config: TrainConfig, share_N: Doubles, target_NC: Doubles, device: torch.device
    ) -> "ClassLoss | None":
        """Return the loss of a run; None if it is the plain cross-entropy of logits and labels.

        Weights and prior are those of the clips as they are drawn.

        Args:
            config: Settings of the run.
            share_N: Result of `class_balance.mixture_shares` for the training clips.
            target_NC: Their targets.
            device: Device that trains.
        """
        if config.has_plain_targets:
            return None
        losses = config.losses
        counts_C = class_counts(target_NC, share_N)
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


def training_targets(
    sources: Sequence[ClipSource], config: TrainConfig, num_classes: int
) -> tuple[Doubles, str]:
    """Return the targets of training clips [N, C], and a remark on clips without votes; empty for none.

    Args:
        sources: The training clips, N in all.
        config: Settings of the run.
        num_classes: C of the run.

    Raises:
        ConfigError, CacheError: As for `vote_targets`.
    """
    if config.losses.targets == "label":
        label_N = np.concatenate([source.label_N for source in sources])
        return label_targets(label_N, num_classes), ""
    target_NC, num_voted = vote_targets(sources, config.losses.vote_temperature, num_classes)
    if num_voted == len(target_NC):
        return target_NC, ""
    clips = counted(len(target_NC), "training clip")
    return target_NC, f"{num_voted:,} of {clips} have votes; the others keep their label"


def with_targets(data: Clips, places: torch.Tensor, target_NC: Doubles) -> Clips:
    """Return features with the targets of the training clips; the other clips have their label.

    Args:
        data: Features of all clips.
        places: The training clips among them.
        target_NC: Their targets.
    """
    all_NC = label_targets(data.label_N.cpu().numpy(), target_NC.shape[1])
    all_NC[places.numpy()] = target_NC
    return replace(data, target_NC=_on(data.label_N.device, all_NC))


def label_targets(label_N: Ints, num_classes: int) -> Doubles:
    """Return targets [N, C] that are 1 at the label."""
    return np.eye(num_classes)[label_N]


def vote_targets(sources: Sequence[ClipSource], temperature: float, num_classes: int) -> tuple[Doubles, int]:
    """Return the votes of clips as targets, and the number of clips with votes.

    The target of a class with the share v of the votes is proportional to v^(1 / temperature). A clip without
    votes has its label as target. Where a cache has other classes than the run, the votes of classes that are
    one class of the run are added up, and v is the share among the votes for classes of the run; a clip
    without any has its label.

    Args:
        sources: The training clips, N in all.
        temperature: ``losses.vote_temperature``.
        num_classes: C of the run.

    Returns:
        Targets [N, C], and a number from 1 to N.

    Raises:
        ConfigError: None of the clips has votes.
        CacheError: Votes are not fractions with a sum of 1.
    """
    target_NC = label_targets(np.concatenate([source.label_N for source in sources]), num_classes)
    vote_NC = np.concatenate([_votes(source, num_classes) for source in sources])
    has_votes_N = vote_NC.any(axis=1)
    if not has_votes_N.any():
        where = " and ".join(f"'{source.cache.place}'" for source in sources)
        msg = (
            f"losses.targets is 'votes', but none of the {counted(len(target_NC), 'training clip')} of "
            f"{where} has annotators' votes; give the dataset votes and run `cache relabel`, or set "
            "losses.targets=label."
        )
        raise ConfigError(msg)
    given_NC = vote_NC[has_votes_N]
    sharp_NC = (given_NC / given_NC.max(axis=1, keepdims=True)) ** (1 / temperature)
    target_NC[has_votes_N] = sharp_NC / sharp_NC.sum(axis=1, keepdims=True)
    return target_NC, int(has_votes_N.sum())


def _votes(source: ClipSource, num_classes: int) -> Doubles:
    """Return the votes of clips for the classes of the run [N, C], 0 for a clip without votes.

    Raises CacheError if votes are not fractions with a sum of 1.
    """
    cache = source.cache
    vote_NC: Doubles = cache.read("votes")[source.row_N].astype(np.float64)
    has_votes_N = ~np.isnan(vote_NC).all(axis=1)
    given_NC = vote_NC[has_votes_N]
    is_right_N = (given_NC >= 0).all(axis=1) & (np.abs(given_NC.sum(axis=1) - 1) < _SUM_TOLERANCE)
    if not is_right_N.all():
        ids = cache.read("clip_id")[source.row_N[has_votes_N][~is_right_N]].tolist()
        msg = (
            f"{cache.place}: the votes of {counted(len(ids), 'clip')} are not fractions with a sum of 1: "
            f"{some([repr(one) for one in ids])}. The cache is damaged; run `cache relabel`."
        )
        raise CacheError(msg)
    vote_NC[~has_votes_N] = 0
    if source.class_map is None:
        return vote_NC
    of_cache = source.class_map.labels(np.arange(vote_NC.shape[1]))  # the class of the run, NO_CLASS for none
    mapped_NC = np.zeros((len(vote_NC), num_classes))
    for number, label in enumerate(of_cache.tolist()):
        if label != NO_CLASS:
            mapped_NC[:, label] += vote_NC[:, number]
    return mapped_NC


def _on(device: torch.device, value: Doubles) -> torch.Tensor:
    return torch.from_numpy(value.astype(np.float32)).to(device)

"""A batch -> the same clips, each mixed with another one of the batch (Zhang et al., mixup, ICLR 2018).

Letters: B clips of a batch; T frames; C classes; P polarities.
"""

from dataclasses import replace

import numpy as np
import torch

from pipeline.types import Polarity
from trainer.batches import Batch

_NUM_POLARITIES = len(Polarity) - 1


def mixed(batch: Batch, alpha: float, num_classes: int, generator: torch.Generator) -> Batch:
    """Return s x_i + (1 - s) x_j for each clip i and another clip j, for features and targets alike.

    One s of Beta(alpha, alpha) is drawn for the batch, as in the authors' code, and replaced by 1 - s if it
    is below 1/2. That does not change the distribution of the pairs, and `label_B` remains the class with the
    larger part, of which the training accuracy is measured. Frame t is mixed with frame t, and frames that
    are not valid in both clips are not valid. Means over frames (early blocks, patch tokens) are mixed as
    they are. Clips without a known polarity have none afterwards, which only a run without L_polarity has.

    Args:
        batch: Batch whose clips have all valid frames of both streams (`in_view_BT` is None).
        alpha: Above 0.
        num_classes: C.
        generator: Source of s and of the pairs, on the CPU.
    """
    seed = int(torch.randint(2**62, (), generator=generator))
    share = float(np.random.default_rng(seed).beta(alpha, alpha))
    share = max(share, 1 - share)
    num, device = len(batch.label_B), batch.label_B.device
    other_B = torch.randperm(num, generator=generator).to(device)

    def mix(value: torch.Tensor) -> torch.Tensor:
        return share * value + (1 - share) * value[other_B]

    def mix_known(value: torch.Tensor | None) -> torch.Tensor | None:
        return None if value is None else mix(value)

    target_BC = batch.target_BC
    if target_BC is None:
        target_BC = _one_hot(batch.label_B, num_classes)
    return replace(
        batch,
        face_BTF=mix(batch.face_BTF),
        scene_BTF=mix_known(batch.scene_BTF),
        early_B43D=mix_known(batch.early_B43D),
        face_patches_BJD=mix_known(batch.face_patches_BJD),
        scene_patches_BJD=mix_known(batch.scene_patches_BJD),
        valid_BT=batch.valid_BT & batch.valid_BT[other_B],
        target_BC=mix(target_BC),
        polarity_target_BP=mix(_one_hot(batch.polarity_B, _NUM_POLARITIES)),
    )


def _one_hot(value_B: torch.Tensor, num: int) -> torch.Tensor:
    """Return [B, num], float32, with 1 at the value; all 0 for a value below 0."""
    return (value_B[:, None] == torch.arange(num, device=value_B.device)).float()

"""Frames of a clip -> those that its streams use, and means of its features over them.

The model uses early-block statistics and patch tokens only as means over valid frames.

Letters: N clips; V views; T frames.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from pipeline.types import Bools
from trainer.config import TrainConfig

ARRAYS: Mapping[str, str] = {
    "early": "scene/early",
    "face_patches": "face/tokens",
    "scene_patches": "scene/tokens",
}
"""Means over valid frames that a model may need -> the arrays of the cache."""


def means_needed(config: TrainConfig) -> list[str]:
    """Return the names of `ARRAYS` that a model of this config uses."""
    return [
        *(["early"] if config.has_polarity_token else []),
        *(["face_patches"] if config.model.has_patch_tokens else []),
        *(["scene_patches"] if config.model.has_patch_tokens and config.model.scene else []),
    ]


def write_means(
    stored_NVT: torch.Tensor,
    valid_NVT: Bools,
    picked: Sequence[int],
    places: Sequence[int],
    mean_NV: torch.Tensor,
) -> None:
    """Write the mean over the valid frames of each picked clip, in float32.

    Views are taken one at a time, because one fits the processor's cache and a block does not.

    Args:
        stored_NVT: Features [N, V, T, ...] in float16.
        valid_NVT: True for the frames to average, at least one of each view.
        picked: Clips of `stored_NVT`.
        places: The clip of `mean_NV` that receives the mean of each.
        mean_NV: Receives the means [clip, V, ...] in float32.
    """
    num_NV = valid_NVT.sum(axis=2)
    has_gaps_NV = (valid_NVT[..., 1:] > valid_NVT[..., :-1]).any(axis=2) | ~valid_NVT[..., 0]
    for row, place in zip(picked, places, strict=True):
        for view, (num, has_gaps) in enumerate(
            zip(num_NV[row].tolist(), has_gaps_NV[row].tolist(), strict=True)
        ):
            mean = mean_NV[place, view]
            kept = torch.from_numpy(valid_NVT[row, view]) if has_gaps else slice(num)
            stored = stored_NVT[row, view, kept]
            torch.sum(stored, dim=0, dtype=torch.float32, out=mean).div_(num)


def only_in_view(valid: Bools, in_view: Bools) -> Bools:
    """Return the valid frames [..., T] on which the subject is in view; all valid ones where it never is."""
    both: Bools = valid & in_view
    return np.where(both.any(axis=-1, keepdims=True), both, valid)

"""Features of windows of a video -> a batch, equal to that of a cache that holds the same features.

Letters: B windows of a batch; V views, of which the first is used; T frames; J kept tokens of an image;
D encoder width.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from pipeline.errors import ConfigError
from pipeline.types import Bools, Features
from trainer.batches import Batch
from trainer.config import TrainConfig
from trainer.frame_means import means_needed, only_in_view, write_means

_FIELDS = {"early": "scene_early", "face_patches": "face_tokens", "scene_patches": "scene_tokens"}
"""Means that a model may need -> fields of `Features`."""

_UNKNOWN = -1


def batch_of(
    features: Sequence[Features],
    valid_BT: Bools,
    in_view_BT: Bools | None,
    config: TrainConfig,
    device: torch.device,
) -> Batch:
    """Return windows as a batch, equal to the bit to `load_clips` and `ClipData.gather` in the first view.

    Labels and polarities are -1.

    Args:
        features: Features of B windows.
        valid_BT: True for valid frames, which come first.
        in_view_BT: True for frames on which the subject is in view (`Absence.NOT_DETECTED` or less). Used
            with `data.face_frames=in_view` only; None if it is not known.
        config: Settings of the run.
        device: Device of the model.

    Raises:
        ConfigError: The settings need tokens or frames in view, which are not given.
        ValueError: There are no windows, `valid_BT` is not of their shape, or valid frames are not first.
    """
    _require_frames(features, valid_BT)
    needs_view = config.data.face_frames == "in_view"
    if needs_view and in_view_BT is None:
        msg = "data.face_frames is 'in_view', and the frames in view are not known; use track.method=motion."
        raise ConfigError(msg)
    face_valid_BT = valid_BT
    if needs_view and in_view_BT is not None:
        face_valid_BT = only_in_view(valid_BT, in_view_BT)
    means = {
        name: _means(features, name, face_valid_BT if name == "face_patches" else valid_BT)
        for name in means_needed(config)
    }
    face = np.stack([one.face_embedding[0] for one in features])
    scene = np.stack([one.scene_embedding[0] for one in features]) if config.model.scene else None
    unknown_B = torch.full((len(features),), _UNKNOWN, dtype=torch.int64, device=device)
    return Batch(
        face_BTF=_on(device, face),
        scene_BTF=None if scene is None else _on(device, scene),
        early_B43D=means["early"].to(device) if "early" in means else None,
        valid_BT=torch.from_numpy(valid_BT).to(device),
        label_B=unknown_B,
        polarity_B=unknown_B.clone(),
        face_patches_BJD=means["face_patches"].to(device) if "face_patches" in means else None,
        scene_patches_BJD=means["scene_patches"].to(device) if "scene_patches" in means else None,
        in_view_BT=torch.from_numpy(face_valid_BT).to(device) if needs_view else None,
    )


def _means(features: Sequence[Features], name: str, valid_BT: Bools) -> torch.Tensor:
    """Return the means over valid frames [B, ...] of the first view."""
    values = [getattr(one, _FIELDS[name]) for one in features]
    if any(value is None for value in values):
        msg = "model.tfe_tokens is 'patches', and these features have no patch tokens; set features.tokens."
        raise ConfigError(msg)
    stored_BVT = torch.from_numpy(np.stack([value[:1] for value in values]))
    mean_BV = torch.empty((*stored_BVT.shape[:2], *stored_BVT.shape[3:]), dtype=torch.float32)
    places = range(len(values))
    write_means(stored_BVT, valid_BT[:, None], places, places, mean_BV)
    return mean_BV[:, 0]


def _on(device: torch.device, value: npt.NDArray[np.float16]) -> torch.Tensor:
    return torch.from_numpy(value).to(device).float()


def _require_frames(features: Sequence[Features], valid_BT: Bools) -> None:
    shape = (len(features), features[0].face_embedding.shape[1]) if features else (0, 0)
    if not features or valid_BT.shape != shape:
        msg = f"valid_BT is {list(valid_BT.shape)}; {list(shape)} is needed, and one window or more"
        raise ValueError(msg)
    if (valid_BT[:, 1:] & ~valid_BT[:, :-1]).any() or not valid_BT[:, 0].all():
        msg = "the valid frames of each window must be its first ones, one or more"
        raise ValueError(msg)

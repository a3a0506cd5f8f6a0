"""Rows of a cache -> one feature per clip, the mean over the valid frames of its first view.

Letters: N clips; F width of the feature.
"""

import torch
from torch.nn import functional

from pipeline.store.reader import FeatureCache
from pipeline.types import Ints
from trainer.baselines.settings import Stream
from trainer.clip_loading import load_clips
from trainer.config import TrainConfig
from trainer.layers import masked_mean

_BATCH_CLIPS = 256


def mean_features(
    cache: FeatureCache, rows: Ints, config: TrainConfig, stream: Stream, *, unit_frames: bool = False
) -> torch.Tensor:
    """Return the mean features of clips, float32 on the CPU: [N, F], or [N, 2 F] for face and scene.

    Args:
        cache: An open cache.
        rows: Rows of the clips.
        config: Settings of the run, with the scene if `stream` needs it.
        stream: ``face``, ``scene`` or ``both``.
        unit_frames: Scale the feature of every frame to length 1 first.

    Raises:
        CacheError: Features are NaN or infinite, or the valid frames of a clip are not its first ones.
        ConfigError: The settings need an array that the cache does not hold.
    """
    data = load_clips(cache, rows, config, torch.device("cpu"))
    parts = []
    for batch in data.evaluation_batches(torch.arange(len(rows)), _BATCH_CLIPS):
        streams = []
        if stream != "scene":
            streams.append((batch.face_BTF, batch.face_valid_BT))
        if stream != "face" and batch.scene_BTF is not None:
            streams.append((batch.scene_BTF, batch.valid_BT))
        means = [
            masked_mean(functional.normalize(x_BTF, dim=-1) if unit_frames else x_BTF, valid_BT)
            for x_BTF, valid_BT in streams
        ]
        parts.append(torch.cat(means, dim=1))
    return torch.cat(parts)

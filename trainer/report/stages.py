"""A measured run -> Fig. 4: t-SNE of its clips' features at four stages.

`trainer.baselines.linear_probe` alone imports scikit-learn, too.

Letters: N clips that are shown; F embedding width.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.manifold import TSNE
from torch.nn import functional

from pipeline.types import Floats, Ints
from trainer.config import ModelConfig
from trainer.layers import masked_mean
from trainer.measurement import Measured

MOST_CLIPS = 2000
FEWEST_CLIPS = 5
_PERPLEXITY = 30.0
TSNE_SEED = 0


@dataclass(frozen=True, kw_only=True)
class Stages:
    """Features by stage, in the plane.

    Attributes:
        points: [N, 2] by stage.
        label_N: Classes.
        num_clips: Number of clips from which the N were drawn.
        perplexity: Perplexity of the t-SNE.
    """

    points: Mapping[str, Floats]
    label_N: Ints
    num_clips: int
    perplexity: float


def lay_out(measured: Measured) -> Stages:
    """Return the stages of at most `MOST_CLIPS` clips of a run, drawn at random; at least `FEWEST_CLIPS`."""
    num_clips = len(measured.row_N)
    drawn = np.random.default_rng(TSNE_SEED).permutation(num_clips)[:MOST_CLIPS]
    chosen_N = np.sort(drawn)
    perplexity = min(_PERPLEXITY, (len(chosen_N) - 1) / 3)
    features = stage_features(measured, torch.from_numpy(chosen_N))
    return Stages(
        points={name: _plane(value.numpy(), perplexity) for name, value in features.items()},
        label_N=measured.scores.label_N[chosen_N],
        num_clips=num_clips,
        perplexity=perplexity,
    )


@torch.inference_mode()
def stage_features(measured: Measured, place_N: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return features [N, F or 2 F] of length 1 by stage: encoder, Frame Encoder, alignment, fusion.

    Features of encoder and Frame Encoder are those of the face, averaged over frames. Aligned features are
    V_ft, followed by V_st if the model has the scene. The temporal baseline has no alignment.
    """
    checkpoint = measured.checkpoint
    model = checkpoint.model.eval()
    names = _names(checkpoint.config.model)
    parts: list[tuple[torch.Tensor, ...]] = []
    for batch in measured.data.evaluation_batches(place_N, checkpoint.config.optim.batch_size):
        outputs = model(batch, checkpoint.text_CF)
        aligned = [value for value in (outputs.face_BF, outputs.scene_BF) if value is not None]
        encoded_BF = masked_mean(batch.face_BTF, batch.face_valid_BT)
        parts.append((encoded_BF, outputs.encoded_BF, torch.cat(aligned, dim=1), outputs.output_BF))
    stages = (torch.cat(values).float().cpu() for values in zip(*parts, strict=True))
    named = zip(names, stages, strict=True)
    return {name: functional.normalize(value, dim=1) for name, value in named if name}


def _names(config: ModelConfig) -> tuple[str, str, str, str]:
    """Return the names of the stages; empty for one that the model does not have."""
    if config.architecture == "temporal":
        return "image encoder: face", "transformer: face frames", "", "class token: output feature"
    return (
        "image encoder: face",
        "Frame Encoder: face",
        f"alignment: {'face and scene' if config.scene else 'face'}",
        "TFE: output feature" if config.tfe else "average: output feature",
    )


def _plane(features: Floats, perplexity: float) -> Floats:
    tsne = TSNE(n_components=2, perplexity=perplexity, init="pca", random_state=TSNE_SEED)
    return np.asarray(tsne.fit_transform(features), dtype=np.float32)

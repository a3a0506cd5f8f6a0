"""A run -> inputs and its outputs, so that a port of the model to other code can be checked.

The inputs are random numbers, and of no person. Letters: B clips; T frames; F embedding width; D encoder
width; C classes; J kept tokens of an image.
"""

from io import BytesIO
from typing import Any

import numpy as np
import torch

from pipeline.types import EARLY_STATISTICS, NUM_EARLY_BLOCKS
from trainer.batches import Batch
from trainer.runs import Run

INPUTS = {
    "face": "face_BTF",
    "scene": "scene_BTF",
    "early": "early_B43D",
    "face_patches": "face_patches_BJD",
    "scene_patches": "scene_patches_BJD",
    "valid": "valid_BT",
    "in_view": "in_view_BT",
}
"""Names of the inputs, and their fields in `Batch`."""
_SEED = 0


def example_batch(run: Run, lengths: tuple[int, ...] | None = None) -> Batch:
    """Return a batch of random features for a run, on its device.

    Args:
        run: The run.
        lengths: Valid frames of each clip; None for one of all frames, one of half of them, one of a single
            frame.
    """
    info, config = run.info, run.config
    t = info.num_frames
    lengths = lengths or (t, max(1, t // 2), 1)
    generator = torch.Generator().manual_seed(_SEED)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(len(lengths), *shape, generator=generator).to(run.device)

    valid_BT = (torch.arange(t)[None] < torch.tensor(lengths)[:, None]).to(run.device)
    has_patches = config.model.has_patch_tokens
    unknown_B = torch.full((len(lengths),), -1, device=run.device)
    face_BTF = drawn(t, info.embed_width)
    scene_BTF = drawn(t, info.embed_width) if config.model.scene else None
    early = (NUM_EARLY_BLOCKS, len(EARLY_STATISTICS), info.encoder_width)
    return Batch(
        face_BTF=face_BTF,
        scene_BTF=scene_BTF,
        early_B43D=drawn(*early) if config.has_polarity_token else None,
        face_patches_BJD=drawn(info.num_tokens, info.encoder_width) if has_patches else None,
        scene_patches_BJD=drawn(info.num_tokens, info.encoder_width)
        if has_patches and config.model.scene
        else None,
        valid_BT=valid_BT,
        in_view_BT=valid_BT if config.data.face_frames == "in_view" else None,
        label_B=unknown_B,
        polarity_B=unknown_B,
    )


def example_npz(run: Run) -> bytes:
    """Return the bytes of example.npz.

    It has the inputs of `example_batch` that the model uses by their names in `Batch` without letters, and
    ``logits`` [B, C] and ``probabilities`` [B, C], with the temperature.
    """
    batch = example_batch(run)
    inputs = {name: getattr(batch, field) for name, field in INPUTS.items()}
    logits_BC = run.outputs(batch).logits_BC
    arrays: dict[str, Any] = {
        name: value.cpu().numpy() for name, value in inputs.items() if value is not None
    }
    arrays |= {"logits": logits_BC.cpu().numpy(), "probabilities": run.calibrated(logits_BC).cpu().numpy()}
    buffer = BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()

"""The features of a clip.

Letters: V views; T frames per view; F width of the projected embedding (768); D width of the encoder
(1024); J kept tokens per frame.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.types.arrays import Halves
from pipeline.types.checks import require

NUM_EARLY_BLOCKS = 4
"""First blocks of the encoder whose statistics are kept.

No identity contains it: raise ``VERSIONS["features"]`` after a change.
"""
EARLY_STATISTICS = ("cls", "patch_mean", "patch_std")
"""Statistics that are kept of each of these blocks. The same applies to them."""


@dataclass(frozen=True, kw_only=True)
class Features:
    """Output of the frozen encoder for a clip, float16, laid out by view and frame."""

    face_embedding: Halves
    """[V, T, F], projected, not normalised."""
    scene_embedding: Halves
    """[V, T, F], projected, not normalised."""
    scene_early: Halves
    """[V, T, 4, 3, D]: block; CLS, patch mean, patch standard deviation."""
    face_tokens: Halves | None = None
    """[V, T, J, D] after ln_post, or None."""
    scene_tokens: Halves | None = None
    """[V, T, J, D] after ln_post, or None."""

    @property
    def is_finite(self) -> bool:
        """Whether no value is NaN or infinite."""
        arrays = (
            self.face_embedding,
            self.scene_embedding,
            self.scene_early,
            self.face_tokens,
            self.scene_tokens,
        )
        return all(array is None or bool(np.isfinite(array).all()) for array in arrays)

    def __post_init__(self) -> None:
        face, scene, early = self.face_embedding.shape, self.scene_embedding.shape, self.scene_early.shape
        require(face == scene, f"embeddings: one shape, not {list(face)} and {list(scene)}")
        expected = (*face[:2], NUM_EARLY_BLOCKS, len(EARLY_STATISTICS))
        require(early[:4] == expected, f"scene_early is [V, T, 4, 3, D], not {list(early)} for {list(face)}")
        has_face, has_scene = self.face_tokens is not None, self.scene_tokens is not None
        require(has_face == has_scene, f"tokens: both or none, not face {has_face}, scene {has_scene}")

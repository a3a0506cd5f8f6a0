"""A frozen CLIP model by name and weights, with the hashes that tell one from another.

``model``   which models there are, and one of them loaded
``shape``   its widths, known before anything is loaded
``lean``    its vision tower, copied for encoding in fewer passes
``files``   its weights: found by tag or path, checked, read without running code

The only importer of open_clip, inside the functions that need it: a command that loads no model does
not wait for it. The pipeline takes the vision tower from here, the trainer's
prompts the text tower, so that both sides name and check the same weights.
"""

from pipeline.clip_model.files import is_here
from pipeline.clip_model.lean import lean_visual
from pipeline.clip_model.model import EncoderConfig, LoadedClip, load_clip, sha256_tensors
from pipeline.clip_model.shape import EncoderShape, shape_of

__all__ = [
    "EncoderConfig",
    "EncoderShape",
    "LoadedClip",
    "is_here",
    "lean_visual",
    "load_clip",
    "sha256_tensors",
    "shape_of",
]

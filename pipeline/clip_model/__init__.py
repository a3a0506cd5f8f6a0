"""Frozen CLIP model by name and weights, with hashes that identify it.

``config``              settings: model and weights
``architecture``        sizes of a model, from open_clip by name or from configs beside files
``tags``                open_clip's pretrained tags: their files and training conventions
``files``               the file of the weights: a path, a tag's copy on this machine, or a download
``directory``           the file in a directory, and in a repository of the hub's cache
``conventions``         activation, mean and std with which the weights were trained; a file cannot state them
``tensors``             checked tensors of a file, loaded into a model
``transformers_names``  conversion of transformers' names of CLIP's tensors to open_clip's
``model``               a loaded model
``shape``               its widths, known before anything is loaded
``fused_visual``        copy of its image encoder with fused operations
``listing``             every file of weights that this program knows, with licence and source

Only this package imports open_clip, and only inside the functions that need it, so that a command without a
model starts faster. The pipeline uses the image encoder, and the trainer's prompts use the text encoder, so
that both name and check the same weights.
"""

from pipeline.clip_model.config import EncoderConfig, MadeFeatures, encoder_of
from pipeline.clip_model.conventions import CLIP_MEAN, CLIP_STD
from pipeline.clip_model.files import find as find_weights
from pipeline.clip_model.files import is_here
from pipeline.clip_model.fused_visual import fused_visual_tower
from pipeline.clip_model.model import (
    LoadedClip,
    LoadedText,
    load_clip_model,
    load_text_encoder,
    sha256_tensors,
)
from pipeline.clip_model.shape import EncoderShape, shape_of

__all__ = [
    "CLIP_MEAN",
    "CLIP_STD",
    "EncoderConfig",
    "EncoderShape",
    "LoadedClip",
    "LoadedText",
    "MadeFeatures",
    "encoder_of",
    "find_weights",
    "is_here",
    "fused_visual_tower",
    "load_clip_model",
    "load_text_encoder",
    "sha256_tensors",
    "shape_of",
]

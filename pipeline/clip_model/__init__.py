"""A frozen CLIP model by name and weights, with the hashes that tell one from another.

``config``              the settings: which model, and which weights
``architecture``        the numbers of a model: of open_clip's by name, and of the configs beside files
``tags``                open_clip's pretrained tags: their files, and what they were trained with
``files``               the file of the weights: a path, a tag's copy on this machine, or a download
``directory``           the file in a directory, and in a repository of the hub's cache
``conventions``         activation, mean and std that the weights were trained with, which a file cannot state
``tensors``             the file's tensors, checked, in a model
``transformers_names``  transformers' names of CLIP's tensors become open_clip's
``model``               one of the models, loaded
``shape``               its widths, known before anything is loaded
``fused_visual``        its vision tower, copied for encoding in fewer passes
``listing``             every file of weights that this program knows, with licence and source

The only importer of open_clip, inside the functions that need it: a command that loads no model does
not wait for it. The pipeline takes the vision tower from here, the trainer's
prompts the text tower, so that both sides name and check the same weights.
"""

from pipeline.clip_model.config import EncoderConfig, encoder_of
from pipeline.clip_model.conventions import CLIP_MEAN, CLIP_STD
from pipeline.clip_model.files import is_here
from pipeline.clip_model.fused_visual import lean_visual
from pipeline.clip_model.model import LoadedClip, load_clip_model, sha256_tensors
from pipeline.clip_model.shape import EncoderShape, shape_of

__all__ = [
    "CLIP_MEAN",
    "CLIP_STD",
    "EncoderConfig",
    "EncoderShape",
    "LoadedClip",
    "encoder_of",
    "is_here",
    "lean_visual",
    "load_clip_model",
    "sha256_tensors",
    "shape_of",
]

"""The set of the benchmark: clips, and the cache of their features."""

from pathlib import Path

import torch

from pipeline.config import from_dict
from pipeline.datasets import read_dataset
from pipeline.datasets.synthetic import PlannedClip, SyntheticConfig, write_synthetic
from pipeline.datasets.synthetic.cues import Cues
from pipeline.process import ExtractConfig, load_models
from pipeline.runner import RunOptions, executor_of
from pipeline.runner import extract as extract_index

CONFIG = SyntheticConfig(version="combined", num_clips=840, ambiguous_share=0.8, test_share=2 / 7)
"""600 training and 240 test clips: 5 and 2 whole rounds of all cues and pairs, and clear faces."""

EXTRACTION = {
    "frames": {"num_frames": 8},
    "faces": {"source": "boxes"},
    "encoder": {"name": "ViT-S-32", "weights": "random"},
    "features": {"precision": "fp32"},
}
"""As in the demo, with the subject's boxes of the manifest in place of a detector."""

CLIPS, CACHE, GRID = "clips", "feats.zarr", "grid"
IDEAL, IDEAL_GRID = "ideal.zarr", "ideal"


def draw(work: Path) -> None:
    """Draw the clips and extract their features; a finished part is kept."""
    write_synthetic(work / CLIPS, CONFIG)
    config = from_dict(ExtractConfig, EXTRACTION)
    models = load_models(config, torch.device("cpu"))
    index = read_dataset("synthetic", work / CLIPS)
    extract_index(index, config, executor_of(models), work / CACHE, RunOptions())


def kind_of(clip: PlannedClip) -> str:
    """Return the kind of cue that determines the class; ``clear`` for a clear face."""
    return clip.cues.kind if clip.ambiguous and clip.cues is not None else "clear"


def cues_of(clip: PlannedClip) -> Cues:
    """Return the cues of a clip, which every clip of the set has."""
    if clip.cues is None:
        msg = f"{clip.clip_id} has no cues"
        raise ValueError(msg)
    return clip.cues

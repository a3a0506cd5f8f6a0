"""The steps put together. The same function serves tests, one machine and a cluster.

``identity``  what features depend on, and how two such identities differ
``tools``     the settings of all steps, the models loaded
``block``     a block of clips, all the way from files to features
"""

from pipeline.faces import stray_boxes, untrained_retinaface
from pipeline.frames import CLIP_SECONDS, DecodePool, Decoder, InlineDecoder
from pipeline.frames.probe import picture_sizes, quarter_turns
from pipeline.process.block import (
    STAGES_OF_WORK,
    BlockOutcome,
    Prepared,
    StageSeconds,
    decode_job,
    prepare_clip,
    process_block,
)
from pipeline.process.identity import STEPS, identity_differences, version_differences, without_weights
from pipeline.process.tools import (
    CropTools,
    ExtractConfig,
    Tools,
    feature_shape,
    load_crop_tools,
    load_tools,
    unloaded_identity,
)

__all__ = [
    "CLIP_SECONDS",
    "STAGES_OF_WORK",
    "STEPS",
    "BlockOutcome",
    "CropTools",
    "DecodePool",
    "Decoder",
    "ExtractConfig",
    "InlineDecoder",
    "Prepared",
    "StageSeconds",
    "Tools",
    "decode_job",
    "feature_shape",
    "identity_differences",
    "load_crop_tools",
    "load_tools",
    "picture_sizes",
    "prepare_clip",
    "process_block",
    "quarter_turns",
    "stray_boxes",
    "unloaded_identity",
    "untrained_retinaface",
    "version_differences",
    "without_weights",
]

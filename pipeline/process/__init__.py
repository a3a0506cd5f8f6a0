"""The steps combined: clips in, features out. Tests, one machine and a cluster use the same function.

``config``        settings of all steps, and the sizes of features
``identity``      algorithms, settings and models that determine features, and differences between two
``metered_lock``  a lock for a device, with the time that each thread waits for it
``models``        detector and encoder, loaded
``follow``        from the faces on frames to the people and the subject
``prepare``       from a clip's file to its faces, its subject and its stream images
``encode``        from the stream images of many clips to features
``stored_settings`` the settings that features were made with
``windows``       from a long source to every person's features in every window
``reuse``         features of an earlier cache in place of encoding
``block``         from the files of a block of clips to features
"""

from pipeline.faces import stray_boxes
from pipeline.frames import (
    CLIP_SECONDS,
    FOLDER_RATE,
    DecodePool,
    Decoder,
    InlineDecoder,
    PartDecoder,
    SoundReader,
    scan_source,
    stream_frames,
)
from pipeline.frames.probe import picture_sizes, quarter_turns
from pipeline.process.block import STAGES_OF_WORK, BlockOutcome, Pace, StageSeconds, process_block
from pipeline.process.config import ExtractConfig, FeatureShape, feature_shape
from pipeline.process.identity import (
    STEPS,
    identity_differences,
    method_of,
    version_differences,
    without_weights,
)
from pipeline.process.metered_lock import MeteredLock
from pipeline.process.models import (
    ImageFormat,
    Models,
    load_models,
    load_preview_models,
    require_given_weights,
    unloaded_identity,
)
from pipeline.process.prepare import PreparedClip, make_decode_job, prepare_clip
from pipeline.process.stored_settings import Extraction, stored_config
from pipeline.tracks import METHODS

__all__ = [
    "CLIP_SECONDS",
    "METHODS",
    "STAGES_OF_WORK",
    "STEPS",
    "BlockOutcome",
    "DecodePool",
    "Decoder",
    "ExtractConfig",
    "Extraction",
    "FOLDER_RATE",
    "FeatureShape",
    "ImageFormat",
    "InlineDecoder",
    "MeteredLock",
    "Pace",
    "Models",
    "PartDecoder",
    "PreparedClip",
    "SoundReader",
    "StageSeconds",
    "make_decode_job",
    "feature_shape",
    "identity_differences",
    "load_models",
    "method_of",
    "load_preview_models",
    "picture_sizes",
    "prepare_clip",
    "process_block",
    "quarter_turns",
    "require_given_weights",
    "stored_config",
    "scan_source",
    "stray_boxes",
    "stream_frames",
    "unloaded_identity",
    "version_differences",
    "without_weights",
]

"""Features of prepared clips, encoded in full batches over the images of all clips of a block."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from pipeline import streams as stream_step
from pipeline.errors import ClipError
from pipeline.features import Encoded
from pipeline.process.models import Models
from pipeline.process.prepare import PreparedClip
from pipeline.types import ClipDone, ClipFailed, ClipOutcome, Features, Halves

_LARGEST_HALF = float(np.finfo(np.float16).max)


def encode_clips(
    clips: Sequence[PreparedClip], models: Models, on_batch: Callable[[int], None]
) -> Iterator[tuple[Encoded, Encoded]]:
    """Encode the images of all clips together.

    Args:
        clips: The prepared clips.
        models: Models with an encoder.
        on_batch: Called with the number of images after each batch was sent to the device.

    Returns:
        Face and scene features of each clip, in order: of its images, then of the mirrored
        ones where a view needs them.
    """
    if not clips:
        return iter(())
    both = [
        [clip.streams, stream_step.mirrored(clip.streams)] if any(clip.frames.flip_V) else [clip.streams]
        for clip in clips
    ]
    faces = torch.cat([streams.face_U3SS for pair in both for streams in pair])
    scenes = torch.cat([streams.scene_U3SS for pair in both for streams in pair])
    face = models.encoder.encode(faces, early=False, on_batch=on_batch)
    scene = models.encoder.encode(scenes, early=True, on_batch=on_batch)
    ends = np.cumsum([clip.num_pictures for clip in clips]).tolist()
    starts = [0, *ends[:-1]]
    return iter([(face.rows(a, b), scene.rows(a, b)) for a, b in zip(starts, ends, strict=True)])


def outcome_of(clip: PreparedClip, face: Encoded, scene: Encoded) -> ClipOutcome:
    """Arrange the features of a clip's distinct images by view and frame.

    Args:
        clip: The prepared clip.
        face: Features of its face images, as `encode_clips` returns them.
        scene: Features of its scene images.

    Returns:
        The clip's features in float16, or its failure where one exceeds the range of float16.
    """
    frames = clip.frames
    mirror_V1 = np.array(frames.flip_V)[:, None] * len(frames.index_U)
    row_VT = torch.from_numpy(frames.position_VT + mirror_V1)
    try:
        features = Features(
            face_embedding=half_of(face.embedding_NF[row_VT], "face/embedding"),
            scene_embedding=half_of(scene.embedding_NF[row_VT], "scene/embedding"),
            scene_early=half_of(_required(scene.early_N43D)[row_VT], "scene/early"),
            face_tokens=_tokens(face, row_VT, "face/tokens"),
            scene_tokens=_tokens(scene, row_VT, "scene/tokens"),
        )
    except ClipError as error:
        return ClipFailed(stage=error.stage, reason=error.reason, source_sha256=clip.source.sha256)
    return done_with(clip, features)


def done_with(clip: PreparedClip, features: Features) -> ClipDone:
    """Return the outcome of a prepared clip with its features."""
    return ClipDone(source=clip.source, frames=clip.frames, track=clip.track, features=features)


def _tokens(encoded: Encoded, row_VT: torch.Tensor, name: str) -> Halves | None:
    return None if encoded.tokens_NJD is None else half_of(encoded.tokens_NJD[row_VT], name)


def _required(value: torch.Tensor | None) -> torch.Tensor:
    assert value is not None, "the scene stream is encoded with its early blocks"
    return value


def half_of(value: torch.Tensor, name: str) -> Halves:
    """Convert to float16.

    Raises:
        ClipError: A value is beyond the range of float16, and would be an infinity in the cache.
    """
    largest = float(value.abs().max())
    if not largest <= _LARGEST_HALF:
        raise ClipError("encode", f"{name} holds {largest:g}, beyond the range of float16")
    half: Halves = value.numpy().astype(np.float16)
    return half

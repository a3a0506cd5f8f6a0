"""Features of prepared clips, encoded in full batches over the images of all clips of a block."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from pipeline import streams as stream_step
from pipeline.errors import ClipError
from pipeline.features import LARGEST_HALF, Encoded
from pipeline.process.models import Models
from pipeline.process.prepare import PreparedClip
from pipeline.types import ClipDone, ClipFailed, ClipOutcome, Features, Halves


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
        require_halves(face, ("face/embedding", "face/early", "face/tokens"))
        require_halves(scene, ("scene/embedding", "scene/early", "scene/tokens"))
        features = Features(
            face_embedding=_arranged(face.embedding_NF, row_VT),
            scene_embedding=_arranged(scene.embedding_NF, row_VT),
            scene_early=_arranged(_required(scene.early_N43D), row_VT),
            face_tokens=None if face.tokens_NJD is None else _arranged(face.tokens_NJD, row_VT),
            scene_tokens=None if scene.tokens_NJD is None else _arranged(scene.tokens_NJD, row_VT),
        )
    except ClipError as error:
        return ClipFailed(stage=error.stage, reason=error.reason, source_sha256=clip.source.sha256)
    return done_with(clip, features)


def done_with(clip: PreparedClip, features: Features) -> ClipDone:
    """Return the outcome of a prepared clip with its features."""
    return ClipDone(source=clip.source, frames=clip.frames, track=clip.track, features=features)


def _arranged(value: torch.Tensor, row_VT: torch.Tensor) -> Halves:
    halves: Halves = value[row_VT].numpy()
    return halves


def _required(value: torch.Tensor | None) -> torch.Tensor:
    assert value is not None, "the scene stream is encoded with its early blocks"
    return value


def require_halves(encoded: Encoded, names: Sequence[str]) -> None:
    """Raise ClipError if a value is beyond the range of float16, which would be an infinity in the cache.

    Args:
        encoded: Features of images.
        names: Names of embedding, early statistics and tokens, for the message.
    """
    for name, largest in zip(names, encoded.largest_N3.amax(dim=0).tolist(), strict=True):
        if not largest <= LARGEST_HALF:
            raise ClipError("encode", f"{name} holds {largest:g}, beyond the range of float16")

"""Features of prepared clips, encoded in whole batches over the images of all clips of a block."""

from collections import deque
from collections.abc import Callable, Sequence

import numpy as np
import torch

from pipeline import streams as stream_step
from pipeline.errors import ClipError
from pipeline.features import LARGEST_HALF, Encoded
from pipeline.process.models import Models
from pipeline.process.prepare import PreparedClip
from pipeline.types import ClipDone, ClipFailed, ClipOutcome, Features, Halves


class EncodeQueue:
    """Prepared clips on their way through the encoder, in whole batches until the end.

    The images of a clip are its own, then the mirrored ones where a view needs them.

    Args:
        models: Models with an encoder.
        on_progress: Called after each batch was sent to the device, with its part of the clips, in fractions.
    """

    def __init__(self, models: Models, on_progress: Callable[[float], None]) -> None:
        self._models = models
        self._on_progress = on_progress
        self._clips: deque[tuple[int, PreparedClip]] = deque()
        self._waiting: deque[tuple[int, int]] = deque()
        """Waiting images of each stream of a clip, and all of its images."""
        self._face = _Stream(models, early=False)
        self._scene = _Stream(models, early=True)

    @property
    def num_waiting(self) -> int:
        """Images of each stream that are not encoded yet."""
        return self._face.num_waiting

    @property
    def num_in_whole_batches(self) -> int:
        """Images of each stream that fill whole batches."""
        size = self._models.encoder.batch_pictures
        return self.num_waiting // size * size

    def add(self, place: int, clip: PreparedClip) -> None:
        """Add a clip, with its place in the block."""
        both = [clip.streams]
        if any(clip.frames.flip_V):
            both.append(stream_step.mirrored(clip.streams))
        self._clips.append((place, clip))
        self._waiting.append((clip.num_pictures, clip.num_pictures))
        self._face.add([streams.face_U3SS for streams in both])
        self._scene.add([streams.scene_U3SS for streams in both])

    def encode(self, *, to_end: bool) -> list[tuple[int, PreparedClip, Encoded, Encoded]]:
        """Encode the images that fill whole batches, or all of them.

        Returns:
            The clips that are complete now, in the order in which they were added: place, clip, features of
            its face images and of its scene images.
        """
        count = self.num_waiting if to_end else self.num_in_whole_batches
        if count:
            per_image = self._clips_of(count) / (2 * count)
            for stream in (self._face, self._scene):
                stream.encode(count, lambda images: self._on_progress(images * per_image))
        finished = []
        while self._clips and self._clips[0][1].num_pictures <= self._face.num_encoded:
            place, clip = self._clips.popleft()
            size = clip.num_pictures
            finished.append((place, clip, self._face.take(size), self._scene.take(size)))
        return finished

    def _clips_of(self, count: int) -> float:
        """Return the clips, in fractions, that the next images are, which then no longer wait."""
        clips = 0.0
        while count:
            left, total = self._waiting.popleft()
            taken = min(left, count)
            if left > taken:
                self._waiting.appendleft((left - taken, total))
            clips += taken / total
            count -= taken
        return clips


class _Stream:
    """Images of one stream, first encoded ones, then waiting ones."""

    def __init__(self, models: Models, *, early: bool) -> None:
        self.num_encoded = 0
        self._models = models
        self._early = early
        self._waiting: list[torch.Tensor] = []
        self._encoded: deque[Encoded] = deque()

    @property
    def num_waiting(self) -> int:
        return sum(map(len, self._waiting))

    def add(self, images: Sequence[torch.Tensor]) -> None:
        self._waiting.extend(images)

    def encode(self, count: int, on_batch: Callable[[int], None]) -> None:
        images = torch.cat(self._waiting)
        self._waiting = (
            [images[count:].clone()] if len(images) > count else []
        )  # a view would keep all of them
        self._encoded.append(
            self._models.encoder.encode(images[:count], early=self._early, on_batch=on_batch)
        )
        self.num_encoded += count

    def take(self, count: int) -> Encoded:
        """Return the next encoded images, which are no longer kept."""
        parts, missing = [], count
        while missing:
            first = self._encoded.popleft()
            parts.append(first.rows(0, missing))
            if first.num_images > missing:
                self._encoded.appendleft(first.rows(missing, first.num_images))
            missing -= parts[-1].num_images
        self.num_encoded -= count
        return parts[0] if len(parts) == 1 else Encoded.joined(parts)


def outcome_of(clip: PreparedClip, face: Encoded, scene: Encoded) -> ClipOutcome:
    """Arrange the features of a clip's distinct images by view and frame.

    Args:
        clip: The prepared clip.
        face: Features of its face images, as `EncodeQueue` returns them.
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

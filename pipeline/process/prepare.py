"""A clip up to the encoder: decoded frames, faces, subject and stream images.

An error of a step fails its clip alone. The only broad `except` for the steps is here.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from pipeline import faces as face_step
from pipeline import frames as frame_step
from pipeline import streams as stream_step
from pipeline import tracks as track_step
from pipeline.device import is_device_fault
from pipeline.errors import ClipError, first_line
from pipeline.process.config import ExtractConfig
from pipeline.process.follow import follow, searched_rows
from pipeline.process.models import Models
from pipeline.types import (
    Bytes,
    ClipFailed,
    ClipRef,
    Crops,
    Faces,
    FaceTrack,
    FrameMeta,
    Person,
    SourceFile,
    Streams,
)

_NO_HOST_MEMORY = "DefaultCPUAllocator"
"""In the message of the RuntimeError that torch raises when the host's memory does not suffice."""


@dataclass(frozen=True, kw_only=True)
class PreparedClip:
    """A clip that is ready to be encoded; without source pixels, so that a block of clips fits in memory."""

    source: SourceFile
    """The file that the clip was read from."""
    frames: FrameMeta
    """Its sampled frames, with the notes on them and on its face crops."""
    faces: tuple[Faces, ...]
    """The faces on every sampled frame."""
    people: tuple[Person, ...]
    """The people of the clip, by weight; none where the subject alone is followed."""
    track: FaceTrack
    """The subject's box on every sampled frame."""
    streams: Streams
    """The face crop and the scene of every sampled frame."""
    follows_everyone: bool
    """Whether the subject was chosen among the people of the clip, over its shots."""

    @property
    def num_pictures(self) -> int:
        """Images to encode per stream, mirrored ones included."""
        return len(self.frames.index_U) * (1 + any(self.frames.flip_V))

    @property
    def first_view(self) -> "PreparedClip":
        """The clip with the first view alone, with the images that this view has among all."""
        frames = self.frames.first_view
        kept_U = frames.sampled_U
        return replace(
            self,
            frames=frames.at(kept_U),
            faces=tuple(self.faces[u] for u in kept_U),
            people=tuple(kept for person in self.people if (kept := person.at(kept_U)) is not None),
            track=self.track.at(kept_U),
            streams=self.streams.at(kept_U),
        )


def make_decode_job(root: Path, clip: ClipRef, config: ExtractConfig) -> frame_step.DecodeJob:
    """Return the request to a decoder for a clip.

    Args:
        root: The directory that the clip's paths start from.
        clip: The clip. If it consists of aligned faces, its frames are the crops.
        config: The settings of all steps.
    """
    has_crops = config.faces.takes_crops and clip.face_path not in (None, clip.path)
    return frame_step.DecodeJob(
        path=root / clip.path,
        config=config.frames,
        start_seconds=clip.start_seconds,
        end_seconds=clip.end_seconds,
        face_path=root / str(clip.face_path) if has_crops else None,
        inside=root,
        cuts=config.shots if config.follows_everyone else None,
        rate=config.detector.rate,
    )


def prepare_clip(root: Path, clip: ClipRef, models: Models) -> tuple[PreparedClip, Bytes]:
    """Decode a clip in this thread and prepare it.

    Args:
        root: The directory that the clip's paths start from.
        clip: The clip.
        models: A detector and the format of stream images; no encoder is needed.

    Returns:
        The prepared clip, and the pixels of its frames, uint8 [U, H, W, 3].

    Raises:
        ClipError: The clip cannot be processed; names the step.
    """
    ((_, decoded),) = frame_step.InlineDecoder().stream([make_decode_job(root, clip, models.config)])
    if isinstance(decoded, ClipFailed):
        raise ClipError(decoded.stage, decoded.reason)
    return prepare(clip, decoded, models), decoded.frames.rgb_UHWC[decoded.frames.meta.sampled_U]


def prepare(clip: ClipRef, decoded: frame_step.Decoded, models: Models) -> PreparedClip:
    """Find the faces and the subject of a decoded clip, and make its stream images.

    Args:
        clip: The clip.
        decoded: Its frames, and the face crops that the dataset provides.
        models: A detector and the format of stream images.

    Raises:
        ClipError: A step fails; names the step.
    """
    frames = decoded.frames.meta
    pixels = torch.from_numpy(decoded.frames.rgb_UHWC).to(models.device, non_blocking=True)
    crops = _crops(clip, decoded) if models.config.faces.takes_crops else None
    with _step("detect"):
        faces = tuple(_faces(clip, frames, pixels, models))
    with _step("track"):
        people, track = _followed(clip, decoded, faces, crops, models.config)
    if len(sampled_U := frames.sampled_U) < len(frames.index_U):  # the others served the track
        frames, track = frames.at(sampled_U), track.at(sampled_U)
        faces = tuple(faces[u] for u in sampled_U)
        people = tuple(kept for person in people if (kept := person.at(sampled_U)) is not None)
        pixels = pixels[torch.from_numpy(sampled_U).to(pixels.device)]
    with _step("crop"), models.device_lock:
        streams = stream_step.make_streams(
            pixels,
            track,
            models.config.streams,
            side_px=models.images.side_px,
            fill_rgb=models.images.fill_rgb,
            crops=_crop_per_frame(crops, models.device) if crops else (),
        )
    return PreparedClip(
        source=decoded.source,
        frames=replace(frames, notes=(*frames.notes, *crops.notes)) if crops else frames,
        faces=tuple(found.above(models.config.detector.score) for found in faces),
        people=people,
        track=track,
        streams=streams,
        follows_everyone=models.config.follows_everyone,
    )


@contextmanager
def _step(stage: str) -> Iterator[None]:
    """Turn an error of a step into a ClipError that names the step; do not change faults of the machine."""
    try:
        yield
    except (ClipError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if is_device_fault(error):
            raise
        if _NO_HOST_MEMORY in str(error):
            raise MemoryError(first_line(error)) from error
        raise ClipError(stage, f"unexpected {type(error).__name__}: {first_line(error)}") from error


def _faces(clip: ClipRef, frames: FrameMeta, rgb_UHWC: torch.Tensor, models: Models) -> list[Faces]:
    """Return the faces on each frame, from the source that the settings name; none where crops are taken."""
    source = models.config.faces
    if source.is_detected:
        rows = searched_rows(frames.shot_U, models.config)
        found = models.detector.detect(rgb_UHWC if len(rows) == len(rgb_UHWC) else rgb_UHWC[rows])
        by_row = dict(zip(rows, found, strict=True))
        return [by_row[row] if row in by_row else face_step.no_faces() for row in range(len(rgb_UHWC))]
    boxes = None if source.takes_crops else clip.provided_boxes
    return face_step.provided_faces(boxes, frames.index_U, frames.height_px, frames.width_px)


def _followed(
    clip: ClipRef,
    decoded: frame_step.Decoded,
    faces: Sequence[Faces],
    crops: Crops | None,
    config: ExtractConfig,
) -> tuple[tuple[Person, ...], FaceTrack]:
    """Return the people of a clip, and the subject's track."""
    if clip.subject is not None and not config.follows_everyone:
        raise ClipError("track", f"the dataset names its subject, and {config.why_subject_is_fixed}")
    if crops is not None:
        return (), track_step.track_of_crops(crops)
    frames = decoded.frames
    return follow(frames.meta, frames.rgb_UHWC, faces, None, config, clip.subject)


def _crops(clip: ClipRef, decoded: frame_step.Decoded) -> Crops:
    """Return the crops that the dataset provides for a clip; none, with a note, if it has none."""
    if decoded.crops is not None:
        return decoded.crops
    if clip.face_path == clip.path:
        return Crops.of(decoded.frames)
    return Crops.none(len(decoded.frames.meta.index_U), "the data set has no face crops for it")


def _crop_per_frame(crops: Crops, device: torch.device) -> list[torch.Tensor]:
    """Return the crop of every frame on the device, copied once per crop; none for a clip without crops.

    The copies are synchronous, because crops are views into page-locked memory, which PyTorch keeps during an
    asynchronous copy only for a tensor that begins where the memory begins.
    """
    on_device = [torch.from_numpy(picture).to(device) for picture in crops.pictures]
    return [on_device[place] for place in crops.place_U.tolist()] if on_device else []

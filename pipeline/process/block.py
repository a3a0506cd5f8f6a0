"""A block of clips in, one outcome per clip out.

A clip that cannot be processed is a value among the outcomes, never an end of the block; the only
broad `except` for the steps stands here, at the clip's boundary.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch

from pipeline import faces as face_step
from pipeline import frames as frame_step
from pipeline import streams as stream_step
from pipeline import tracks as track_step
from pipeline.cancel import CancelToken
from pipeline.device import is_device_fault
from pipeline.errors import ClipError, first_line
from pipeline.features import Encoded
from pipeline.process.tools import CropTools, ExtractConfig, Tools
from pipeline.types import (
    ClipDone,
    ClipFailed,
    ClipOutcome,
    ClipRef,
    Crops,
    Faces,
    FaceTrack,
    Features,
    FrameMeta,
    Frames,
    Halves,
    Note,
    SourceFile,
    Streams,
)

_NO_HOST_MEMORY = "DefaultCPUAllocator"
"""In the message of the RuntimeError that torch raises when the host's memory does not suffice."""
_LARGEST_HALF = float(np.finfo(np.float16).max)


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A clip before encoding: its frames, the faces on them, the subject's track, the two streams.

    notes: what a user should know of its frames and its crops.
    """

    source: SourceFile
    frames: Frames
    faces: tuple[Faces, ...]
    track: FaceTrack
    streams: Streams
    notes: tuple[Note, ...] = ()


@dataclass
class StageSeconds:
    """How long each stage was at work on some clips.

    decode: of a core, in whatever process. detect (cropping counted in), encode, write: of the
    block's thread, waiting for its turn on the device not counted; on a GPU, where passes queue, the
    time behind another thread's passes counts too.
    """

    decode: float = 0.0
    detect: float = 0.0
    encode: float = 0.0
    write: float = 0.0

    def add(self, other: "StageSeconds") -> None:
        """Count another's seconds in."""
        for stage in STAGES_OF_WORK:
            self.count(stage)(getattr(other, stage))

    def count(self, stage: str) -> Callable[[float], None]:
        """A function that counts seconds in for a stage."""

        def add(seconds: float) -> None:
            setattr(self, stage, getattr(self, stage) + seconds)

        return add


STAGES_OF_WORK = tuple(item.name for item in fields(StageSeconds))


@dataclass(frozen=True, kw_only=True)
class BlockOutcome:
    """One outcome per clip of a block, in order, and what it took. num_pictures: that were encoded."""

    outcomes: tuple[ClipOutcome, ...]
    num_pictures: int
    seconds: StageSeconds


def prepare_clip(root: Path, clip: ClipRef, tools: CropTools) -> Prepared:
    """Everything up to the stream pictures of a clip. Raises ClipError, which names the step."""
    ((_, decoded),) = frame_step.InlineDecoder().stream([decode_job(root, clip, tools.config)])
    if isinstance(decoded, ClipFailed):
        raise ClipError(decoded.stage, decoded.reason)
    return _cropped(clip, decoded, tools)


def decode_job(root: Path, clip: ClipRef, config: ExtractConfig) -> frame_step.DecodeJob:
    """What a decoder is asked for a clip. Of a clip that is itself of faces, the crops are its frames."""
    has_crops = config.takes_crops and clip.face_path not in (None, clip.path)
    return frame_step.DecodeJob(
        path=root / clip.path,
        config=config.frames,
        start_seconds=clip.start_seconds,
        end_seconds=clip.end_seconds,
        face_path=root / str(clip.face_path) if has_crops else None,
        inside=root,
    )


def process_block(
    root: Path,
    clips: Sequence[ClipRef],
    tools: Tools,
    *,
    decoder: frame_step.Decoder | None = None,
    on_progress: Callable[[float], None] | None = None,
    cancel: CancelToken | None = None,
) -> BlockOutcome:
    """Decode, detect, track and crop every clip, then encode the pictures of all of them together.

    root: the folder that the clips' paths start from. decoder: decodes the clips, None for this
    thread. Clips are taken as they are decoded; the device is locked for a batch at a time, so that
    two threads, each at a block of its own, keep it busy. on_progress: called with how much more of the
    block is done, in clips. cancel: looked at after each clip and each batch.
    Raises TaskCancelledError when it is cancelled.
    """
    seconds, cancel = StageSeconds(), cancel or CancelToken()
    jobs = [decode_job(root, clip, tools.config) for clip in clips]
    cropped: list[_Cropped | ClipFailed | None] = [None] * len(clips)
    with closing((decoder or frame_step.InlineDecoder()).stream(jobs)) as answers:
        for place, decoded in answers:
            cropped[place] = _attempt(clips[place], decoded, tools.crop, seconds)
            del decoded  # its pixels may be many; the decoder waits for their room
            cancel.raise_if_cancelled()
    prepared = [item for item in cropped if item is not None]
    assert len(prepared) == len(clips), "a decoder answers every job"
    good = [item for item in prepared if isinstance(item, _Cropped)]
    with tools.device_lock.timed(seconds.count("encode")):
        encoded = _encode_clips(good, tools, _after_batch(len(clips), good, cancel, on_progress))
    outcomes: list[ClipOutcome] = []
    for item in prepared:
        outcomes.append(item if isinstance(item, ClipFailed) else _finished(item, *next(encoded)))
    if on_progress is not None and not good:
        on_progress(len(clips))
    num_pictures = 2 * sum(item.num_pictures for item in good)
    return BlockOutcome(outcomes=tuple(outcomes), num_pictures=num_pictures, seconds=seconds)


@dataclass(frozen=True, kw_only=True)
class _Cropped:
    """A prepared clip without its source pixels: a block of them waits for the encoder."""

    source: SourceFile
    frames: FrameMeta
    notes: tuple[Note, ...]
    track: FaceTrack
    streams: Streams

    @property
    def num_pictures(self) -> int:
        """Pictures per stream, mirrored ones counted."""
        return len(self.frames.index_U) * (1 + any(self.frames.flip_V))


def _attempt(
    clip: ClipRef, decoded: frame_step.DecodeAnswer, tools: CropTools, seconds: StageSeconds
) -> _Cropped | ClipFailed:
    if isinstance(decoded, ClipFailed):
        return decoded
    seconds.decode += decoded.seconds
    try:
        with tools.device_lock.timed(seconds.count("detect")):
            prepared = _cropped(clip, decoded, tools)
    except ClipError as error:
        return ClipFailed(stage=error.stage, reason=error.reason)
    return _Cropped(
        source=prepared.source,
        frames=FrameMeta.of(prepared.frames),
        notes=prepared.notes,
        track=prepared.track,
        streams=prepared.streams,
    )


def _cropped(clip: ClipRef, decoded: frame_step.Decoded, tools: CropTools) -> Prepared:
    """A decoded clip's faces, track and streams. Raises ClipError, which names the step."""
    frames = decoded.frames
    pixels = torch.from_numpy(frames.rgb_UHWC).to(tools.device, non_blocking=True)
    crops = _crops(clip, decoded) if tools.config.takes_crops else None
    with _step("detect"):
        faces = tuple(_detect(clip, frames, pixels, tools))
    with _step("track"):
        track = (
            track_step.track_of_crops(crops) if crops else track_step.build_track(faces, tools.config.track)
        )
    with _step("crop"), tools.device_lock:
        streams = stream_step.make_streams(
            pixels,
            track,
            tools.config.streams,
            side_px=tools.side_px,
            fill_rgb=tools.fill_rgb,
            crops=_crop_per_frame(crops, tools.device) if crops else (),
        )
    return Prepared(
        source=decoded.source,
        frames=frames,
        faces=faces,
        track=track,
        streams=streams,
        notes=(*frames.notes, *(crops.notes if crops else ())),
    )


@contextmanager
def _step(stage: str) -> Iterator[None]:
    """Turn whatever a step raises into a ClipError that names it; what is the machine's fault passes."""
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


def _detect(clip: ClipRef, frames: Frames, rgb_UHWC: torch.Tensor, tools: CropTools) -> list[Faces]:
    _, height, width, _ = rgb_UHWC.shape
    if tools.config.takes_crops:
        return face_step.given_faces(None, frames.index_U, height, width)
    if tools.config.detector.name == "boxes":
        return face_step.given_faces(clip.given_boxes, frames.index_U, height, width)
    return tools.detector.detect(rgb_UHWC)


def _crops(clip: ClipRef, decoded: frame_step.Decoded) -> Crops:
    """The crops of a clip that is to bring them."""
    if decoded.crops is not None:
        return decoded.crops
    if clip.face_path == clip.path:
        return Crops.of(decoded.frames)
    return Crops.none(len(decoded.frames.index_U), "the data set has no face crops for it")


def _crop_per_frame(crops: Crops, device: torch.device) -> list[torch.Tensor]:
    """Every frame's crop on the device, one that serves several frames once; none for a clip without.

    The copies are waited for: page-locked memory is kept for a copy under way only from its first byte on,
    where the frames are.
    """
    there = [torch.from_numpy(picture).to(device) for picture in crops.pictures]
    return [there[place] for place in crops.place_U.tolist()] if there else []


def _after_batch(
    num_clips: int,
    good: Sequence[_Cropped],
    cancel: CancelToken,
    on_progress: Callable[[float], None] | None,
) -> Callable[[int], None]:
    """What is done after each batch of so many pictures: progress in clips, and an end if one is wanted."""
    total = 2 * sum(item.num_pictures for item in good)

    def after_batch(pictures: int) -> None:
        cancel.raise_if_cancelled()
        if on_progress is not None and total:
            on_progress(num_clips * pictures / total)

    return after_batch


def _encode_clips(
    items: Sequence[_Cropped], tools: Tools, on_batch: Callable[[int], None]
) -> Iterator[tuple[Encoded, Encoded]]:
    """Face and scene features of each clip, from one run of full batches over all clips' pictures."""
    if not items:
        return iter(())
    both = [
        [item.streams, stream_step.mirrored(item.streams)] if any(item.frames.flip_V) else [item.streams]
        for item in items
    ]
    faces = torch.cat([streams.face_U3SS for pair in both for streams in pair])
    scenes = torch.cat([streams.scene_U3SS for pair in both for streams in pair])
    face = tools.encoder.encode(faces, early=False, on_batch=on_batch)
    scene = tools.encoder.encode(scenes, early=True, on_batch=on_batch)
    ends = np.cumsum([item.num_pictures for item in items]).tolist()
    starts = [0, *ends[:-1]]
    return iter([(face.rows(a, b), scene.rows(a, b)) for a, b in zip(starts, ends, strict=True)])


def _finished(item: _Cropped, face: Encoded, scene: Encoded) -> ClipOutcome:
    """Lay the features of a clip's distinct pictures out by view and frame."""
    frames = item.frames
    mirror_V1 = np.array(frames.flip_V)[:, None] * len(frames.index_U)
    row_VT = torch.from_numpy(frames.position_VT + mirror_V1)
    try:
        features = Features(
            face_embedding=_half(face.embedding_NF[row_VT], "face/embedding"),
            scene_embedding=_half(scene.embedding_NF[row_VT], "scene/embedding"),
            scene_early=_half(_there(scene.early_N43D)[row_VT], "scene/early"),
            face_tokens=_tokens(face, row_VT, "face/tokens"),
            scene_tokens=_tokens(scene, row_VT, "scene/tokens"),
        )
    except ClipError as error:
        return ClipFailed(stage=error.stage, reason=error.reason, source_sha256=item.source.sha256)
    return ClipDone(
        source=item.source,
        frames=frames,
        track=item.track,
        features=features,
        notes=item.notes,
    )


def _tokens(encoded: Encoded, row_VT: torch.Tensor, name: str) -> Halves | None:
    return None if encoded.tokens_NJD is None else _half(encoded.tokens_NJD[row_VT], name)


def _there(value: torch.Tensor | None) -> torch.Tensor:
    assert value is not None, "the scene stream is encoded with its early blocks"
    return value


def _half(value: torch.Tensor, name: str) -> Halves:
    """The value as float16. Raises ClipError where it does not fit: never an infinity in the cache."""
    largest = float(value.abs().max())
    if not largest <= _LARGEST_HALF:
        raise ClipError("encode", f"{name} holds {largest:g}, beyond the range of float16")
    half: Halves = value.numpy().astype(np.float16)
    return half

"""The steps put together: a block of clips in, one outcome per clip out.

The same function serves tests, one machine and a cluster. A clip that cannot be processed is a
value among the outcomes, never an end of the block; the only broad `except` stands here, at the
clip's boundary.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline import faces as face_step
from pipeline import frames as frame_step
from pipeline import streams as stream_step
from pipeline import tracks as track_step
from pipeline.clip_model import EncoderConfig, LoadedClip, load_clip
from pipeline.config import to_dict
from pipeline.errors import ClipError, first_line
from pipeline.features import Encoded, Encoder, FeatureConfig
from pipeline.fingerprint import sha256_file
from pipeline.store.schema import RANDOM_WEIGHTS
from pipeline.types import (
    ClipDone,
    ClipFailed,
    ClipOutcome,
    ClipRef,
    Faces,
    FaceTrack,
    Features,
    FrameMeta,
    Frames,
    Halves,
    Streams,
)

_LARGEST_HALF = float(np.finfo(np.float16).max)


@dataclass(frozen=True, kw_only=True)
class ExtractConfig:
    """Everything that decides what the features of a clip are."""

    frames: frame_step.FrameConfig = field(default_factory=frame_step.FrameConfig)
    detector: face_step.DetectorConfig = field(default_factory=face_step.DetectorConfig)
    track: track_step.TrackConfig = field(default_factory=track_step.TrackConfig)
    streams: stream_step.StreamConfig = field(default_factory=stream_step.StreamConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    features: FeatureConfig = field(default_factory=FeatureConfig)


@dataclass(frozen=True, kw_only=True)
class CropTools:
    """What it takes to make stream pictures; no encoder yet.

    side_px, fill_rgb: of the stream pictures, as the encoder wants them.
    """

    config: ExtractConfig
    device: torch.device
    detector: face_step.FaceDetector
    side_px: int
    fill_rgb: tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Tools:
    """The models that a worker holds: loaded once, used for every block."""

    config: ExtractConfig
    device: torch.device
    detector: face_step.FaceDetector
    clip: LoadedClip
    encoder: Encoder

    @property
    def crop(self) -> CropTools:
        """The part of these tools that comes before the encoder."""
        return _crop_tools(self.config, self.device, self.detector, self.clip.picture_side_px, self.clip.mean)

    def identity(self) -> dict[str, Any]:
        """What changes feature values, as plain values; its hash is the cache's fingerprint.

        Models count by the hash of their values, precision as resolved on this device; paths and
        batch sizes do not count.
        """
        config = to_dict(self.config)
        del config["features"]["batch_pictures"]
        config["features"]["precision"] = self.encoder.precision
        config["detector"].pop("weights")
        config["detector"].pop("batch_frames")
        config["detector"]["sha256"] = self.detector.weights_sha256
        config["encoder"] = {
            "name": self.config.encoder.name,
            "random": self.config.encoder.weights == RANDOM_WEIGHTS,
            "visual_sha256": self.clip.visual_sha256,
            "text_sha256": self.clip.text_sha256,
            "mean": list(self.clip.mean),
            "std": list(self.clip.std),
        }
        return config


def load_crop_tools(
    config: ExtractConfig, device: torch.device, *, side_px: int, mean: tuple[float, float, float]
) -> CropTools:
    """Load the detector alone, for stream pictures of a given side and mean colour (0 to 1)."""
    detector = face_step.load_detector(config.detector, device)
    return _crop_tools(config, device, detector, side_px, mean)


def load_tools(config: ExtractConfig, device: torch.device) -> Tools:
    """Load detector and encoder. Raises WeightsError or ConfigError when one cannot be had."""
    detector = face_step.load_detector(config.detector, device)
    clip = load_clip(config.encoder)
    encoder = Encoder(clip, config.features, device)
    return Tools(config=config, device=device, detector=detector, clip=clip, encoder=encoder)


def _crop_tools(
    config: ExtractConfig,
    device: torch.device,
    detector: face_step.FaceDetector,
    side_px: int,
    mean: tuple[float, float, float],
) -> CropTools:
    return CropTools(
        config=config,
        device=device,
        detector=detector,
        side_px=side_px,
        fill_rgb=stream_step.fill_colour(mean),
    )


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A clip before encoding: its frames, the faces on them, the subject's track, the two streams."""

    source_sha256: str
    frames: Frames
    faces: tuple[Faces, ...]
    track: FaceTrack
    streams: Streams


def prepare_clip(root: Path, clip: ClipRef, tools: CropTools) -> Prepared:
    """Everything up to the stream pictures of a clip. Raises ClipError, which names the step."""
    path, config = root / clip.path, tools.config
    with _step("decode"):
        frames = frame_step.decode_clip(
            path, config.frames, start_seconds=clip.start_seconds, end_seconds=clip.end_seconds
        )
        digest = sha256_file(path)
    with _step("detect"):
        faces = tuple(_detect(clip, frames, tools))
    with _step("track"):
        track = track_step.build_track(faces, config.track)
    with _step("crop"):
        streams = stream_step.make_streams(
            torch.from_numpy(frames.rgb_UHWC).to(tools.device),
            track,
            config.streams,
            side_px=tools.side_px,
            fill_rgb=tools.fill_rgb,
        )
    return Prepared(source_sha256=digest, frames=frames, faces=faces, track=track, streams=streams)


def process_block(
    root: Path, clips: Sequence[ClipRef], tools: Tools, on_progress: Callable[[float], None] | None = None
) -> list[ClipOutcome]:
    """Decode, detect, track and crop every clip, then encode the pictures of all of them together.

    root: the folder that the clips' paths start from. on_progress: told how much more of the
    block is done, in clips. Returns one outcome per clip, in order.
    """
    prepared = [_attempt(root, clip, tools.crop) for clip in clips]
    good = [item for item in prepared if isinstance(item, _Cropped)]
    encoded = _encode_clips(good, tools, _share_of_work(len(clips), good, on_progress))
    outcomes: list[ClipOutcome] = []
    for item in prepared:
        outcomes.append(item if isinstance(item, ClipFailed) else _finished(item, *next(encoded)))
    if on_progress is not None and not good:
        on_progress(len(clips))
    return outcomes


@dataclass(frozen=True, kw_only=True)
class _Cropped:
    """A prepared clip without its source pixels: a block of them waits for the encoder."""

    source_sha256: str
    frames: FrameMeta
    notes: tuple[str, ...]
    track: FaceTrack
    streams: Streams

    @property
    def num_pictures(self) -> int:
        """Pictures per stream, mirrored ones counted."""
        return len(self.frames.index_U) * (1 + any(self.frames.flip_V))


def _attempt(root: Path, clip: ClipRef, tools: CropTools) -> _Cropped | ClipFailed:
    try:
        prepared = prepare_clip(root, clip, tools)
    except ClipError as error:
        return ClipFailed(stage=error.stage, reason=error.reason)
    return _Cropped(
        source_sha256=prepared.source_sha256,
        frames=FrameMeta.of(prepared.frames),
        notes=prepared.frames.notes,
        track=prepared.track,
        streams=prepared.streams,
    )


@contextmanager
def _step(stage: str) -> Iterator[None]:
    """Turn whatever a step raises into a ClipError that names it; running out of memory passes."""
    try:
        yield
    except (ClipError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - the boundary of a clip: anything wrong ends this clip alone
        raise ClipError(stage, f"unexpected {type(error).__name__}: {first_line(error)}") from error


def _detect(clip: ClipRef, frames: Frames, tools: CropTools) -> list[Faces]:
    if tools.config.detector.name == "boxes":
        _, height, width, _ = frames.rgb_UHWC.shape
        return face_step.given_faces(clip.given_boxes, frames.index_U, height, width)
    return tools.detector.detect(torch.from_numpy(frames.rgb_UHWC).to(tools.device))


def _share_of_work(
    num_clips: int, good: Sequence[_Cropped], on_progress: Callable[[float], None] | None
) -> Callable[[int], None] | None:
    """Tell progress in clips, though the work is counted in pictures."""
    total = 2 * sum(item.num_pictures for item in good)
    if on_progress is None or not total:
        return None
    return lambda pictures: on_progress(num_clips * pictures / total)


def _encode_clips(
    items: Sequence[_Cropped], tools: Tools, on_batch: Callable[[int], None] | None
) -> Iterator[tuple[Encoded, Encoded]]:
    """Face and scene features of each clip, from one run of full batches over all clips' pictures."""
    if not items:
        return
    both = [
        [item.streams, stream_step.mirrored(item.streams)] if any(item.frames.flip_V) else [item.streams]
        for item in items
    ]
    faces = torch.cat([streams.face_U3SS for pair in both for streams in pair])
    scenes = torch.cat([streams.scene_U3SS for pair in both for streams in pair])
    face = tools.encoder.encode(faces, early=False, on_batch=on_batch)
    scene = tools.encoder.encode(scenes, early=True, on_batch=on_batch)
    start = 0
    for item in items:
        end = start + item.num_pictures
        yield face.rows(start, end), scene.rows(start, end)
        start = end


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
        return ClipFailed(stage=error.stage, reason=error.reason, source_sha256=item.source_sha256)
    return ClipDone(
        source_sha256=item.source_sha256,
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

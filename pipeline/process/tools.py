"""What decides a clip's features, and the models that a worker holds."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import torch

from pipeline import faces as face_step
from pipeline import frames as frame_step
from pipeline import streams as stream_step
from pipeline import tracks as track_step
from pipeline.clip_model import EncoderConfig, LoadedClip, is_here, load_clip, shape_of
from pipeline.errors import ConfigError
from pipeline.features import Encoder, FeatureConfig, num_kept_tokens, resolve_precision
from pipeline.process.identity import STEPS, step_identity
from pipeline.store.meta import RANDOM_WEIGHTS


@dataclass(frozen=True, kw_only=True)
class ExtractConfig:
    """Everything that decides what the features of a clip are."""

    frames: frame_step.FrameConfig = field(default_factory=frame_step.FrameConfig)
    detector: face_step.DetectorConfig = field(default_factory=face_step.DetectorConfig)
    track: track_step.TrackConfig = field(default_factory=track_step.TrackConfig)
    streams: stream_step.StreamConfig = field(default_factory=stream_step.StreamConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    features: FeatureConfig = field(default_factory=FeatureConfig)

    def __post_init__(self) -> None:
        if self.takes_crops and self.streams.scene != "full":
            msg = (
                f"--detector crops with --scene {self.streams.scene}: ready face crops do not tell where the "
                "face is in the picture, so it cannot be masked. Add --scene full."
            )
            raise ConfigError(msg)

    @property
    def takes_crops(self) -> bool:
        """Whether the face stream is the data set's own face crops."""
        return self.detector.name == "crops"


class MeteredLock:
    """Keeps threads that share a device apart, one pass at a time, and knows how long each waited."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waited: dict[int, float] = defaultdict(float)

    def __enter__(self) -> None:
        asked = time.monotonic()
        self._lock.acquire()
        self._waited[threading.get_ident()] += time.monotonic() - asked

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    @contextmanager
    def timed(self, count: Callable[[float], None]) -> Iterator[None]:
        """Count the seconds that this thread is at work in the block, waiting for the lock left out."""
        me, began = threading.get_ident(), time.monotonic()
        before = self._waited[me]
        try:
            yield
        finally:
            count(time.monotonic() - began - (self._waited[me] - before))


@dataclass(frozen=True, kw_only=True)
class CropTools:
    """What it takes to make stream pictures; no encoder yet.

    side_px, fill_rgb: of the stream pictures, as the encoder wants them.
    """

    config: ExtractConfig
    device: torch.device
    device_lock: MeteredLock
    detector: face_step.FaceDetector
    side_px: int
    fill_rgb: tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Tools:
    """The models that a worker holds: loaded once, used for every block.

    stand_ins: the models that have random weights because theirs are not on this machine; such tools
    measure times and compute no features.
    """

    config: ExtractConfig
    device: torch.device
    device_lock: MeteredLock
    detector: face_step.FaceDetector
    clip: LoadedClip
    encoder: Encoder
    stand_ins: tuple[str, ...] = ()

    @property
    def crop(self) -> CropTools:
        """The part of these tools that comes before the encoder."""
        return CropTools(
            config=self.config,
            device=self.device,
            device_lock=self.device_lock,
            detector=self.detector,
            side_px=self.clip.picture_side_px,
            fill_rgb=stream_step.fill_colour(self.clip.mean),
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What has had to give way so far, such as a batch that the device's memory could not hold."""
        return (*self.detector.warnings, *self.encoder.warnings)

    def identity(self) -> dict[str, Any]:
        """Return everything that changes feature values, as plain values; its hash is a cache's fingerprint.

        Each step counts by the version of its algorithm and the settings that differ from that version's
        defaults, models by the hash of their values, precision as resolved on this device. Paths and
        batch sizes do not count.
        """
        identity = unloaded_identity(self.config, self.device)
        identity["detector"]["sha256"] = self.detector.weights_sha256
        identity["encoder"] |= {
            "visual_sha256": self.clip.visual_sha256,
            "text_sha256": self.clip.text_sha256,
            "mean": list(self.clip.mean),
            "std": list(self.clip.std),
        }
        return identity


@dataclass(frozen=True, kw_only=True)
class FeatureShape:
    """Sizes of a frame's features: embed_width F, encoder_width D, num_tokens J kept beside the embedding."""

    embed_width: int
    encoder_width: int
    num_tokens: int


def feature_shape(config: ExtractConfig) -> FeatureShape:
    """Return the sizes of features with these settings; no model is loaded.

    Raises ConfigError for tokens that the encoder's patches cannot be pooled to.
    """
    encoder = shape_of(config.encoder.name)
    return FeatureShape(
        embed_width=encoder.embed_width,
        encoder_width=encoder.encoder_width,
        num_tokens=num_kept_tokens(config.features.tokens, encoder.num_patches),
    )


def unloaded_identity(config: ExtractConfig, device: torch.device) -> dict[str, Any]:
    """Return the part of `Tools.identity` that is known before any weights are read.

    Raises ConfigError for a precision that the device cannot compute in.
    """
    identity = {section: step_identity(getattr(config, section)) for section in STEPS}
    identity["detector"]["precision"] = face_step.resolve_precision(config.detector, device)
    identity["features"]["precision"] = resolve_precision(config.features.precision, device)
    identity["encoder"] = {
        "name": config.encoder.name,
        "random": config.encoder.weights == RANDOM_WEIGHTS,
    }
    return identity


def load_crop_tools(
    config: ExtractConfig, device: torch.device, *, side_px: int, mean: tuple[float, float, float]
) -> CropTools:
    """Load the detector alone, for stream pictures of a given side and mean colour (0 to 1)."""
    lock = MeteredLock()
    return CropTools(
        config=config,
        device=device,
        device_lock=lock,
        detector=face_step.load_detector(config.detector, device, lock),
        side_px=side_px,
        fill_rgb=stream_step.fill_colour(mean),
    )


def load_tools(config: ExtractConfig, device: torch.device, *, for_timing: bool = False) -> Tools:
    """Load detector and encoder.

    Args:
        config: The settings of all steps.
        device: Where the models compute.
        for_timing: Give a model random weights where its own are not on this machine, and download
            nothing; `Tools.stand_ins` names those models.

    Raises:
        WeightsError: The weights of a model are damaged, or are missing and cannot be downloaded.
        ConfigError: The settings do not fit the device or each other.
    """
    lock, stand_ins = MeteredLock(), []
    load_detector, encoder = face_step.load_detector, config.encoder
    if for_timing and not face_step.has_weights_here(config.detector):
        load_detector = face_step.untrained_retinaface
        stand_ins.append(config.detector.name)
    if for_timing and not is_here(encoder):
        encoder = EncoderConfig(name=encoder.name, weights=RANDOM_WEIGHTS, seed=encoder.seed)
        stand_ins.append(f"{config.encoder.name} ({config.encoder.weights})")
    detector, clip = load_detector(config.detector, device, lock), load_clip(encoder)
    return Tools(
        config=config,
        device=device,
        device_lock=lock,
        detector=detector,
        clip=clip,
        encoder=Encoder(clip, config.features, device, lock),
        stand_ins=tuple(stand_ins),
    )

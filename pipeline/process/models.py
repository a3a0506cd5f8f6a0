"""The models that a worker holds, and the identity of the features that they compute."""

from dataclasses import dataclass
from typing import Any

import torch

from pipeline import faces as face_step
from pipeline import streams as stream_step
from pipeline.clip_model import CLIP_MEAN, EncoderConfig, LoadedClip, find_weights, is_here, load_clip_model
from pipeline.errors import ConfigError, WeightsError
from pipeline.features import Encoder, resolve_precision
from pipeline.process.config import ExtractConfig
from pipeline.process.identity import STEPS, step_identity
from pipeline.process.metered_lock import MeteredLock
from pipeline.store.meta import RANDOM_WEIGHTS
from pipeline.versions import OF_MOTION


@dataclass(frozen=True, kw_only=True)
class ImageFormat:
    """The images that an encoder takes."""

    side_px: int
    """Side of the square."""
    mean: tuple[float, float, float]
    """Mean of red, green and blue, on a scale of 0 to 1."""

    @property
    def fill_rgb(self) -> tuple[int, int, int]:
        """The mean colour, 0 to 255: it fills masks and margins."""
        return stream_step.fill_colour(self.mean)


_PREVIEW = ImageFormat(side_px=224, mean=CLIP_MEAN)


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """A CLIP model, and its image encoder on the device."""

    clip: LoadedClip
    """The model as it was loaded, on the CPU."""
    encoder: Encoder
    """Its image encoder in the precision of the features."""


@dataclass(frozen=True, kw_only=True)
class Models:
    """The models that a worker holds: loaded once, used for every block."""

    config: ExtractConfig
    """The settings of all steps."""
    device: torch.device
    """Where the models compute."""
    device_lock: MeteredLock
    """Held while a thread uses the device."""
    images: ImageFormat
    """Format of the stream images."""
    face_detector: face_step.FaceDetector | None = None
    """The detector; None where the dataset provides the faces (`config.faces`)."""
    encoding: Encoding | None = None
    """The encoder; None for previews, which end at the stream images."""
    stand_ins: tuple[str, ...] = ()
    """Models with random weights because theirs are not on this machine.

    Such models measure times and compute no features.
    """

    @property
    def detector(self) -> face_step.FaceDetector:
        """The detector. Raises ConfigError where the dataset provides the faces."""
        if self.face_detector is None:
            msg = (
                f"Faces come from the {self.config.faces.source} of a dataset, and no detector is loaded. "
                "Choose a detector, such as --detector haar."
            )
            raise ConfigError(msg)
        return self.face_detector

    @property
    def clip(self) -> LoadedClip:
        """The CLIP model. Raises ValueError for models of a preview."""
        return self._loaded().clip

    @property
    def encoder(self) -> Encoder:
        """The encoder on the device. Raises ValueError for models of a preview."""
        return self._loaded().encoder

    @property
    def warnings(self) -> tuple[str, ...]:
        """Limits met so far, such as a batch that the device's memory could not hold."""
        found = self.face_detector.warnings if self.face_detector else ()
        return (*found, *(self.encoding.encoder.warnings if self.encoding else ()))

    def identity(self) -> dict[str, Any]:
        """Return everything that changes feature values, as plain values; its hash is a cache's fingerprint.

        Each step counts by the version of its algorithm and the settings that differ from that version's
        defaults, models by the hash of their values, precision as resolved on this device. Paths and
        batch sizes do not count.

        Raises:
            ValueError: These are the models of a preview.
        """
        identity = unloaded_identity(self.config, self.device)
        identity["detector"]["sha256"] = self.face_detector.weights_sha256 if self.face_detector else ""
        identity["encoder"] |= {
            "visual_sha256": self.clip.visual_sha256,
            "text_sha256": self.clip.text_sha256,
            "mean": list(self.clip.mean),
            "std": list(self.clip.std),
        }
        return identity

    def _loaded(self) -> Encoding:
        if self.encoding is None:
            msg = "These models were loaded for previews, without an encoder; load them with load_models."
            raise ValueError(msg)
        return self.encoding


def unloaded_identity(config: ExtractConfig, device: torch.device) -> dict[str, Any]:
    """Return the part of `Models.identity` that is known before any weights are read.

    Raises ConfigError for a precision that the device cannot compute in.
    """
    counting = config if config.follows_everyone else config.with_earlier_tracks()
    identity = {section: step_identity(getattr(counting, section)) for section in STEPS}
    if not config.follows_everyone:
        identity = {section: held for section, held in identity.items() if section not in OF_MOTION}
    if config.faces.is_detected:
        identity["detector"]["precision"] = face_step.resolve_precision(config.detector, device)
    else:  # as identities had it when this was a detector (decision 0024)
        identity["detector"] |= {"name": config.faces.source, "precision": "fp32"}
    identity["features"]["precision"] = resolve_precision(config.features.precision, device)
    identity["encoder"] = {
        "name": config.encoder.name,
        "random": config.encoder.weights == RANDOM_WEIGHTS,
    }
    return identity


def load_preview_models(config: ExtractConfig, device: torch.device) -> Models:
    """Load the detector alone, to show stream images in the side and the mean colour of OpenAI's CLIP.

    Args:
        config: The settings of all steps.
        device: Where the detector computes.

    Raises:
        WeightsError: The detector's weights are damaged, or are missing and cannot be downloaded.
    """
    lock = MeteredLock()
    detector = face_step.load_detector(config.detection, device, lock) if config.faces.is_detected else None
    return Models(
        config=config,
        device=device,
        device_lock=lock,
        images=_PREVIEW,
        face_detector=detector,
    )


def require_given_weights(config: ExtractConfig) -> None:
    """Raise WeightsError if the settings name a path without weights. Nothing is loaded."""
    if config.encoder.is_path:
        find_weights(config.encoder)
    given = config.faces.is_detected and config.detector.weights is not None
    if given and not face_step.has_weights_here(config.detector):
        msg = f"No detector weights at '{config.detector.weights}'; give a file with --detector-weights."
        raise WeightsError(msg)


def load_models(config: ExtractConfig, device: torch.device, *, for_timing: bool = False) -> Models:
    """Load detector and encoder.

    Args:
        config: The settings of all steps.
        device: Where the models compute.
        for_timing: Give a model random weights where its own are not on this machine, and download
            nothing; `Models.stand_ins` names those models.

    Raises:
        WeightsError: The weights of a model are damaged, or are missing and cannot be downloaded.
        ConfigError: The settings do not fit the device or each other.
    """
    lock, stand_ins = MeteredLock(), []
    load_detector, encoder = face_step.load_detector, config.encoder
    if for_timing and config.faces.is_detected and not face_step.has_weights_here(config.detector):
        load_detector = face_step.untrained_detector
        stand_ins.append(config.detector.name)
    if for_timing and not is_here(encoder):
        encoder = EncoderConfig(name=encoder.name, weights=RANDOM_WEIGHTS, seed=encoder.seed)
        stand_ins.append(f"{config.encoder.name} ({config.encoder.weights})")
    detector = load_detector(config.detection, device, lock) if config.faces.is_detected else None
    clip = load_clip_model(encoder)
    return Models(
        config=config,
        device=device,
        device_lock=lock,
        images=ImageFormat(side_px=clip.picture_side_px, mean=clip.mean),
        face_detector=detector,
        encoding=Encoding(clip=clip, encoder=Encoder(clip, config.features, device, lock)),
        stand_ins=tuple(stand_ins),
    )

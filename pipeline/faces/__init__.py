"""Boxes, scores and landmarks of faces on frames. The only importer of retinaface and OpenCV's cascade.

``source``          where faces come from: a detector, or the dataset
``detector``        table of the detectors, their settings, interface and conversion to `Faces`
``retinaface``      RetinaFace on batches of frames
``networks``        the two networks of RetinaFace, built from parts of retinaface-pytorch
``fuse_batchnorm``  batch normalisation merged into the convolution before it
``haar``            the cascade that OpenCV contains
``provided_boxes``  bounding boxes that the dataset provides
"""

from pathlib import Path
from pkgutil import resolve_name
from typing import cast

import torch

from pipeline import weights
from pipeline.device import precision_on
from pipeline.errors import ConfigError
from pipeline.faces.detector import DETECTORS, DetectorConfig, DetectorEntry, FaceDetector, no_faces
from pipeline.faces.provided_boxes import provided_faces, stray_boxes
from pipeline.faces.source import FaceConfig, from_older_keys, require_one_source, to_older_keys
from pipeline.fixed_batches import DeviceLock

__all__ = [
    "DETECTORS",
    "DetectorConfig",
    "DetectorEntry",
    "FaceConfig",
    "FaceDetector",
    "from_older_keys",
    "no_faces",
    "provided_faces",
    "has_weights_here",
    "load_detector",
    "require_one_source",
    "resolve_precision",
    "stray_boxes",
    "to_older_keys",
    "untrained_detector",
]


def load_detector(
    config: DetectorConfig, device: torch.device, device_lock: DeviceLock | None = None
) -> FaceDetector:
    """Load the detector that the config names. Missing weights are downloaded if they have an address.

    Args:
        config: The detector and its settings.
        device: Where RetinaFace computes. Haar's cascade computes on the CPU in any case.
        device_lock: Held while a batch is on `device`, for threads that share it; None for a lock of the
            detector's own.

    Raises:
        WeightsError: The weights cannot be downloaded or are not the published ones, or a package of the
            detector is missing.
    """
    load = resolve_name(DETECTORS[config.name].load)
    return cast(FaceDetector, load(config, device, device_lock))


def untrained_detector(
    config: DetectorConfig, device: torch.device, device_lock: DeviceLock | None = None
) -> FaceDetector:
    """Build the detector that the config names with random weights, to measure time.

    Args:
        config: The detector and its settings; `weights` is ignored.
        device: Where the detector computes.
        device_lock: Held while a batch is on `device`; None for a lock of the detector's own.

    Raises:
        ConfigError: The detector takes no weights.
        WeightsError: A package of the detector is missing.
    """
    untrained = DETECTORS[config.name].untrained
    if untrained is None:
        msg = f"{config.name} takes no weights, and so has no form with random ones; load it as it is."
        raise ConfigError(msg)
    return cast(FaceDetector, resolve_name(untrained)(config, device, device_lock))


def has_weights_here(config: DetectorConfig) -> bool:
    """Return whether the detector's weights are on this machine, or it needs none; nothing is downloaded."""
    if not DETECTORS[config.name].takes_weights:
        return True
    return weights.is_here(config.name, None if config.weights is None else Path(config.weights).expanduser())


def resolve_precision(config: DetectorConfig, device: torch.device) -> str:
    """Return the precision of the detector on this device: fp32 or bf16."""
    return DETECTORS[config.name].precision or precision_on(device, config.precision)

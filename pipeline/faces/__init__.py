"""Boxes, scores and landmarks of faces on frames. The only importer of retinaface and OpenCV's cascade.

``source``          where faces come from: a detector, or the dataset
``detector``        what all detectors share: settings, interface, conversion to `Faces`
``retinaface``      RetinaFace on batches of frames
``networks``        the two networks of RetinaFace, built from parts of retinaface-pytorch
``fuse_batchnorm``  batch normalisation merged into the convolution before it
``haar``            the cascade that OpenCV contains
``provided_boxes``  bounding boxes that the dataset provides
"""

from pathlib import Path

import torch

from pipeline import weights
from pipeline.device import precision_on
from pipeline.faces.detector import DETECTORS, WITH_WEIGHTS, DetectorConfig, FaceDetector
from pipeline.faces.haar import HaarDetector
from pipeline.faces.provided_boxes import provided_faces, stray_boxes
from pipeline.faces.retinaface import load_retinaface, untrained_retinaface
from pipeline.faces.source import FaceConfig, from_older_keys, require_one_source, to_older_keys
from pipeline.fixed_batches import DeviceLock

__all__ = [
    "DETECTORS",
    "DetectorConfig",
    "FaceConfig",
    "FaceDetector",
    "from_older_keys",
    "provided_faces",
    "has_weights_here",
    "load_detector",
    "require_one_source",
    "resolve_precision",
    "stray_boxes",
    "to_older_keys",
    "untrained_retinaface",
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
        WeightsError: The weights cannot be downloaded or are not the published ones, or retinaface-pytorch
            is missing.
    """
    if config.name == "haar":
        return HaarDetector(config, device_lock if device.type == "cpu" else None)
    return load_retinaface(config, device, device_lock)


def has_weights_here(config: DetectorConfig) -> bool:
    """Return whether the detector's weights are on this machine, or it needs none; nothing is downloaded."""
    if config.name not in WITH_WEIGHTS:
        return True
    return weights.is_here(config.name, None if config.weights is None else Path(config.weights).expanduser())


def resolve_precision(config: DetectorConfig, device: torch.device) -> str:
    """Return the precision of the detector on this device: fp32 or bf16."""
    return precision_on(device, config.precision) if config.name in WITH_WEIGHTS else "fp32"

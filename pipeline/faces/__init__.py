"""Frames become face boxes, scores and landmarks. The only importer of retinaface and of OpenCV's cascade.

``detector``        what a detector is and how it is chosen
``retinaface``      RetinaFace on batches of frames
``networks``        its two networks, put together from retinaface-pytorch's parts
``fuse_batchnorm``  normalisations taken into the convolutions before them
``haar``            the cascade that OpenCV embeds
``provided_boxes``  boxes or crops that the data set brings along
"""

from pathlib import Path

import torch

from pipeline import weights
from pipeline.device import precision_on
from pipeline.faces.detector import DETECTORS, WITH_WEIGHTS, DetectorConfig, FaceDetector
from pipeline.faces.haar import HaarDetector
from pipeline.faces.provided_boxes import GIVEN, GivenOnly, given_faces, stray_boxes
from pipeline.faces.retinaface import load_retinaface, untrained_retinaface
from pipeline.fixed_batches import DeviceLock

__all__ = [
    "DETECTORS",
    "DetectorConfig",
    "FaceDetector",
    "given_faces",
    "has_weights_here",
    "load_detector",
    "resolve_precision",
    "stray_boxes",
    "untrained_retinaface",
]


def load_detector(
    config: DetectorConfig, device: torch.device, device_lock: DeviceLock | None = None
) -> FaceDetector:
    """The detector that the config names, on the device (Haar works on the CPU, whatever the device).

    device_lock: held while a batch is on the device, for threads that share it; None for its own. Haar's
    cascade leaves a GPU to the other threads.

    Missing weights are downloaded where they have an address. Raises WeightsError when they cannot
    be had, are not the published ones, or when retinaface-pytorch is missing.
    """
    if config.name == "haar":
        return HaarDetector(config, device_lock if device.type == "cpu" else None)
    if config.name in GIVEN:
        return GivenOnly(config.name)
    return load_retinaface(config, device, device_lock)


def has_weights_here(config: DetectorConfig) -> bool:
    """Return whether the detector's weights are on this machine, or it needs none; nothing is downloaded."""
    if config.name not in WITH_WEIGHTS:
        return True
    return weights.is_here(config.name, None if config.weights is None else Path(config.weights).expanduser())


def resolve_precision(config: DetectorConfig, device: torch.device) -> str:
    """Return the precision of the detector on this device: fp32 or bf16."""
    return precision_on(device, config.precision) if config.name in WITH_WEIGHTS else "fp32"

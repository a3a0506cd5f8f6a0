"""Models for measurements: those of `extract`, or with a detector of random weights.

Random weights take the same time as published ones and need no file. They find no face, so that suppression
and tracking have no work, and the face stream is the centre of each frame.
"""

from dataclasses import replace

import torch

from pipeline.executor import LocalExecutor
from pipeline.faces import DetectorConfig, FaceConfig, FaceDetector, load_detector, untrained_detector
from pipeline.process import ExtractConfig, Models, load_models
from pipeline.runner.block_task import BlockReport, BlockTask
from pipeline.runner.worker import BlockWorkerSetup
from pipeline.store.meta import RANDOM_WEIGHTS

LocalBlockExecutor = LocalExecutor[BlockTask, BlockReport]


def is_untrained(config: DetectorConfig) -> bool:
    """Return whether the detector has random weights."""
    return config.weights == RANDOM_WEIGHTS


def load_bench_detector(config: DetectorConfig, device: torch.device) -> FaceDetector:
    """Load the detector of the config; the weights ``random`` need no file.

    Raises WeightsError if its weights are missing or are not the published ones.
    """
    return untrained_detector(config, device) if is_untrained(config) else load_detector(config, device)


def load_bench_models(config: ExtractConfig, device: torch.device, *, needs_detector: bool = True) -> Models:
    """Load a worker's models; detector weights ``random`` need no file.

    Args:
        config: The settings of all steps.
        device: Where the models compute.
        needs_detector: Whether faces are detected; if not, the detector's weights need not be there.

    Raises:
        WeightsError, ConfigError: One of the models is missing.
    """
    if not needs_detector:
        return load_models(_without_detector(config), device)
    if not is_untrained(config.detector):
        return load_models(config, device)
    return with_untrained_detector(load_models(_without_detector(config), device), config.detector)


def start_executor(config: ExtractConfig, device: str) -> LocalBlockExecutor:
    """Start the threads and decoders of one worker with these models. The caller closes the executor.

    Args:
        config: The settings of all steps.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        WeightsError, ConfigError: One of the models is missing.
    """
    if not is_untrained(config.detector):
        return LocalExecutor(BlockWorkerSetup(config=config, device=device))
    executor = LocalExecutor(BlockWorkerSetup(config=_without_detector(config), device=device))
    executor.worker.models = with_untrained_detector(executor.worker.models, config.detector)
    return executor


def with_untrained_detector(models: Models, detector: DetectorConfig) -> Models:
    """Return the models with another detector, which has random weights."""
    return replace(
        models,
        config=replace(models.config, faces=FaceConfig(), detector=detector),
        face_detector=untrained_detector(detector, models.device, models.device_lock),
    )


def _without_detector(config: ExtractConfig) -> ExtractConfig:
    return replace(config, faces=FaceConfig(source="boxes"), detector=DetectorConfig())

"""Time of detector and encoder on this machine, from a few images: the estimate of `predict --dry-run`.

Letters: N frames or images; H, W height and width of a frame; S side of an image; 3, C colours.
"""

import time
from dataclasses import dataclass

import torch

from pipeline.device import device_name
from pipeline.process import ExtractConfig, load_models
from pipeline.process.windows import PartDecoder, stream_frames
from trainer.prediction.source import PlannedSource

NUM_FRAMES, NUM_IMAGES = 8, 20
"""Frames in which faces are searched, and images that are encoded, for the timing."""


@dataclass(frozen=True, kw_only=True)
class StepTimes:
    """Times of the steps on this machine.

    Attributes:
        seconds_per_frame: Time to search the faces of a frame.
        seconds_per_image: Time to encode an image.
        num_frames: Frames that were timed.
        num_images: Images that were timed.
        device: Name of the device.
        precision: Precision of the encoder.
        stand_ins: Models with random weights, because theirs are not on this machine.
    """

    seconds_per_frame: float
    seconds_per_image: float
    num_frames: int
    num_images: int
    device: str
    precision: str
    stand_ins: tuple[str, ...]

    def seconds(self, num_frames: int, num_images: int) -> float:
        """Return the time to search faces in this many frames and to encode this many images."""
        return num_frames * self.seconds_per_frame + num_images * self.seconds_per_image


def time_steps(
    planned: PlannedSource, config: ExtractConfig, device: torch.device, decoder: PartDecoder
) -> StepTimes | None:
    """Load the models, or stand-ins with random weights, and time each; None if no frame of a source decodes.

    Args:
        planned: The source.
        config: Settings of all steps.
        device: Where the models compute.
        decoder: Decodes frames.

    Raises:
        ConfigError: The settings do not fit the device.
        WeightsError: Weights are damaged.
    """
    models = load_models(config, device, for_timing=True)
    wanted = planned.plan.wanted.tolist()
    wanted = wanted[:: max(1, len(wanted) // NUM_FRAMES)][:NUM_FRAMES]
    frames = [
        torch.from_numpy(frame.rgb_HWC)
        for frame in stream_frames(planned.path, planned.scan, wanted, decoder)
        if frame.rgb_HWC is not None
    ]
    if not frames:
        return None
    rgb_NHWC = torch.stack(frames).to(device)
    side = models.images.side_px
    images_N3SS = torch.randint(0, 256, (NUM_IMAGES, 3, side, side), dtype=torch.uint8, device=device)
    models.detector.detect(rgb_NHWC[:1])
    models.encoder.encode(images_N3SS[:1], early=True)
    began = time.monotonic()
    models.detector.detect(rgb_NHWC)
    detected = time.monotonic()
    models.encoder.encode(images_N3SS, early=True)
    encoded = time.monotonic()
    return StepTimes(
        seconds_per_frame=(detected - began) / len(rgb_NHWC),
        seconds_per_image=(encoded - detected) / NUM_IMAGES,
        num_frames=len(rgb_NHWC),
        num_images=NUM_IMAGES,
        device=device_name(device),
        precision=models.encoder.precision,
        stand_ins=models.stand_ins,
    )

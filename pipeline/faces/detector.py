"""Settings and interface of face detectors, and functions that they share.

Letters: U frames; H, W size of a frame; K faces on a frame.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, get_args

import numpy as np
import torch

from pipeline.choices import Precision
from pipeline.config import require_one_of, require_range
from pipeline.errors import ConfigError
from pipeline.fingerprint import OUTSIDE_IDENTITY
from pipeline.types import Faces, Floats
from pipeline.versions import VERSIONS


@dataclass(frozen=True, kw_only=True)
class DetectorEntry:
    """How a detector is loaded, and what it needs. Functions are ``module:name``, imported at first use."""

    load: str
    """Function that loads it, with the parameters and errors of `pipeline.faces.load_detector`."""
    untrained: str | None = None
    """Function of the same parameters that gives it random weights, to measure time.

    None for a detector without weights. One with weights also has an entry in `pipeline.weights.PUBLISHED`.
    """
    precision: str | None = None
    """Its only precision; None if setting and device determine it."""

    @property
    def takes_weights(self) -> bool:
        """Whether it reads a file of weights."""
        return self.untrained is not None


_RETINAFACE = DetectorEntry(
    load="pipeline.faces.retinaface:load_retinaface",
    untrained="pipeline.faces.retinaface:untrained_retinaface",
)
DETECTORS: Mapping[str, DetectorEntry] = {
    "retinaface-resnet50": _RETINAFACE,
    "retinaface-mobilenet0.25": _RETINAFACE,
    "haar": DetectorEntry(load="pipeline.faces.haar:load_haar", precision="fp32"),
}
"""Every detector by its name, in the order of `pipeline.choices.DetectorName`."""


@dataclass(frozen=True, kw_only=True)
class DetectorConfig:
    """A detector and its settings. Faces are detected if `faces.source` is ``detector``."""

    VERSION: ClassVar[int] = VERSIONS["faces"]
    """Version of detection, common to all detectors (decision 0007)."""

    name: str = "retinaface-resnet50"
    """``retinaface-resnet50``, ``retinaface-mobilenet0.25`` or ``haar``."""
    weights: str | None = field(default=None, metadata=OUTSIDE_IDENTITY)
    """File of the detector's weights; ``none`` for the file that `weights fetch` stores."""
    score: float = 0.5
    """Faces with a higher score count, 0 to 1."""
    nms_iou: float = 0.4
    """Of two boxes whose intersection over union exceeds this, the one with the lower score is dropped."""
    long_side: int = 640
    """Larger frames are shrunk to this long side in pixels for detection, 0 for never; none is enlarged."""
    every: int = 1
    """Step from one sampled frame with detection to the next, in frames.

    The first and the last frame of every shot always have it. The track interpolates boxes on the others.
    """
    rate: float = 0.0
    """Frames per second on which faces are detected besides the sampled ones, for tracks; 0 for none."""
    precision: str = field(default="auto", metadata=OUTSIDE_IDENTITY)
    """fp32, bf16, or auto, which is bf16 on devices with fast products in it."""
    batch_frames: int = field(default=0, metadata=OUTSIDE_IDENTITY)
    """Frames per forward pass; 0 chooses by device."""

    def __post_init__(self) -> None:
        require_one_of("detector.name", self.name, tuple(DETECTORS))
        require_range("detector.score", self.score, 0, 1)
        require_range("detector.nms_iou", self.nms_iou, 0, 1)
        require_range("detector.every", self.every, 1, 512)
        require_range("detector.rate", self.rate, 0, 120)
        if self.every > 1 and self.rate > 0:
            msg = (
                f"detector.every is {self.every} and detector.rate is {self.rate:g}: one detects on fewer "
                "frames than are sampled, the other on more. Remove one."
            )
            raise ConfigError(msg)
        require_one_of("detector.precision", self.precision, get_args(Precision))
        require_range("detector.batch_frames", self.batch_frames, 0, 4096)
        if self.long_side != 0:
            require_range("detector.long_side (0 for native size)", self.long_side, 32)
        if self.weights is not None and not DETECTORS[self.name].takes_weights:
            with_weights = ", ".join(name for name, entry in DETECTORS.items() if entry.takes_weights)
            msg = f"detector.weights is {self.weights!r}, but {self.name} takes none; allowed with: "
            msg += f"{with_weights}."
            raise ConfigError(msg)


class FaceDetector(Protocol):
    """A detector of faces on frames."""

    @property
    def name(self) -> str:
        """``retinaface-resnet50``, ``retinaface-mobilenet0.25`` or ``haar``."""
        ...

    @property
    def weights_sha256(self) -> str:
        """The sha256 of the file that the detector was loaded from; empty without a file."""
        ...

    @property
    def precision(self) -> str:
        """Precision of the computation: fp32 or bf16."""
        ...

    @property
    def warnings(self) -> tuple[str, ...]:
        """Limits met so far, such as a batch that the device's memory could not hold."""
        ...

    def detect(self, rgb_UHWC: torch.Tensor) -> list[Faces]:
        """Find the faces on every frame. Two threads may call this at the same time.

        Args:
            rgb_UHWC: uint8 RGB [U, H, W, 3]. Frames on another device than the detector's are copied to it.

        Returns:
            U results, with boxes in pixels of the frames.
        """
        ...


def faces_in_picture(box_K4: Floats, score_K: Floats, landmark_K52: Floats, height: int, width: int) -> Faces:
    """Return faces with their boxes clipped to the frame; a box with no pixel inside is left out.

    Args:
        box_K4: [K, 4] x0, y0, x1, y1 in pixels.
        score_K: [K] scores, 0 to 1.
        landmark_K52: [K, 5, 2] x, y in pixels, or NaN.
        height: Height of the frame in pixels.
        width: Width of the frame in pixels.
    """
    limit = np.array([width, height, width, height], dtype=np.float32)
    clipped = np.clip(box_K4, 0, limit).astype(np.float32)
    inside = (clipped[:, 2] > clipped[:, 0]) & (clipped[:, 3] > clipped[:, 1])
    return Faces(
        box_xyxy_px=clipped[inside],
        score=score_K[inside].astype(np.float32),
        landmark_xy_px=landmark_K52[inside].astype(np.float32),
    )


def no_faces() -> Faces:
    """Return the faces of a frame without any."""
    return Faces(
        box_xyxy_px=np.empty((0, 4), np.float32),
        score=np.empty(0, np.float32),
        landmark_xy_px=no_landmarks(0),
    )


def no_landmarks(num_faces: int) -> Floats:
    """Return NaN [K, 5, 2], for detectors without landmarks."""
    return np.full((num_faces, 5, 2), np.nan, dtype=np.float32)

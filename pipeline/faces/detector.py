"""What a face detector is: its settings, its one method, and what all detectors share.

Letters: U frames; H, W picture; K faces on a frame; C channels (3).
"""

from dataclasses import dataclass, field
from typing import ClassVar, Protocol, get_args

import numpy as np
import torch

from pipeline.choices import FaceSource, Precision
from pipeline.config import require_one_of, require_range
from pipeline.errors import ConfigError
from pipeline.fingerprint import OUTSIDE_IDENTITY
from pipeline.types import Faces, Floats
from pipeline.versions import VERSIONS

DETECTORS: tuple[str, ...] = get_args(FaceSource)
WITH_WEIGHTS = DETECTORS[:2]


@dataclass(frozen=True, kw_only=True)
class DetectorConfig:
    """Which detector, and what counts as a face.

    weights: a file of the detector's weights, None for the place where `weights fetch` puts them.
    score: faces above it count, 0 to 1. nms_iou: of two boxes that overlap more than this, the
    better one stays. long_side: larger frames are shrunk to this long side in pixels before
    detection, 0 for never; none is enlarged.
    precision: of the network: fp32, bf16, or ``auto``: bf16 where the device has fast products in
    it. batch_frames: frames per forward pass, 0 chooses by device.
    """

    VERSION: ClassVar[int] = VERSIONS["faces"]
    """Of detection, by every detector (decision 0007)."""

    name: str = "retinaface-resnet50"
    weights: str | None = field(default=None, metadata=OUTSIDE_IDENTITY)
    score: float = 0.5
    nms_iou: float = 0.4
    long_side: int = 640
    precision: str = field(default="auto", metadata=OUTSIDE_IDENTITY)
    batch_frames: int = field(default=0, metadata=OUTSIDE_IDENTITY)

    def __post_init__(self) -> None:
        require_one_of("detector.name", self.name, DETECTORS)
        require_range("detector.score", self.score, 0, 1)
        require_range("detector.nms_iou", self.nms_iou, 0, 1)
        require_one_of("detector.precision", self.precision, get_args(Precision))
        require_range("detector.batch_frames", self.batch_frames, 0, 4096)
        if self.long_side != 0:
            require_range("detector.long_side (0 for native size)", self.long_side, 32)
        if self.weights is not None and self.name not in WITH_WEIGHTS:
            msg = f"detector.weights is {self.weights!r}, but {self.name} takes none; allowed with: "
            msg += f"{', '.join(WITH_WEIGHTS)}."
            raise ConfigError(msg)


class FaceDetector(Protocol):
    """Finds faces. `weights_sha256` is the hash of the file it was loaded from, '' without one."""

    @property
    def name(self) -> str:
        """One of DETECTORS."""
        ...

    @property
    def weights_sha256(self) -> str:
        """The sha256 of the detector's file."""
        ...

    @property
    def precision(self) -> str:
        """The precision it works in: fp32 or bf16."""
        ...

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a user should know of the run so far, such as a device that ran out of memory."""
        ...

    def detect(self, rgb_UHWC: torch.Tensor) -> list[Faces]:
        """The faces on every frame: uint8 RGB [U, H, W, 3] in, U results out, boxes in its pixels.

        The frames lie best on the detector's device; from another they are copied there. Two
        threads may call it at the same time.
        """
        ...


def faces_in_picture(box_K4: Floats, score_K: Floats, landmark_K52: Floats, height: int, width: int) -> Faces:
    """The faces with boxes clipped to the picture; a box with no pixel inside is left out."""
    limit = np.array([width, height, width, height], dtype=np.float32)
    clipped = np.clip(box_K4, 0, limit).astype(np.float32)
    inside = (clipped[:, 2] > clipped[:, 0]) & (clipped[:, 3] > clipped[:, 1])
    return Faces(
        box_xyxy_px=clipped[inside],
        score=score_K[inside].astype(np.float32),
        landmark_xy_px=landmark_K52[inside].astype(np.float32),
    )


def no_landmarks(num_faces: int) -> Floats:
    """NaN [K, 5, 2], for detectors that give no landmarks."""
    return np.full((num_faces, 5, 2), np.nan, dtype=np.float32)

"""The frontal face cascade that OpenCV contains, a detector that needs no download.

Letters: U frames; H, W size of a frame; h, w its size for the cascade; K faces on a frame.
"""

from pathlib import Path
from threading import Lock

import cv2
import numpy as np
import torch
from cv2.data import haarcascades

from pipeline.errors import WeightsError
from pipeline.faces.detector import DetectorConfig, faces_in_picture, no_landmarks
from pipeline.fingerprint import sha256_file
from pipeline.fixed_batches import DeviceLock
from pipeline.types import Bytes, Faces, Floats

_CASCADE = "haarcascade_frontalface_default.xml"
_SCALE_STEP = 1.1
_MIN_NEIGHBOURS = 5
_SMALLEST_PART = 12
"""A face has at least one twelfth of the frame's short side; most smaller detections are false."""
_SMALLEST_PX = 24


def load_haar(
    config: DetectorConfig, device: torch.device, device_lock: DeviceLock | None = None
) -> "HaarDetector":
    """Load the cascade.

    Args:
        config: The detector and its settings.
        device: Device of the other models. The cascade computes on the CPU in any case.
        device_lock: Lock of `device`, held by the cascade if that is the CPU; None for a lock of its own.

    Raises:
        WeightsError: OpenCV does not contain the cascade.
    """
    return HaarDetector(config, device_lock if device.type == "cpu" else None)


class HaarDetector:
    """Viola and Jones's cascade on the CPU, for upright, frontal faces, without landmarks.

    OpenCV groups overlapping detections, so that `DetectorConfig.nms_iou` has no effect.
    """

    name = "haar"
    precision = "fp32"
    warnings = ()

    def __init__(self, config: DetectorConfig, device_lock: DeviceLock | None = None) -> None:
        path = Path(haarcascades) / _CASCADE
        self._config = config
        self._cascade = cv2.CascadeClassifier(str(path))
        if self._cascade.empty():
            msg = (
                f"OpenCV has no '{path}'; install opencv-python-headless below version 5, which contains it."
            )
            raise WeightsError(msg)
        self._device_lock = device_lock or Lock()  # the cascade stores the frame that it processes
        self.weights_sha256 = sha256_file(path)

    def detect(self, rgb_UHWC: torch.Tensor) -> list[Faces]:
        """Find the faces on every frame.

        The result does not depend on the number of OpenCV's threads, because detections are sorted.

        Args:
            rgb_UHWC: uint8 RGB [U, H, W, 3], on any device.

        Returns:
            U results, each with the best score first.
        """
        _, height, width, _ = rgb_UHWC.shape
        small_UhwC = shrunk(rgb_UHWC.numpy(force=True), self._config.long_side)
        with self._device_lock:
            return [self._on_frame(small, height, width) for small in small_UhwC]

    def _on_frame(self, rgb_hwC: Bytes, height: int, width: int) -> Faces:
        h, w, _ = rgb_hwC.shape
        smallest = max(_SMALLEST_PX, min(h, w) // _SMALLEST_PART)
        found, _, margins = self._cascade.detectMultiScale3(
            cv2.cvtColor(rgb_hwC, cv2.COLOR_RGB2GRAY),
            scaleFactor=_SCALE_STEP,
            minNeighbors=_MIN_NEIGHBOURS,
            minSize=(smallest, smallest),
            outputRejectLevels=True,
        )
        xywh_K4 = np.asarray(found, dtype=np.float32).reshape(-1, 4)
        score = score_of_margin(np.asarray(margins, dtype=np.float32).reshape(-1))
        order = np.lexsort((*xywh_K4.T, -score))
        rows = order[score[order] > self._config.score]
        corner, size = xywh_K4[rows, :2], xywh_K4[rows, 2:]
        scale_2 = np.array([width / w, height / h], dtype=np.float32)
        box = np.concatenate((corner, corner + size), axis=1) * np.tile(scale_2, 2)
        return faces_in_picture(box, score[rows], no_landmarks(len(rows)), height, width)


def shrunk(rgb_UHWC: Bytes, long_side: int) -> Bytes:
    """Shrink frames to a long side of at most `long_side` pixels, by area averages; 0 keeps their size."""
    _, height, width, _ = rgb_UHWC.shape
    longest = max(height, width)
    if long_side == 0 or longest <= long_side:
        return rgb_UHWC
    size = (max(1, round(width * long_side / longest)), max(1, round(height * long_side / longest)))
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in rgb_UHWC])


def score_of_margin(margin_K: Floats) -> Floats:
    """Return scores m / (m + 1), from 0 to 1, of margins m.

    A score orders detections and is not a probability. A margin of 1, below which no real face was observed,
    has the score 0.5. The median margin of real faces, about 7, has the score 0.88.

    Args:
        margin_K: The sums by which detections exceed the threshold of the cascade's last stage.
    """
    positive = np.maximum(margin_K, 0)
    score: Floats = positive / (positive + 1)
    return score

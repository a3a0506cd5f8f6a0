"""RetinaFace on batches of frames: vectorised anchors, decoding and suppression.

Letters: U frames; B frames of a batch; H, W source picture; h, w picture as the network sees it;
P anchors; N candidates of a batch; K faces on a frame.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torchvision.ops import batched_nms

from pipeline import weights
from pipeline.errors import WeightsError
from pipeline.faces.detector import DetectorConfig, DeviceLock, faces_in_picture
from pipeline.types import Faces

ANCHOR_SIDES_PX = ((16, 32), (64, 128), (256, 512))
STRIDES_PX = (8, 16, 32)
VARIANCES = (0.1, 0.2)


@dataclass(frozen=True, kw_only=True)
class _Input:
    """How a network wants its pictures: (value - mean) / std per channel, of 0 to 255."""

    bgr: bool
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


_INPUTS = {
    "retinaface-resnet50": _Input(
        bgr=False, mean=(0.485 * 255, 0.456 * 255, 0.406 * 255), std=(0.229 * 255, 0.224 * 255, 0.225 * 255)
    ),
    "retinaface-mobilenet0.25": _Input(bgr=True, mean=(104.0, 117.0, 123.0), std=(1.0, 1.0, 1.0)),
}


def load_retinaface(
    config: DetectorConfig, device: torch.device, device_lock: DeviceLock | None = None
) -> "RetinaFaceDetector":
    """The RetinaFace that the config names, with the published weights, checked by their sha256.

    Raises WeightsError when they cannot be had or are others, or when retinaface-pytorch is missing.
    """
    _builders()  # a missing package is said before anything is downloaded
    path = weights.obtain(config.name, None if config.weights is None else Path(config.weights).expanduser())
    sha256 = weights.verify_file(config.name, path)
    return RetinaFaceDetector.of_tensors(config, device, weights.load_state_dict(path), sha256, device_lock)


class RetinaFaceDetector:
    """A RetinaFace network in evaluation mode on one device, in float32."""

    def __init__(
        self,
        config: DetectorConfig,
        device: torch.device,
        network: nn.Module,
        weights_sha256: str,
        device_lock: DeviceLock | None = None,
    ) -> None:
        self.name = config.name
        self.weights_sha256 = weights_sha256
        self._config = config
        self._device = device
        self._device_lock = device_lock or Lock()
        self._network = network.eval().requires_grad_(False).to(device, torch.float32)
        given = _INPUTS[config.name]
        self._bgr = given.bgr
        self._mean_311 = torch.tensor(given.mean, device=device)[:, None, None]
        self._std_311 = torch.tensor(given.std, device=device)[:, None, None]

    @classmethod
    def of_tensors(
        cls,
        config: DetectorConfig,
        device: torch.device,
        state_dict: Mapping[str, torch.Tensor],
        weights_sha256: str,
        device_lock: DeviceLock | None = None,
    ) -> "RetinaFaceDetector":
        """A detector of these weights, whatever their origin. Raises WeightsError if they do not fit."""
        network = _builders()[config.name]()
        try:
            network.load_state_dict(state_dict, strict=True)
        except RuntimeError as error:
            msg = f"The weights given do not fit {config.name}: {' '.join(str(error).split())[:300]}"
            raise WeightsError(msg) from error
        return cls(config, device, network, weights_sha256, device_lock)

    @torch.inference_mode()
    def detect(self, rgb_UHWC: torch.Tensor) -> list[Faces]:
        """The faces on every frame: uint8 RGB [U, H, W, 3] in, U results out, best score first."""
        step = self._config.batch_frames
        found = []
        for start in range(0, len(rgb_UHWC), step):
            with self._device_lock:
                found += self._detect_batch(rgb_UHWC[start : start + step].to(self._device))
        return found

    def _detect_batch(self, rgb_BHWC: torch.Tensor) -> list[Faces]:
        """Candidates by score first, so that few are decoded; then one suppression for all frames."""
        b, height, width, _ = rgb_BHWC.shape
        pictures_B3hw = shrunk(rgb_BHWC.permute(0, 3, 1, 2), self._config.long_side)
        h, w = pictures_B3hw.shape[2:]
        with _exact_float32():
            loc_BP4, logit_BP2, landmark_BP10 = self._network(self._prepared(pictures_B3hw))
        score_BP = logit_BP2.softmax(dim=-1)[..., 1]
        frame_N, anchor_N = (score_BP > self._config.score).nonzero(as_tuple=True)
        prior_N4 = priors(h, w, self._device)[anchor_N]
        size_2 = torch.tensor([w, h], device=self._device)
        box_N4 = decode_boxes(loc_BP4[frame_N, anchor_N], prior_N4) * size_2.repeat(2)
        landmark_N52 = decode_landmarks(landmark_BP10[frame_N, anchor_N], prior_N4) * size_2
        score_N = score_BP[frame_N, anchor_N]
        # In float64, the offset that keeps the frames apart costs the boxes no digits.
        kept = batched_nms(box_N4.double(), score_N.double(), frame_N, self._config.nms_iou)
        frame, anchor = frame_N[kept].cpu().numpy(), anchor_N[kept].cpu().numpy()
        score = score_N[kept].cpu().numpy()
        scale_2 = np.array([width / w, height / h], dtype=np.float32)
        box = box_N4[kept].cpu().numpy() * np.tile(scale_2, 2)
        landmark = landmark_N52[kept].cpu().numpy() * scale_2
        order = np.lexsort((anchor, -score, frame))
        ends = np.searchsorted(frame[order], np.arange(b + 1))
        rows = [order[ends[i] : ends[i + 1]] for i in range(b)]
        return [faces_in_picture(box[row], score[row], landmark[row], height, width) for row in rows]

    def _prepared(self, pictures_B3hw: torch.Tensor) -> torch.Tensor:
        return ((pictures_B3hw.flip(1) if self._bgr else pictures_B3hw) - self._mean_311) / self._std_311


def shrunk(rgb_B3HW: torch.Tensor, long_side: int) -> torch.Tensor:
    """The pictures in float32, with a long side of at most `long_side` pixels; 0 leaves their size.

    Bilinear with anti-aliasing, the same on every device.
    """
    height, width = rgb_B3HW.shape[2:]
    longest = max(height, width)
    pictures = rgb_B3HW.float()
    if long_side == 0 or longest <= long_side:
        return pictures
    size = (max(1, round(height * long_side / longest)), max(1, round(width * long_side / longest)))
    return functional.interpolate(pictures, size=size, mode="bilinear", antialias=True, align_corners=False)


@lru_cache(maxsize=16)
def priors(height: int, width: int, device: torch.device) -> torch.Tensor:
    """The anchors of a picture of that size: float32 [P, 4], centre x, y, width, height, as shares of it.

    Level by level, row by row, two squares per cell: the order of the network's output.
    """
    levels = []
    for sides, stride in zip(ANCHOR_SIDES_PX, STRIDES_PX, strict=True):
        y = (np.arange(math.ceil(height / stride)) + 0.5) * stride / height
        x = (np.arange(math.ceil(width / stride)) + 0.5) * stride / width
        grid = np.empty((len(y), len(x), len(sides), 4))
        grid[..., 0] = x[None, :, None]
        grid[..., 1] = y[:, None, None]
        grid[..., 2] = np.array(sides) / width
        grid[..., 3] = np.array(sides) / height
        levels.append(grid.reshape(-1, 4))
    return torch.from_numpy(np.concatenate(levels).astype(np.float32)).to(device)


def decode_boxes(loc_N4: torch.Tensor, prior_N4: torch.Tensor) -> torch.Tensor:
    """Boxes [N, 4] x0, y0, x1, y1 as shares of the picture, from the network's offsets to its anchors."""
    centre = prior_N4[:, :2] + loc_N4[:, :2] * VARIANCES[0] * prior_N4[:, 2:]
    half = prior_N4[:, 2:] * torch.exp(loc_N4[:, 2:] * VARIANCES[1]) / 2
    return torch.cat((centre - half, centre + half), dim=1)


def decode_landmarks(landmark_N10: torch.Tensor, prior_N4: torch.Tensor) -> torch.Tensor:
    """Landmarks [N, 5, 2] as shares of the picture, from the network's offsets to its anchors."""
    offset_N52 = landmark_N10.view(-1, 5, 2)
    return prior_N4[:, None, :2] + offset_N52 * VARIANCES[0] * prior_N4[:, None, 2:]


@contextmanager
def _exact_float32() -> Iterator[None]:
    """Convolutions in full float32 on a GPU too, where torch takes TF32 unless told otherwise."""
    cudnn = torch.backends.cudnn
    with cudnn.flags(
        enabled=cudnn.enabled,
        benchmark=cudnn.benchmark,
        deterministic=cudnn.deterministic,
        allow_tf32=False,
    ):
        yield


def _builders() -> Mapping[str, Callable[[], nn.Module]]:
    try:
        from pipeline.faces import networks
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("retinaface"):
            raise
        msg = (
            "The package retinaface-pytorch is missing; run `make install`, or "
            "`pip install --no-deps retinaface-pytorch==0.0.8`. --detector haar does without it."
        )
        raise WeightsError(msg) from error
    return {
        "retinaface-resnet50": networks.resnet50,
        "retinaface-mobilenet0.25": networks.mobilenet_quarter,
    }

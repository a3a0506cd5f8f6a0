"""RetinaFace on batches of frames: vectorised anchors, decoding and suppression.

Letters: U frames; B frames of a batch; H, W source picture; h, w picture as the network sees it;
P anchors; N candidates of a frame; R = 16 numbers of a candidate; K faces on a frame.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from pipeline import weights
from pipeline.device import exact_float32, precision_on
from pipeline.errors import WeightsError
from pipeline.faces.detector import DetectorConfig, faces_in_picture
from pipeline.faces.fuse_batchnorm import without_batch_norm
from pipeline.fixed_batches import DeviceLock, FixedPasses
from pipeline.types import Faces, Floats

ANCHOR_SIDES_PX = ((16, 32), (64, 128), (256, 512))
STRIDES_PX = (8, 16, 32)
VARIANCES = (0.1, 0.2)
_FEW_CANDIDATES = 512
"""Anchors per frame that are looked at first; a frame with more above the score is done with all."""
_PIXELS_AT_ONCE = 1 << 24
"""Of the frames that are float32 at a time while they are shrunk: 200 MB."""
_BOX, _LANDMARK, _ANCHOR, _SCORE = slice(0, 4), slice(4, 14), 14, 15
"""Where the row of a candidate holds what."""


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


def untrained_retinaface(
    config: DetectorConfig, device: torch.device, device_lock: DeviceLock | None = None
) -> "RetinaFaceDetector":
    """The RetinaFace that the config names with random weights, for measuring time: it finds no face."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        network = _builders()[config.name]()
    for name, value in network.named_parameters():
        if name.startswith("ClassHead") and name.endswith("bias"):
            value.data.copy_(torch.tensor([1e4, -1e4]).repeat(len(value) // 2))
    return RetinaFaceDetector(config, device, network, "", device_lock)


@dataclass(frozen=True, kw_only=True)
class _Output:
    """A batch's offsets and scores, the anchors, and the pictures' width and height."""

    loc_BP4: torch.Tensor
    score_BP: torch.Tensor
    landmark_BP10: torch.Tensor
    prior_P4: torch.Tensor
    size_2: torch.Tensor


class RetinaFaceDetector:
    """A RetinaFace network in evaluation mode on one device, in one precision, in batches of one shape.

    Normalisations are folded into the convolutions, pictures lie channels last: the same network,
    several times faster on a CPU.
    """

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
        self.precision = precision_on(device, config.precision)
        self._config = config
        self._device = device
        self._dtype = torch.bfloat16 if self.precision == "bf16" else torch.float32
        fused = without_batch_norm(network.eval().requires_grad_(False))
        self._network = fused.to(device, self._dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        batch_frames = config.batch_frames or (16 if device.type == "cuda" else 8)
        self._passes = FixedPasses("Frames for the face detector", batch_frames, device, device_lock)
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

    @property
    def warnings(self) -> tuple[str, ...]:
        """What happened that a user should know: a device that ran out of memory."""
        return self._passes.warnings

    @torch.inference_mode()
    def detect(self, rgb_UHWC: torch.Tensor) -> list[Faces]:
        """The faces on every frame: uint8 RGB [U, H, W, 3] in, U results out, best score first.

        The faces of a frame depend neither on the other frames nor on their number.
        """
        _, height, width, _ = rgb_UHWC.shape
        outputs: list[_Output] = []

        def prepare(rgb_BHWC: torch.Tensor) -> torch.Tensor:
            return shrunk(rgb_BHWC.permute(0, 3, 1, 2), self._config.long_side)

        def one_pass(pictures_B3hw: torch.Tensor) -> list[torch.Tensor]:
            output = self._output(pictures_B3hw, height, width)
            best_BNR = self._best(output, _FEW_CANDIDATES)
            outputs.append(output)
            return [best_BNR]

        passes = list(self._passes.run(rgb_UHWC, one_pass, prepare))
        self._passes.wait()
        found = []
        for (best_BNR,), output in zip(passes, outputs, strict=True):
            rows = best_BNR
            if bool((rows[:, -1, _SCORE] > self._config.score).any()):
                rows = self._best(output, output.score_BP.shape[1])[: len(rows)].cpu()
            found += [self._suppressed(row_NR, height, width) for row_NR in rows.numpy()]
        return found

    def _output(self, pictures_B3hw: torch.Tensor, height: int, width: int) -> "_Output":
        """What the network says of a batch, with its anchors in pixels of frames of that size."""
        with exact_float32():
            loc_BP4, logit_BP2, landmark_BP10 = self._network(self._prepared(pictures_B3hw))
        return _Output(
            loc_BP4=loc_BP4,
            score_BP=logit_BP2.float().softmax(dim=-1)[..., 1],
            landmark_BP10=landmark_BP10,
            prior_P4=priors(*pictures_B3hw.shape[2:], self._device),
            size_2=torch.tensor([width, height], dtype=torch.float32).to(self._device, non_blocking=True),
        )

    def _best(self, output: "_Output", most: int) -> torch.Tensor:
        """The candidates [B, N, R] of the best scores, N fixed: so few are decoded, and nobody waits."""
        num_frames, num_anchors = output.score_BP.shape
        score_BN, anchor_BN = output.score_BP.topk(min(most, num_anchors), dim=1)
        frame_B1 = torch.arange(num_frames, device=self._device)[:, None]
        prior_N4 = output.prior_P4[anchor_BN].flatten(0, 1)
        loc_N4 = output.loc_BP4[frame_B1, anchor_BN].flatten(0, 1).float()
        landmark_N10 = output.landmark_BP10[frame_B1, anchor_BN].flatten(0, 1).float()
        box_N4 = decode_boxes(loc_N4, prior_N4) * output.size_2.repeat(2)
        landmark_N52 = decode_landmarks(landmark_N10, prior_N4) * output.size_2
        decoded = torch.cat((box_N4, landmark_N52.flatten(1)), dim=1).view(*anchor_BN.shape, -1)
        return torch.cat((decoded, anchor_BN[..., None].float(), score_BN[..., None]), dim=2)

    def _suppressed(self, best_NR: Floats, height: int, width: int) -> Faces:
        """The faces among a frame's candidates: those above the score, the better of two that overlap."""
        from torchvision.ops import nms  # a second and more, for RetinaFace alone

        candidate = best_NR[best_NR[:, _SCORE] > self._config.score]
        candidate = candidate[np.lexsort((candidate[:, _ANCHOR], -candidate[:, _SCORE]))]
        given = torch.from_numpy(candidate)
        kept = nms(given[:, _BOX], given[:, _SCORE], self._config.nms_iou).numpy()
        face = candidate[kept]
        landmark = face[:, _LANDMARK].reshape(-1, 5, 2)
        return faces_in_picture(face[:, _BOX], face[:, _SCORE], landmark, height, width)

    def _prepared(self, pictures_B3hw: torch.Tensor) -> torch.Tensor:
        given = pictures_B3hw.flip(1) if self._bgr else pictures_B3hw
        normal = ((given - self._mean_311) / self._std_311).to(self._dtype)
        return normal.contiguous(memory_format=torch.channels_last)


def shrunk(rgb_B3HW: torch.Tensor, long_side: int) -> torch.Tensor:
    """The pictures in float32, with a long side of at most `long_side` pixels; 0 leaves their size.

    Bilinear with anti-aliasing, the same on every device; a part of large pictures is float32 at a time.
    """
    height, width = rgb_B3HW.shape[2:]
    longest = max(height, width)
    if long_side == 0 or longest <= long_side:
        return rgb_B3HW.float()
    size = (max(1, round(height * long_side / longest)), max(1, round(width * long_side / longest)))
    at_once = max(1, _PIXELS_AT_ONCE // (height * width))
    return torch.cat(
        [
            functional.interpolate(
                part.float(), size=size, mode="bilinear", antialias=True, align_corners=False
            )
            for part in torch.split(rgb_B3HW, at_once)
        ]
    )


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

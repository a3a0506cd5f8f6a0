"""RetinaFace on batches of frames: vectorised anchors, decoding and suppression.

Letters: U frames; B frames of a batch; H, W size of a frame; h, w its size for the network; P anchors;
N candidates of a frame; R = 16 numbers of a candidate; K faces on a frame.
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
from pipeline.fixed_batches import DeviceLock, FixedBatches
from pipeline.types import Faces, Floats

ANCHOR_SIDES_PX = ((16, 32), (64, 128), (256, 512))
STRIDES_PX = (8, 16, 32)
VARIANCES = (0.1, 0.2)
_FEW_CANDIDATES = 512
"""Anchors per frame that are decoded first; if more are above the score, all anchors are decoded."""
_PIXELS_AT_ONCE = 1 << 24
"""Pixels of frames that are converted to float32 at a time while they are shrunk: 200 MB."""
_BOX, _LANDMARK, _ANCHOR, _SCORE = slice(0, 4), slice(4, 14), 14, 15
"""Columns of a candidate's row."""


@dataclass(frozen=True, kw_only=True)
class _Input:
    """Input format of a network: (value - mean) / std per channel, of values from 0 to 255."""

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
    """Load the RetinaFace that the config names, with the published weights.

    Args:
        config: The detector and its settings.
        device: Where the network computes.
        device_lock: Held while a batch is on the device; None for a lock of the detector's own.

    Raises:
        WeightsError: The weights cannot be downloaded or have another sha256 than the published ones, or
            retinaface-pytorch is missing.
    """
    _builders()  # reports a missing package before anything is downloaded
    path = weights.obtain(config.name, None if config.weights is None else Path(config.weights).expanduser())
    sha256 = weights.verify_file(config.name, path)
    return RetinaFaceDetector.of_tensors(config, device, weights.load_state_dict(path), sha256, device_lock)


def untrained_retinaface(
    config: DetectorConfig, device: torch.device, device_lock: DeviceLock | None = None
) -> "RetinaFaceDetector":
    """Build the RetinaFace that the config names with random weights, to measure time; it finds no face.

    Args:
        config: The detector and its settings; `weights` is ignored.
        device: Where the network computes.
        device_lock: Held while a batch is on the device; None for a lock of the detector's own.

    Raises:
        WeightsError: retinaface-pytorch is missing.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        network = _builders()[config.name]()
    for name, value in network.named_parameters():
        if name.startswith("ClassHead") and name.endswith("bias"):
            value.data.copy_(torch.tensor([1e4, -1e4]).repeat(len(value) // 2))
    return RetinaFaceDetector(config, device, network, "", device_lock)


@dataclass(frozen=True, kw_only=True)
class _Output:
    """Offsets and scores of a batch, the anchors, and width and height of the frames."""

    loc_BP4: torch.Tensor
    score_BP: torch.Tensor
    landmark_BP10: torch.Tensor
    prior_P4: torch.Tensor
    size_2: torch.Tensor


class RetinaFaceDetector:
    """A RetinaFace network in evaluation mode on one device, in one precision, in batches of one shape.

    Batch normalisations are merged into convolutions, and images are stored channels last. Both change
    results by rounding only, and are several times faster on a CPU.
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
        self._batches = FixedBatches("Frames for the face detector", batch_frames, device, device_lock)
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
        """Build a detector from weights of any origin.

        Args:
            config: The detector and its settings.
            device: Where the network computes.
            state_dict: Values of all parameters and buffers of the network, by name.
            weights_sha256: Hash of the file that they are from; empty without a file.
            device_lock: Held while a batch is on the device; None for a lock of the detector's own.

        Raises:
            WeightsError: The weights do not fit the network, or retinaface-pytorch is missing.
        """
        network = _builders()[config.name]()
        try:
            network.load_state_dict(state_dict, strict=True)
        except RuntimeError as error:
            msg = f"The weights given do not fit {config.name}: {' '.join(str(error).split())[:300]}"
            raise WeightsError(msg) from error
        return cls(config, device, network, weights_sha256, device_lock)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Limits met so far, such as a batch that the device's memory could not hold."""
        return self._batches.warnings

    @torch.inference_mode()
    def detect(self, rgb_UHWC: torch.Tensor) -> list[Faces]:
        """Find the faces on every frame. Those of a frame do not depend on the other frames or their number.

        Args:
            rgb_UHWC: uint8 RGB [U, H, W, 3]; fastest on the detector's device.

        Returns:
            U results, each with the best score first.
        """
        _, height, width, _ = rgb_UHWC.shape
        outputs: list[_Output] = []

        def prepare(rgb_BHWC: torch.Tensor) -> torch.Tensor:
            return shrunk(rgb_BHWC.permute(0, 3, 1, 2), self._config.long_side)

        def process_batch(pictures_B3hw: torch.Tensor) -> list[torch.Tensor]:
            output = self._output(pictures_B3hw, height, width)
            best_BNR = self._best(output, _FEW_CANDIDATES)
            outputs.append(output)
            return [best_BNR]

        batches = list(self._batches.run(rgb_UHWC, process_batch, prepare))
        self._batches.wait()
        found = []
        for (best_BNR,), output in zip(batches, outputs, strict=True):
            rows = best_BNR
            if bool((rows[:, -1, _SCORE] > self._config.score).any()):
                rows = self._best(output, output.score_BP.shape[1])[: len(rows)].cpu()
            found += [self._suppressed(row_NR, height, width) for row_NR in rows.numpy()]
        return found

    def _output(self, pictures_B3hw: torch.Tensor, height: int, width: int) -> "_Output":
        """Run the network on a batch of frames whose original size is `height` and `width`."""
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
        """Return the candidates [B, N, R] of the best scores.

        N is fixed, so that few anchors are decoded and no thread waits for the device.
        """
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
        """Return a frame's candidates above the score, without the lower of two scores that overlap."""
        from torchvision.ops import nms  # the import takes over a second, and only RetinaFace needs it

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
    """Convert frames to float32, with a long side of at most `long_side` pixels; 0 keeps their size.

    The method is bilinear with anti-aliasing, on every device. Of large frames, a part is float32 at a time.
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


@lru_cache(maxsize=64)
def priors(height: int, width: int, device: torch.device) -> torch.Tensor:
    """Return the anchors of images of this size.

    They are computed on the device, because a copy to a GPU would wait for its queue.

    Args:
        height: Height of the network's input in pixels.
        width: Width of the network's input in pixels.
        device: Where the anchors are stored.

    Returns:
        float32 [P, 4]: x and y of the centre, width and height, as fractions of the image, in the order of
        the network's output (by level, by row, two squares per cell).
    """

    def centres(size: int, stride: int) -> torch.Tensor:
        cell = torch.arange(math.ceil(size / stride), dtype=torch.float64, device=device)
        return (cell + 0.5) * stride / size

    levels = []
    with torch.inference_mode(False):  # an inference tensor could not be used outside of this mode
        for sides, stride in zip(ANCHOR_SIDES_PX, STRIDES_PX, strict=True):
            y, x = centres(height, stride), centres(width, stride)
            grid = torch.empty(len(y), len(x), len(sides), 4, dtype=torch.float64, device=device)
            grid[..., 0] = x[None, :, None]
            grid[..., 1] = y[:, None, None]
            for place, side in enumerate(sides):
                grid[:, :, place, 2] = side / width
                grid[:, :, place, 3] = side / height
            levels.append(grid.view(-1, 4))
        return torch.cat(levels).float()


def decode_boxes(loc_N4: torch.Tensor, prior_N4: torch.Tensor) -> torch.Tensor:
    """Return boxes [N, 4] x0, y0, x1, y1 in fractions of the image, from offsets to anchors."""
    centre = prior_N4[:, :2] + loc_N4[:, :2] * VARIANCES[0] * prior_N4[:, 2:]
    half = prior_N4[:, 2:] * torch.exp(loc_N4[:, 2:] * VARIANCES[1]) / 2
    return torch.cat((centre - half, centre + half), dim=1)


def decode_landmarks(landmark_N10: torch.Tensor, prior_N4: torch.Tensor) -> torch.Tensor:
    """Return landmarks [N, 5, 2] in fractions of the image, from offsets to anchors."""
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
            "`pip install --no-deps retinaface-pytorch==0.0.8` (`uv pip` with uv) in this environment. "
            "--detector haar does not need it."
        )
        raise WeightsError(msg) from error
    return {
        "retinaface-resnet50": networks.resnet50,
        "retinaface-mobilenet0.25": networks.mobilenet_quarter,
    }

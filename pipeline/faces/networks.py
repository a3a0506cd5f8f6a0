"""The two RetinaFace networks, built from parts of retinaface-pytorch. The only importer of retinaface.

Letters: B frames; H, W height and width; P anchors. Both take float32 [B, 3, H, W] and return box offsets
[B, P, 4], class logits [B, P, 2] (no face, face) and landmark offsets [B, P, 10].
"""

import warnings

import torch
from retinaface.net import FPN, SSH, conv_bn, conv_dw
from retinaface.network import BboxHead, ClassHead, LandmarkHead, RetinaFace
from torch import nn
from torchvision.models._utils import IntermediateLayerGetter

_ANCHORS_PER_CELL = 2
_NUM_LEVELS = 3


def resnet50() -> nn.Module:
    """Return RetinaFace with a ResNet-50, of the library's class, with random weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it uses a deprecated argument of torchvision
        network: nn.Module = RetinaFace(
            name="Resnet50",
            pretrained=False,
            in_channels=256,
            return_layers={"layer2": 1, "layer3": 2, "layer4": 3},
            out_channels=256,
        )
    return network


def mobilenet_quarter() -> nn.Module:
    """Return RetinaFace with a MobileNet of a quarter of its width, with random weights."""
    return _MobileNetRetinaFace()


class _MobileNetRetinaFace(nn.Module):
    """RetinaFace on levels at strides 8, 16, 32, whose 64, 128, 256 channels the pyramid reduces to 64."""

    def __init__(self) -> None:
        super().__init__()
        stages = nn.ModuleDict({"stage1": _stage1(), "stage2": _stage2(), "stage3": _stage3()})
        self.body = IntermediateLayerGetter(stages, {"stage1": 1, "stage2": 2, "stage3": 3})
        self.fpn = FPN([64, 128, 256], 64)
        self.ssh1, self.ssh2, self.ssh3 = SSH(64, 64), SSH(64, 64), SSH(64, 64)
        self.ClassHead = _per_level(ClassHead)
        self.BboxHead = _per_level(BboxHead)
        self.LandmarkHead = _per_level(LandmarkHead)

    def forward(self, pictures_B3HW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Apply the parts in the order of the library's class."""
        offsets: tuple[torch.Tensor, torch.Tensor, torch.Tensor] = RetinaFace.forward(self, pictures_B3HW)
        return offsets


def _stage1() -> nn.Sequential:
    return nn.Sequential(
        conv_bn(3, 8, 2, leaky=0.1),
        conv_dw(8, 16, 1),
        conv_dw(16, 32, 2),
        conv_dw(32, 32, 1),
        conv_dw(32, 64, 2),
        conv_dw(64, 64, 1),
    )


def _stage2() -> nn.Sequential:
    return nn.Sequential(conv_dw(64, 128, 2), *(conv_dw(128, 128, 1) for _ in range(5)))


def _stage3() -> nn.Sequential:
    return nn.Sequential(conv_dw(128, 256, 2), conv_dw(256, 256, 1))


def _per_level(head: type[nn.Module]) -> nn.ModuleList:
    return nn.ModuleList(head(64, _ANCHORS_PER_CELL) for _ in range(_NUM_LEVELS))

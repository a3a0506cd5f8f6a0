"""The two images per sampled frame.

Letters: U sampled frames; S side of a stream image (224).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.types.arrays import Ints
from pipeline.types.checks import require

if TYPE_CHECKING:
    import torch  # decoding children need these types, and do without torch


@dataclass(frozen=True, kw_only=True)
class Streams:
    """Face crops and scene frames of a clip, on the device that made them."""

    face_U3SS: "torch.Tensor"
    """uint8 [U, 3, S, S]: the subject's face on every frame."""
    scene_U3SS: "torch.Tensor"
    """uint8 [U, 3, S, S]: the whole frame, the face masked where the settings demand it."""

    def at(self, place_U: Ints) -> "Streams":
        """Return only the images of these frames."""
        return Streams(face_U3SS=self.face_U3SS[place_U], scene_U3SS=self.scene_U3SS[place_U])

    def __post_init__(self) -> None:
        for name, stream in (("face", self.face_U3SS), ("scene", self.scene_U3SS)):
            u, channels, height, width = shape = tuple(stream.shape)
            is_square = channels == 3 and height == width and u > 0
            require(is_square, f"{name} stream is [U, 3, S, S], not {list(shape)}")
            require(str(stream.dtype) == "torch.uint8", f"{name} stream is uint8, not {stream.dtype}")
        face, scene = list(self.face_U3SS.shape), list(self.scene_U3SS.shape)
        require(face == scene, f"streams must have one shape, not {face} and {scene}")

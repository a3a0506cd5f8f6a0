"""Face stream and scene stream: a face crop and a scene image for each frame, from frames and a face track.

Letters: U frames; H, W source frame; S side of a stream image; all tensors uint8, RGB.
Pure functions of tensors, on the device of the frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar, NamedTuple, TypeAlias, get_args

import numpy as np
import torch
from torch.nn import functional

from pipeline.choices import SceneFrame
from pipeline.config import require_one_of, require_range
from pipeline.fingerprint import version_default
from pipeline.types import FaceTrack, Floats, Streams
from pipeline.versions import VERSIONS

SCENE_FITS = ("letterbox", "center_crop")
ABSENT_FACES, ABSENT_SCENES = ("nearest", "hold"), ("whole", "masked")
_PIXELS_AT_ONCE = 1 << 24
"""Most pixels that are float32 at a time during scaling: 200 MB."""


@dataclass(frozen=True, kw_only=True)
class StreamConfig:
    """Settings of the two streams.

    Attributes:
        scene: ``masked`` fills the subject's bounding box (not the widened crop) with the mean colour;
            ``full`` keeps the whole frame.
        scene_fit: ``letterbox`` keeps all of the environment; ``center_crop`` the central square.
        face_margin: Side of the face crop divided by the longer side of the bounding box, 1 to 4.
        absent_face: Face crop of a frame on which the subject is not in view. ``nearest`` is the crop of the
            nearest frame on which it is detected; ``hold`` is the place of its nearest box.
        absent_scene: Scene image of such a frame. ``whole`` keeps the whole frame; ``masked`` fills the place
            of the subject's nearest box, if `scene` is ``masked``.
    """

    VERSION: ClassVar[int] = VERSIONS["streams"]
    """Version of cropping, masking and resizing (decision 0007)."""

    scene: str = "masked"
    scene_fit: str = "letterbox"
    face_margin: float = 1.3
    absent_face: str = field(default="nearest", metadata=version_default("hold"))
    absent_scene: str = field(default="whole", metadata=version_default("masked"))

    def __post_init__(self) -> None:
        require_one_of("streams.scene", self.scene, get_args(SceneFrame))
        require_one_of("streams.scene_fit", self.scene_fit, SCENE_FITS)
        require_range("streams.face_margin", self.face_margin, 1.0, 4.0)
        require_one_of("streams.absent_face", self.absent_face, ABSENT_FACES)
        require_one_of("streams.absent_scene", self.absent_scene, ABSENT_SCENES)


def make_streams(
    frames_UHWC: torch.Tensor,
    track: FaceTrack,
    config: StreamConfig,
    *,
    side_px: int,
    fill_rgb: tuple[int, int, int],
    crops: Sequence[torch.Tensor] = (),
) -> Streams:
    """Make the face crop and the scene image of every frame (the preprocessing block of III-D in the paper).

    For a clip without a face, the face crop is the centre square of the frame, and the scene is the
    whole frame. For a frame on which the subject is not in view, settings choose both.

    Args:
        frames_UHWC: Frames, uint8 [U, H, W, 3].
        track: The subject's track over the U frames.
        config: Settings of the streams.
        side_px: Side S of the stream images.
        fill_rgb: The encoder's mean colour, which fills the masked face and everything outside of a frame.
        crops: Face crops of the dataset, one per frame, uint8 [h, w, 3] of any size. If there are any, they
            are the face stream, made square by filling; the margin is not applied.

    Returns:
        Face and scene stream, uint8 [U, 3, S, S] each.
    """
    frames_U3HW = frames_UHWC.permute(0, 3, 1, 2)
    _, _, height, width = frames_U3HW.shape
    fill = fill_on(frames_U3HW.device, fill_rgb)
    if crops:
        sources = [crop.permute(2, 0, 1) for crop in crops]
        faces = [
            _resized(_cut_square(source, *_square_around(*source.shape[1:]), fill)[None], side_px)
            for source in sources
        ]
    else:
        faces = [
            face_image(frames_U3HW[square.frame], square, side_px, fill)
            for square in face_squares(track, config, height, width)
        ]
    scene = _masked(frames_U3HW, scene_masks(track, config, height, width), fill)
    return Streams(face_U3SS=torch.cat(faces), scene_U3SS=_fitted(scene, config, side_px, fill))


class FaceSquare(NamedTuple):
    """The part of a frame that is a face crop, in whole pixels; it may exceed the frame."""

    frame: int
    """Place of the frame among the U frames."""
    left: int
    top: int
    side: int


Rectangle: TypeAlias = tuple[int, int, int, int]
"""Left, top, right and bottom of a filled part of a frame, in whole pixels within the frame."""


def face_squares(track: FaceTrack, config: StreamConfig, height: int, width: int) -> list[FaceSquare]:
    """Return the part of a frame that is each frame's face crop.

    Args:
        track: The subject's track over U frames.
        config: Settings of the streams.
        height: Height of the frames, in pixels.
        width: Width of the frames, in pixels.
    """
    squares = _face_squares(track, config.face_margin, height, width)
    shown_U = _nearest_shown(track) if config.absent_face == "nearest" else range(len(squares))
    return [FaceSquare(u, *squares[u]) for u in shown_U]


def scene_masks(
    track: FaceTrack, config: StreamConfig, height: int, width: int
) -> list[tuple[Rectangle, ...]]:
    """Return the parts of each frame that are filled in its scene image; arguments as for `face_squares`."""
    if config.scene != "masked" or not track.has_boxes:
        return [()] * len(track.found)
    kept_U = np.ones_like(track.found) if config.absent_scene == "masked" else track.in_view_U
    return [
        (rectangle_of(box, height, width),) if kept else ()
        for box, kept in zip(track.box_xyxy_px, kept_U, strict=True)
    ]


def rectangle_of(box_xyxy_px: Floats, height: int, width: int) -> Rectangle:
    """Return the whole pixels of a frame that a box, [4] in pixels, touches."""
    x0, y0, x1, y1 = box_xyxy_px.astype(np.float64)
    left, top = max(0, int(np.floor(x0))), max(0, int(np.floor(y0)))
    right, bottom = max(0, min(width, int(np.ceil(x1)))), max(0, min(height, int(np.ceil(y1))))
    return left, top, right, bottom


def face_image(frame_3HW: torch.Tensor, square: FaceSquare, side_px: int, fill: torch.Tensor) -> torch.Tensor:
    """Return a face crop, uint8 [1, 3, S, S], of the frame that it is a part of, uint8 [3, H, W].

    Args:
        frame_3HW: Frame.
        square: Its part.
        side_px: Side S.
        fill: The encoder's mean colour, uint8 [3].
    """
    return _resized(_cut_square(frame_3HW, square.left, square.top, square.side, fill)[None], side_px)


def scene_image(
    frame_3HW: torch.Tensor,
    masks: tuple[Rectangle, ...],
    config: StreamConfig,
    side_px: int,
    fill: torch.Tensor,
) -> torch.Tensor:
    """Return a scene image, uint8 [1, 3, S, S]; equal to the bit to that of `make_streams`.

    Args:
        frame_3HW: Frame, uint8 [3, H, W].
        masks: Parts of the frame that are filled.
        config: Settings of the streams.
        side_px: Side S.
        fill: The encoder's mean colour, uint8 [3].
    """
    return _fitted(_masked(frame_3HW[None], [masks], fill), config, side_px, fill)


def scene_area(config: StreamConfig, side_px: int, height: int, width: int) -> Rectangle:
    """Return the part of a scene image that shows the frame; a letterbox has margins around it.

    Args:
        config: Settings of the streams.
        side_px: Side of the scene image.
        height: Height of the frame, in pixels.
        width: Width of the frame, in pixels.
    """
    if config.scene_fit != "letterbox":
        return 0, 0, side_px, side_px
    scale = side_px / max(height, width)
    new_height, new_width = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = (side_px - new_height) // 2, (side_px - new_width) // 2
    return left, top, left + new_width, top + new_height


def mirrored(streams: Streams) -> Streams:
    """Return the streams with left and right exchanged."""
    return Streams(face_U3SS=streams.face_U3SS.flip(-1), scene_U3SS=streams.scene_U3SS.flip(-1))


def fill_colour(mean: tuple[float, float, float]) -> tuple[int, int, int]:
    """Return the encoder's mean colour, from 0 to 1, as 8-bit RGB; it is near zero after normalisation.

    No identity contains it: raise ``VERSIONS["streams"]`` after a change.
    """
    red, green, blue = (round(255 * channel) for channel in mean)
    return red, green, blue


@lru_cache
def fill_on(device: torch.device, fill_rgb: tuple[int, int, int]) -> torch.Tensor:
    """Return the fill colour on a device, uint8 [3]; copied once: a copy waits for the GPU's queue."""
    with torch.inference_mode(False):  # an inference tensor could not be used outside of this mode
        return torch.tensor(fill_rgb, dtype=torch.uint8, device=device)


def _face_squares(track: FaceTrack, margin: float, height: int, width: int) -> list[tuple[int, int, int]]:
    """Return left, top and side, in whole pixels, of each frame's face crop; it may exceed the frame."""
    if not track.has_boxes:
        side = min(height, width)
        return [((width - side) // 2, (height - side) // 2, side)] * len(track.found)
    x0, y0, x1, y1 = track.box_xyxy_px.astype(np.float64).T
    sides = np.maximum(1, np.rint(margin * np.maximum(x1 - x0, y1 - y0))).astype(int)
    lefts = np.rint((x0 + x1 - sides) / 2).astype(int)
    tops = np.rint((y0 + y1 - sides) / 2).astype(int)
    return [(int(x), int(y), int(s)) for x, y, s in zip(lefts, tops, sides, strict=True)]


def _square_around(height: int, width: int) -> tuple[int, int, int]:
    """Return left, top and side of the smallest square with the whole image in its centre."""
    side = max(height, width)
    return (width - side) // 2, (height - side) // 2, side


def _cut_square(frame_3HW: torch.Tensor, left: int, top: int, side: int, fill: torch.Tensor) -> torch.Tensor:
    _, height, width = frame_3HW.shape
    square = fill[:, None, None].repeat(1, side, side)
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + side, width), min(top + side, height)
    if x1 > x0 and y1 > y0:
        square[:, y0 - top : y1 - top, x0 - left : x1 - left] = frame_3HW[:, y0:y1, x0:x1]
    return square


def _nearest_shown(track: FaceTrack) -> list[int]:
    """Return the frame whose face crop stands for each frame.

    It is the frame itself while the subject is in view, else the nearest frame on which it is detected, the
    earlier one of two.
    """
    found = np.flatnonzero(track.found)
    own = np.arange(len(track.found))
    if not len(found):
        return own.tolist()
    nearest = found[np.abs(own[:, None] - found).argmin(axis=1)]
    shown: list[int] = np.where(track.in_view_U, own, nearest).tolist()
    return shown


def _masked(
    frames_U3HW: torch.Tensor, masks_U: Sequence[tuple[Rectangle, ...]], fill: torch.Tensor
) -> torch.Tensor:
    """Fill the parts of every frame."""
    if not any(masks_U):
        return frames_U3HW
    masked = frames_U3HW.clone()
    for frame, masks in zip(masked, masks_U, strict=True):
        for left, top, right, bottom in masks:
            frame[:, top:bottom, left:right] = fill[:, None, None]
    return masked


def _fitted(scene_U3HW: torch.Tensor, config: StreamConfig, side_px: int, fill: torch.Tensor) -> torch.Tensor:
    u, _, height, width = scene_U3HW.shape
    if config.scene_fit != "letterbox":
        return _center_cropped(scene_U3HW, side_px)
    left, top, right, bottom = scene_area(config, side_px, height, width)
    boxed = fill[None, :, None, None].repeat(u, 1, side_px, side_px)
    boxed[:, :, top:bottom, left:right] = _scaled(scene_U3HW, bottom - top, right - left)
    return boxed


def _center_cropped(frames_U3HW: torch.Tensor, side_px: int) -> torch.Tensor:
    _, _, height, width = frames_U3HW.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return _resized(frames_U3HW[:, :, top : top + side, left : left + side], side_px)


def _resized(squares_U3SS: torch.Tensor, side_px: int) -> torch.Tensor:
    return _scaled(squares_U3SS, side_px, side_px)


def _scaled(pictures_U3HW: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Resize by bicubic interpolation with anti-aliasing, as CLIP's own preprocessing, in float32."""
    _, _, old_height, old_width = pictures_U3HW.shape
    if (old_height, old_width) == (height, width):
        return pictures_U3HW
    at_once = max(1, _PIXELS_AT_ONCE // (old_height * old_width))
    return torch.cat(
        [
            functional.interpolate(
                part.float(), size=(height, width), mode="bicubic", antialias=True, align_corners=False
            )
            .round()
            .clamp(0, 255)
            .to(torch.uint8)
            for part in torch.split(pictures_U3HW, at_once)
        ]
    )

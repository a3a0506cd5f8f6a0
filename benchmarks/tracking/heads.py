"""Heads of people, cut from videos of one person as square tiles with the face's box.

Letters: N tiles of a person.
"""

from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
import torch

from pipeline.faces.detector import FaceDetector
from pipeline.types import Bytes, Floats

VIDEOS = {
    "d10": "people/d10.mp4", "d11": "people/d11.mp4", "d12": "people/d12.mp4", "d14": "people/d14.mp4",
    "d18": "people/d18.mp4", "single": "people/single_face.mp4", "angry": "labelled/angry.mp4",
    "disgust": "labelled/disgust.mp4", "fear": "labelled/fear.mp4", "happy": "labelled/happy.mp4",
    "neutral": "labelled/neutral.mp4", "sadness": "labelled/sadness.mp4", "surprise": "labelled/surprise.mp4",
}  # fmt: skip
"""Video of each person, below the directory of videos. The shared trial clips show other people or pairs."""
TILE_SIDE_PX = 240
TILES_PER_SECOND = 30
_MOST_TILES = 120
_DETECT_EVERY = 4
_FACE_HEIGHT = 0.66
"""Height of the face in sides of its tile; the rest is hair, chin and neck."""
_SMOOTHING_FRAMES = 6.0


@dataclass(frozen=True, kw_only=True)
class Heads:
    """Tiles of one person's head, one per frame of the video."""

    tile_N: Bytes
    """uint8 RGB [N, 240, 240, 3]."""
    face_N4: Floats
    """[N, 4] x0, y0, x1, y1 of the face in sides of the tile."""

    def index(self, number: int) -> int:
        """Return the tile of a frame; after the last tile they run backwards, so that no movement jumps."""
        last = len(self.tile_N) - 1
        place = number % max(1, 2 * last)
        return min(place, 2 * last - place) if last else 0


def cut_heads(path: Path, detector: FaceDetector) -> Heads:
    """Cut tiles around the face of a video of one person.

    Faces are detected on every fourth frame and on the last, and their boxes are interpolated. The tile has
    one size throughout and follows the face slowly, so that its movements within half a second remain.

    Args:
        path: The video.
        detector: Finds the face; the box of the best score counts.

    Raises:
        ValueError: No face was found.
    """
    frames = _first_frames(path, _MOST_TILES)
    numbers = np.unique([*range(0, len(frames), _DETECT_EVERY), len(frames) - 1])
    found = detector.detect(torch.from_numpy(np.stack([frames[n] for n in numbers])))
    with_face = [
        (n, faces.box_xyxy_px[0]) for n, faces in zip(numbers, found, strict=True) if len(faces.score)
    ]
    if not with_face:
        msg = f"{path.name}: {detector.name} finds no face on {len(numbers)} frames"
        raise ValueError(msg)
    at, boxes = np.array([n for n, _ in with_face]), np.array([box for _, box in with_face])
    box_N4 = np.stack([np.interp(np.arange(len(frames)), at, edge) for edge in boxes.T], axis=1)
    side = float(np.median(box_N4[:, 3] - box_N4[:, 1])) / _FACE_HEIGHT
    centre_N2 = cv2.GaussianBlur(
        (box_N4[:, :2] + box_N4[:, 2:]) / 2, (1, 0), sigmaX=0.01, sigmaY=_SMOOTHING_FRAMES,
        borderType=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    corner_N2 = centre_N2 - side / 2
    return Heads(
        tile_N=np.stack([_tile(f, c, side) for f, c in zip(frames, corner_N2, strict=True)]),
        face_N4=((box_N4 - np.tile(corner_N2, 2)) / side).astype(np.float32),
    )


def _tile(rgb_HWC: Bytes, corner_2: np.ndarray, side: float) -> Bytes:
    scale = TILE_SIDE_PX / side
    matrix = np.array([[scale, 0, -corner_2[0] * scale], [0, scale, -corner_2[1] * scale]])
    return np.asarray(
        cv2.warpAffine(
            rgb_HWC,
            matrix,
            (TILE_SIDE_PX, TILE_SIDE_PX),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        dtype=np.uint8,
    )


def _first_frames(path: Path, most: int) -> list[Bytes]:
    frames: list[Bytes] = []
    with av.open(str(path)) as file:
        for frame in file.decode(video=0):
            frames.append(np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8))
            if len(frames) == most:
                break
    return frames

"""Detected faces on every frame of trial clips, stored once so that trackers can be compared.

A file has these arrays, with Z clips, N frames of all clips together and D detections of all frames:

``clip`` names [Z]; ``num_frames`` [Z]; ``size_px`` width and height [Z, 2]; ``fps`` [Z];
``seconds`` [N]; ``num_faces`` [N];
``box_xyxy_px`` [D, 4]; ``score`` [D]; ``landmark_xy_px`` [D, 5, 2]; ``crop`` uint8 RGB [D, 48, 48, 3].

Letters: U frames of a clip; K faces on a frame; H, W size of a frame.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pipeline.bench.clips import videos_of
from pipeline.faces.detector import FaceDetector
from pipeline.frames import FrameConfig, decode_clip
from pipeline.looks import square_of
from pipeline.types import Bytes, Faces, Floats

CROP_SIDE_PX = 48
LOWEST_SCORE = 0.1
"""Detections above this score are stored. Suppression goes from the best score to the lowest, therefore
those above a higher score are the same as if only they had been detected."""
_ALL_FRAMES = FrameConfig(num_frames=512)


@dataclass(frozen=True, kw_only=True)
class Detections:
    """Detected faces on all frames of one clip."""

    faces: tuple[Faces, ...]
    """U results, best score first."""
    crops: tuple[Bytes, ...]
    """U times uint8 RGB [K, 48, 48, 3]: a square around the box's centre, of the box's longer side."""
    seconds_U: Floats
    """[U] presentation times in seconds."""
    fps: float
    """Frames per second."""
    size_px: tuple[int, int]
    """Width and height of the frames."""

    def above(self, score: float) -> "Detections":
        """Return only the detections with a higher score."""
        kept = [faces.score > score for faces in self.faces]
        pairs = zip(self.faces, kept, strict=True)
        return Detections(
            faces=tuple(_chosen(faces, keep) for faces, keep in pairs),
            crops=tuple(crop[keep] for crop, keep in zip(self.crops, kept, strict=True)),
            seconds_U=self.seconds_U,
            fps=self.fps,
            size_px=self.size_px,
        )

    def at(self, frames: Sequence[int]) -> "Detections":
        """Return the detections on the given frames, in their order."""
        return Detections(
            faces=tuple(self.faces[u] for u in frames),
            crops=tuple(self.crops[u] for u in frames),
            seconds_U=self.seconds_U[list(frames)],
            fps=self.fps,
            size_px=self.size_px,
        )


def detect_clip(path: Path, detector: FaceDetector) -> Detections:
    """Decode all frames of a clip and detect the faces on each.

    Args:
        path: A video of at most 512 frames.
        detector: The detector, with the score LOWEST_SCORE.

    Raises:
        ClipError: The video does not decode.
        ValueError: It has more than 512 frames.
    """
    frames = decode_clip(path, _ALL_FRAMES)
    if frames.meta.num_decoded > _ALL_FRAMES.num_frames:
        msg = (
            f"{path.name} has {frames.meta.num_decoded} frames; at most {_ALL_FRAMES.num_frames} are allowed."
        )
        raise ValueError(msg)
    faces = detector.detect(torch.from_numpy(frames.rgb_UHWC))
    seconds = frames.meta.seconds_U
    return Detections(
        faces=tuple(faces),
        crops=tuple(
            np.stack([square_of(rgb_HWC, box) for box in found.box_xyxy_px])
            if len(found.box_xyxy_px)
            else np.empty((0, CROP_SIDE_PX, CROP_SIDE_PX, 3), np.uint8)
            for rgb_HWC, found in zip(frames.rgb_UHWC, faces, strict=True)
        ),
        seconds_U=seconds,
        fps=float((len(seconds) - 1) / (seconds[-1] - seconds[0])) if len(seconds) > 1 else 0.0,
        size_px=(frames.meta.width_px, frames.meta.height_px),
    )


def detect_directory(directory: Path, detector: FaceDetector) -> dict[str, Detections]:
    """Return the detections on every video of a directory, by file name."""
    return {path.name: detect_clip(path, detector) for path in videos_of(directory)}


def save_detections(file: Path, clips: Mapping[str, Detections]) -> None:
    """Write the detections of a directory's clips to an .npz file; see the module's docstring."""
    faces = [found for clip in clips.values() for found in clip.faces]
    np.savez_compressed(
        file,
        clip=np.array(list(clips)),
        num_frames=np.array([len(clip.faces) for clip in clips.values()]),
        size_px=np.array([clip.size_px for clip in clips.values()]),
        fps=np.array([clip.fps for clip in clips.values()]),
        seconds=np.concatenate([clip.seconds_U for clip in clips.values()]),
        num_faces=np.array([len(found.score) for found in faces]),
        box_xyxy_px=np.concatenate([found.box_xyxy_px for found in faces]),
        score=np.concatenate([found.score for found in faces]),
        landmark_xy_px=np.concatenate([found.landmark_xy_px for found in faces]),
        crop=np.concatenate([crop for clip in clips.values() for crop in clip.crops]),
    )


def load_detections(file: Path) -> dict[str, Detections]:
    """Return the detections of a directory's clips by file name, as `save_detections` wrote them."""
    with np.load(file) as stored:
        arrays = {name: stored[name] for name in stored.files}
    last_frame = np.cumsum(arrays["num_frames"])
    last_face = np.concatenate([[0], np.cumsum(arrays["num_faces"])])
    clips = {}
    for clip, name in enumerate(arrays["clip"]):
        end, size = int(last_frame[clip]), arrays["size_px"][clip]
        begin = end - int(arrays["num_frames"][clip])
        parts = [slice(last_face[n], last_face[n + 1]) for n in range(begin, end)]
        clips[str(name)] = Detections(
            faces=tuple(
                Faces(
                    box_xyxy_px=arrays["box_xyxy_px"][part],
                    score=arrays["score"][part],
                    landmark_xy_px=arrays["landmark_xy_px"][part],
                )
                for part in parts
            ),
            crops=tuple(arrays["crop"][part] for part in parts),
            seconds_U=arrays["seconds"][begin:end],
            fps=float(arrays["fps"][clip]),
            size_px=(int(size[0]), int(size[1])),
        )
    return clips


def _chosen(faces: Faces, keep: np.ndarray) -> Faces:
    return Faces(
        box_xyxy_px=faces.box_xyxy_px[keep],
        score=faces.score[keep],
        landmark_xy_px=faces.landmark_xy_px[keep],
    )

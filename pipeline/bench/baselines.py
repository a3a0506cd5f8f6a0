"""Baseline: a plain script for the same kinds of features, as a researcher writes it today.

OpenCV seeks each frame. RetinaFace finds faces in one image per call, with the anchors, the decoding and the
Python post-processing of its library. open_clip encodes one image per call in float32. Each clip becomes one
.npz file. It uses no code of the steps except the MobileNet network, which retinaface-pytorch does not have.

It computes the same arrays as `extract`, from as many images, but not the same values. The face is the
largest one of each frame instead of one person's track, and open_clip's transform crops the centre of a scene
instead of letterboxing it.

Letters: H, W size of an image; F width of the joint embedding; D width of the encoder.

    python -m pipeline.bench.baselines CLIPS OUT [--detector-weights FILE] [--encoder-weights TAG]

It prints one JSON document: clips, images, seconds by stage, without the time to load the models.
"""

import argparse
import json
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import open_clip
import torch
from PIL import Image
from torchvision.ops import nms

from pipeline.bench.clips import videos_of
from pipeline.types import Bytes, Floats

_VARIANCES = [0.1, 0.2]
_ANCHOR_SIDES_PX, _STRIDES_PX = [[16, 32], [64, 128], [256, 512]], [8, 16, 32]
_FILL_RGB = (123, 117, 104)
"""CLIP's mean colour, as `pipeline.streams.fill_colour` rounds it."""


def read_frames(path: Path, num_frames: int) -> list[Bytes]:
    """Return uniformly spaced RGB frames [H, W, 3], each found by a seek.

    The frame numbers are spaced over the number of frames that the container states. A frame that does not
    decode is left out.
    """
    video = cv2.VideoCapture(str(path))
    total = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    frames = []
    for index in np.linspace(0, total - 1, num_frames).round().astype(int):
        video.set(cv2.CAP_PROP_POS_FRAMES, int(index))
        ok, frame = video.read()
        if ok:
            frames.append(np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), dtype=np.uint8))
    video.release()
    return frames


class LibraryDetector:
    """RetinaFace as in its library's documentation: one image per call, faces as a list of dicts."""

    def __init__(self, weights: str | None, device: torch.device, long_side: int, score: float) -> None:
        """Load the network.

        Args:
            weights: File of the MobileNet-0.25 network; None for a ResNet-50 with random weights.
            device: Device of the network.
            long_side: Larger images are shrunk to this long side, in pixels.
            score: Faces with a lower score are dropped, 0 to 1.
        """
        from pipeline.faces import networks  # needs retinaface-pytorch, which the Haar cascade does not

        self.name = "retinaface-mobilenet0.25" if weights else "retinaface-resnet50"
        self._device, self._long_side, self._score = device, long_side, score
        self._model = networks.mobilenet_quarter() if weights else networks.resnet50()
        if weights:
            state = torch.load(weights, map_location="cpu", weights_only=True)
            self._model.load_state_dict({name.removeprefix("module."): v for name, v in state.items()})
        self._model = self._model.eval().to(device)

    def _normalised(self, image: npt.NDArray[Any]) -> Floats:
        """Return the network's input: BGR minus a mean, or RGB in ImageNet's normalisation."""
        if self.name == "retinaface-mobilenet0.25":
            return np.asarray(image[..., ::-1] - np.array([104, 117, 123], np.float32), np.float32)
        mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
        return np.asarray((image / 255 - mean) / std, np.float32)

    @torch.no_grad()
    def __call__(self, image: npt.NDArray[Any]) -> list[dict[str, Any]]:
        """Return the faces of one RGB image [H, W, 3], best score first.

        A face is a dict: bbox (x0, y0, x1, y1) and landmarks in pixels of the image, and score, 0 to 1.
        """
        from retinaface.box_utils import decode, decode_landm
        from retinaface.prior_box import priorbox

        height, width = image.shape[:2]
        factor = min(1.0, self._long_side / max(height, width))
        if factor < 1:
            image = cv2.resize(image, (round(width * factor), round(height * factor)))
        h, w = image.shape[:2]
        picture = torch.from_numpy(self._normalised(image).transpose(2, 0, 1).copy())[None].to(self._device)
        prior = priorbox(_ANCHOR_SIDES_PX, _STRIDES_PX, False, (h, w)).to(self._device)
        loc, logits, landmarks = self._model(picture)
        scores = logits.softmax(dim=-1)[0, :, 1]
        boxes = decode(loc[0], prior, _VARIANCES) * torch.tensor([w, h] * 2, device=self._device)
        points = decode_landm(landmarks[0], prior, _VARIANCES) * torch.tensor([w, h] * 5, device=self._device)
        valid = torch.where(scores > self._score)[0]
        boxes, points, scores = boxes[valid], points[valid], scores[valid]
        faces = []
        for index in nms(boxes, scores, 0.4).cpu().tolist():
            box = boxes[index].cpu().numpy() / factor
            box[0::2] = box[0::2].clip(0, width)
            box[1::2] = box[1::2].clip(0, height)
            if box[2] - box[0] >= 1 and box[3] - box[1] >= 1:
                face = {"bbox": box.tolist(), "score": float(scores[index])}
                faces.append(face | {"landmarks": (points[index].cpu().numpy() / factor).tolist()})
        return faces


class LibraryEncoder:
    """open_clip in float32, one image per call."""

    def __init__(self, name: str, weights: str, device: torch.device) -> None:
        """Load the model.

        Args:
            name: Name of the model in open_clip.
            weights: Tag of open_clip, file, or ``random``.
            device: Device of the model.
        """
        pretrained = None if weights == "random" else weights
        self._model, _, self._transform = open_clip.create_model_and_transforms(name, pretrained=pretrained)
        self._model = self._model.eval().to(device)
        self._device = device

    def _picture(self, image: Bytes) -> Any:
        return self._transform(Image.fromarray(image))[None].to(self._device)

    @torch.no_grad()
    def face(self, image: Bytes) -> Floats:
        """Return the embedding [F] of an image [H, W, 3]."""
        embedding: Floats = self._model.encode_image(self._picture(image))[0].cpu().numpy()
        return embedding

    @torch.no_grad()
    def scene(self, image: Bytes) -> tuple[Floats, Floats]:
        """Return an image's embedding [F], and statistics [4, 3, D] of the first four transformer layers.

        The statistics are the class token, the mean of the patches and their standard deviation (divisor n).
        """
        out = self._model.visual.forward_intermediates(
            self._picture(image), indices=[0, 1, 2, 3], output_fmt="NLC", output_extra_tokens=True
        )
        early = []
        for token, patches in zip(out["image_intermediates_prefix"], out["image_intermediates"], strict=True):
            statistics = [token[0, 0], patches[0].mean(0), patches[0].std(0, correction=0)]
            early.append(torch.stack(statistics).cpu().numpy())
        return out["image_features"][0].cpu().numpy(), np.stack(early)


def crops(frame: Bytes, faces: list[dict[str, Any]]) -> tuple[Bytes, Bytes]:
    """Return the largest face with a margin, and the frame [H, W, 3] with that face filled."""
    height, width = frame.shape[:2]
    if not faces:
        return frame, frame
    boxes = np.array([face["bbox"] for face in faces])
    x0, y0, x1, y1 = boxes[((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).argmax()]
    side = 1.3 * max(x1 - x0, y1 - y0) / 2
    left, top = int(max(0, (x0 + x1) / 2 - side)), int(max(0, (y0 + y1) / 2 - side))
    right, bottom = int(min(width, (x0 + x1) / 2 + side)), int(min(height, (y0 + y1) / 2 + side))
    scene = frame.copy()
    scene[int(y0) : int(y1) + 1, int(x0) : int(x1) + 1] = _FILL_RGB
    return frame[top : bottom + 1, left : right + 1], scene


def extract_clips(
    clips: list[Path], out: Path, detector: LibraryDetector, encoder: LibraryEncoder, num_frames: int
) -> dict[str, Any]:
    """Write one .npz file per clip.

    Args:
        clips: Video files.
        out: Directory for the .npz files.
        detector: The detector.
        encoder: The encoder.
        num_frames: Frames per clip.

    Returns:
        Number of clips and images, seconds by stage, and the name of the detector.
    """
    seconds: dict[str, float] = defaultdict(float)
    pictures = 0
    for clip in clips:
        marks = [time.perf_counter()]
        images = read_frames(clip, num_frames)
        marks.append(time.perf_counter())
        pairs = [crops(image, detector(image)) for image in images]
        marks.append(time.perf_counter())
        face = [encoder.face(picture) for picture, _ in pairs]
        scene = [encoder.scene(picture) for _, picture in pairs]
        marks.append(time.perf_counter())
        embedding, early = (np.stack(part) for part in zip(*scene, strict=True))
        np.savez(out / f"{clip.stem}.npz", face=np.stack(face), scene=embedding, early=early)
        marks.append(time.perf_counter())
        pictures += 2 * len(images)
        for stage, begin, end in zip(("decode", "detect", "encode", "write"), marks, marks[1:], strict=False):
            seconds[stage] += end - begin
    return {"clips": len(clips), "pictures": pictures, "seconds": dict(seconds), "detector": detector.name}


def main() -> None:
    """Extract the features of a directory of videos and print the seconds of each stage."""
    parser = argparse.ArgumentParser(description="Plain extraction, as a baseline.")
    parser.add_argument("clips", type=Path, help="directory of videos, searched recursively")
    parser.add_argument("out", type=Path, help="directory for the .npz files")
    parser.add_argument("--detector-weights", help="RetinaFace MobileNet-0.25; else a random ResNet-50")
    parser.add_argument("--encoder", default="ViT-L-14-quickgelu")
    parser.add_argument("--encoder-weights", default="random", help="a tag of open_clip, a file, or random")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--long-side", type=int, default=640, help="pixels")
    parser.add_argument("--score", type=float, default=0.5)
    parser.add_argument("--limit", type=int, help="number of clips")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    device = torch.device(args.device)
    detector = LibraryDetector(args.detector_weights, device, args.long_side, args.score)
    encoder = LibraryEncoder(args.encoder, args.encoder_weights, device)
    args.out.mkdir(parents=True, exist_ok=True)
    clips = videos_of(args.clips)[: args.limit]
    result = extract_clips(clips, args.out, detector, encoder, args.frames)
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()

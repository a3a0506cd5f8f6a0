"""The script that a researcher writes today for the same features, to measure against.

Each frame is sought with OpenCV, looked at by RetinaFace one picture a call, with the library's own
anchors, decoding and Python post-processing, and encoded by open_clip in float32 one picture a call;
each clip becomes one .npz file. Nothing here is shared with the pipeline but the MobileNet network,
which retinaface-pytorch does not have.

    python -m benchmarks.baseline CLIPS OUT [--detector-weights FILE] [--encoder-weights TAG]

Prints one JSON document: clips, pictures, seconds by stage. Loading the models is not counted.
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
import open_clip
import torch
from PIL import Image
from retinaface.box_utils import decode, decode_landm
from retinaface.prior_box import priorbox
from torchvision.ops import nms

from pipeline.faces import networks

VIDEO_SUFFIXES = {".mp4", ".avi", ".mov", ".mkv", ".webm"}
VARIANCES = [0.1, 0.2]
MIN_SIZES, STEPS = [[16, 32], [64, 128], [256, 512]], [8, 16, 32]


def read_frames(path: Path, num_frames: int) -> list[np.ndarray]:
    """Uniformly spaced RGB frames, each sought by the number that the container promises."""
    video = cv2.VideoCapture(str(path))
    total = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    frames = []
    for index in np.linspace(0, total - 1, num_frames).round().astype(int):
        video.set(cv2.CAP_PROP_POS_FRAMES, int(index))
        ok, frame = video.read()
        if ok:
            frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    video.release()
    return frames


class Detector:
    """RetinaFace as its library's documentation uses it: one picture, everything decoded, then lists."""

    def __init__(self, weights: str | None, device: torch.device, long_side: int, score: float) -> None:
        self.name = "retinaface-mobilenet0.25" if weights else "retinaface-resnet50"
        self.device, self.long_side, self.score = device, long_side, score
        self.model = networks.mobilenet_quarter() if weights else networks.resnet50()
        if weights:
            state = torch.load(weights, map_location="cpu", weights_only=True)
            self.model.load_state_dict({name.removeprefix("module."): v for name, v in state.items()})
        self.model = self.model.eval().to(device)

    def normalised(self, image: np.ndarray) -> np.ndarray:
        """What the network was trained on: BGR less a mean, or ImageNet's normalisation."""
        if self.name == "retinaface-mobilenet0.25":
            return image[..., ::-1].astype(np.float32) - np.array([104, 117, 123], np.float32)
        mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
        return ((image / 255 - mean) / std).astype(np.float32)

    @torch.no_grad()
    def __call__(self, image: np.ndarray) -> list[dict[str, Any]]:
        """The faces of one RGB picture, best score first."""
        height, width = image.shape[:2]
        factor = min(1.0, self.long_side / max(height, width))
        if factor < 1:
            image = cv2.resize(image, (round(width * factor), round(height * factor)))
        h, w = image.shape[:2]
        picture = torch.from_numpy(self.normalised(image).transpose(2, 0, 1).copy())[None].to(self.device)
        prior = priorbox(MIN_SIZES, STEPS, False, (h, w)).to(self.device)
        loc, logits, landmarks = self.model(picture)
        scores = logits.softmax(dim=-1)[0, :, 1]
        boxes = decode(loc[0], prior, VARIANCES) * torch.tensor([w, h] * 2, device=self.device)
        points = decode_landm(landmarks[0], prior, VARIANCES) * torch.tensor([w, h] * 5, device=self.device)
        valid = torch.where(scores > self.score)[0]
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


class ClipEncoder:
    """open_clip in float32, one picture a call; scene pictures also give their early blocks."""

    def __init__(self, name: str, weights: str, device: torch.device) -> None:
        pretrained = None if weights == "random" else weights
        self.model, _, self.transform = open_clip.create_model_and_transforms(name, pretrained=pretrained)
        self.model = self.model.eval().to(device)
        self.device = device

    @torch.no_grad()
    def face(self, image: np.ndarray) -> np.ndarray:
        """The embedding of a picture."""
        picture = self.transform(Image.fromarray(image))[None].to(self.device)
        return self.model.encode_image(picture)[0].cpu().numpy()

    @torch.no_grad()
    def scene(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The embedding, and class token, mean and deviation of the patches after four blocks."""
        picture = self.transform(Image.fromarray(image))[None].to(self.device)
        out = self.model.visual.forward_intermediates(
            picture, indices=[0, 1, 2, 3], output_fmt="NLC", output_extra_tokens=True
        )
        early = []
        for token, patches in zip(out["image_intermediates_prefix"], out["image_intermediates"], strict=True):
            early.append(torch.stack([token[0, 0], patches[0].mean(0), patches[0].std(0)]).cpu().numpy())
        return out["image_features"][0].cpu().numpy(), np.stack(early)


def crops(frame: np.ndarray, faces: list[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """The largest face with a margin, and the frame with that face filled."""
    height, width = frame.shape[:2]
    if not faces:
        return frame, frame
    boxes = np.array([face["bbox"] for face in faces])
    x0, y0, x1, y1 = boxes[((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).argmax()]
    side = 1.3 * max(x1 - x0, y1 - y0) / 2
    left, top = int(max(0, (x0 + x1) / 2 - side)), int(max(0, (y0 + y1) / 2 - side))
    right, bottom = int(min(width, (x0 + x1) / 2 + side)), int(min(height, (y0 + y1) / 2 + side))
    scene = frame.copy()
    scene[int(y0) : int(y1) + 1, int(x0) : int(x1) + 1] = (123, 117, 104)
    return frame[top : bottom + 1, left : right + 1], scene


def extract(
    clips: list[Path], out: Path, detector: Detector, encoder: ClipEncoder, frames: int
) -> dict[str, Any]:
    """One .npz per clip; returns how many of what took how long."""
    seconds: dict[str, float] = defaultdict(float)
    pictures = 0
    for clip in clips:
        marks = [time.perf_counter()]
        images = read_frames(clip, frames)
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
    """Parse, extract, print."""
    parser = argparse.ArgumentParser(description="A plain extraction, to measure against.")
    parser.add_argument("clips", type=Path, help="folder of videos, searched in depth")
    parser.add_argument("out", type=Path, help="folder for the .npz files")
    parser.add_argument("--detector-weights", help="RetinaFace MobileNet-0.25; else a random ResNet-50")
    parser.add_argument("--encoder", default="ViT-L-14-quickgelu")
    parser.add_argument("--encoder-weights", default="random", help="a tag of open_clip, a file, or random")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--long-side", type=int, default=640)
    parser.add_argument("--score", type=float, default=0.5)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    clips = sorted(path for path in args.clips.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
    device = torch.device(args.device)
    detector = Detector(args.detector_weights, device, args.long_side, args.score)
    encoder = ClipEncoder(args.encoder, args.encoder_weights, device)
    args.out.mkdir(parents=True, exist_ok=True)
    result = extract(clips[: args.limit], args.out, detector, encoder, args.frames)
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()

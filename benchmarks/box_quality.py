"""Quality of the subject's bounding boxes with smaller frames, fewer detections and a lower precision.

    python -m benchmarks.box_quality CLIPS --weights retinaface_mobilenet0.25.pth --out FILE

The reference is the track from every sampled frame at native size in float32. For each setting, the overlap
(IoU) with the reference is computed frame by frame, and the fraction of clips on which both agree whether
there is a face. `spread_frames` chooses frames, and the track interpolates the others.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.bench.clips import videos_of
from pipeline.bench.result import about_this_run
from pipeline.config import to_dict
from pipeline.errors import ClipError
from pipeline.faces import DetectorConfig, load_detector
from pipeline.faces.detector import no_landmarks
from pipeline.frames import FrameConfig, decode_clip
from pipeline.tracks import EARLIER_METHOD, TrackConfig, nearest_track
from pipeline.types import Faces, FaceTrack, Floats

LONG_SIDES = (0, 640, 480, 320)
PRECISIONS = ("fp32", "bf16")
EVERY = (1, 2, 4)
LOW_IOU = 0.8
NO_FACES = Faces(
    box_xyxy_px=np.empty((0, 4), np.float32), score=np.empty(0, np.float32), landmark_xy_px=no_landmarks(0)
)


def spread_frames(num_frames: int, every: int) -> list[int]:
    """Return one of `every` frames, evenly spaced, always with the first and the last."""
    count = max(min(2, num_frames), -(-num_frames // every))
    return sorted({round(place) for place in np.linspace(0, num_frames - 1, count)})


def track_of(faces: list[Faces], every: int) -> FaceTrack:
    """Return the track from detections on only one of `every` frames."""
    chosen = spread_frames(len(faces), every)
    given = [f if n in chosen else NO_FACES for n, f in enumerate(faces)]
    return nearest_track(given, TrackConfig(method=EARLIER_METHOD))


def overlap(one_U4: Floats, other_U4: Floats) -> Floats:
    """Return the IoU of boxes [U, 4], frame by frame [U]."""
    corner, end = np.maximum(one_U4[:, :2], other_U4[:, :2]), np.minimum(one_U4[:, 2:], other_U4[:, 2:])
    shared = np.clip(end - corner, 0, None).prod(axis=1)
    areas = [(box[:, 2:] - box[:, :2]).prod(axis=1) for box in (one_U4, other_U4)]
    return np.asarray(shared / (areas[0] + areas[1] - shared), dtype=np.float32)


def measure(clips: list[torch.Tensor], weights: str) -> list[dict[str, Any]]:
    """Return a row per setting, the reference first."""
    found: dict[tuple[str, int], list[list[Faces]]] = {}
    for precision in PRECISIONS:
        for side in LONG_SIDES:
            config = DetectorConfig(
                name="retinaface-mobilenet0.25", weights=weights, long_side=side, precision=precision
            )
            detector = load_detector(config, torch.device("cpu"))
            found[precision, side] = [detector.detect(clip) for clip in clips]
    reference = [track_of(faces, 1) for faces in found["fp32", 0]]
    rows = []
    for precision in PRECISIONS:
        for side in LONG_SIDES:
            for every in EVERY:
                tracks = [track_of(faces, every) for faces in found[precision, side]]
                row = {"long_side": side or "native", "every": every, "precision": precision}
                rows.append(row | compared(tracks, reference))
    return rows


def compared(tracks: list[FaceTrack], reference: list[FaceTrack]) -> dict[str, float]:
    """Return the agreement on faces, and the IoU over all frames of clips with a face in both."""
    pairs = list(zip(tracks, reference, strict=True))
    iou = np.concatenate(
        [overlap(a.box_xyxy_px, b.box_xyxy_px) for a, b in pairs if a.has_face and b.has_face]
    )
    return {
        "clips_that_agree": sum(a.has_face == b.has_face for a, b in pairs) / len(pairs),
        "iou_mean": float(iou.mean()),
        "iou_5th_percentile": float(np.percentile(iou, 5)),
        "iou_min": float(iou.min()),
        f"frames_below_{LOW_IOU}": float((iou < LOW_IOU).mean()),
    }


def main() -> None:
    """Decode clips, measure and write the result."""
    parser = argparse.ArgumentParser(description="Box quality by size, stride and precision.")
    parser.add_argument("clips", type=Path, nargs="+", help="directories of videos")
    parser.add_argument("--weights", required=True, help="RetinaFace MobileNet-0.25")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    clips, names = [], []
    for video in (video for folder in args.clips for video in videos_of(folder)):
        try:
            clips.append(torch.from_numpy(decode_clip(video, FrameConfig()).rgb_UHWC))
        except ClipError as error:
            sys.stderr.write(f"{video.name}: {error}\n")
        else:
            names.append(video.name)
    rows = measure(clips, args.weights)
    sizes = {name: list(clip.shape[1:3]) for name, clip in zip(names, clips, strict=True)}
    about = about_this_run(to_dict(TrackConfig()), {"clips": sizes})
    del about["machine"]["load_average"]
    args.out.write_text(json.dumps({**about, "rows": rows}, indent=2) + "\n")
    for row in rows:
        sys.stdout.write(
            "  ".join(f"{v:.4f}" if isinstance(v, float) else str(v) for v in row.values()) + "\n"
        )


if __name__ == "__main__":
    main()

"""Draws the trial clips of `benchmarks.tracking.scenes`, with the truth of every person on every frame.

    python -m benchmarks.tracking.clips VIDEOS OUT --weights retinaface_mobilenet0.25.pth

VIDEOS has the directories `people` and `labelled`. The result is one mp4 file of 640x360 per clip, and
OUT/truth.csv with the columns `clip, frame, person, x0, y0, x1, y1, visible, cut`. A box is the person's
face inside the frame, in pixels. `visible` is 0 where less than half of the face's area is in view.
`cut` is 1 on the first frame of a new shot. A frame without people has one row with empty fields.
"""

import argparse
import csv
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import av
import cv2
import numpy as np
import torch

from benchmarks.tracking.heads import TILE_SIDE_PX, TILES_PER_SECOND, VIDEOS, Heads, cut_heads
from benchmarks.tracking.scenes import (
    HEIGHT_PX,
    WIDTH_PX,
    Bar,
    Head,
    Moment,
    TrialClip,
    people_of,
    trial_clips,
)
from pipeline.faces import DetectorConfig, load_detector
from pipeline.types import Bytes, Floats

COLUMNS = ("clip", "frame", "person", "x0", "y0", "x1", "y1", "visible", "cut")
VISIBLE_PART = 0.5
_GROUND_WIDTH_PX = 1280
_DARKNESS = 0.04
_SKIN_RGB = (196, 148, 120)
_ELLIPSE = (0.40, 0.49)
"""Half axes of the part of a tile that is shown, in sides."""
_PHOTO_FRAME_PX = 8
_NOBODY = -1


@dataclass(frozen=True, kw_only=True)
class Face:
    """Truth of one person on one frame."""

    person: str
    box_4: Floats
    """x0, y0, x1, y1 in pixels, inside the frame."""
    visible_part: float
    """Part of the face's area in view, 0 to 1."""


def draw(moment: Moment, frame: int, fps: int, heads: Mapping[str, Heads]) -> tuple[Bytes, list[Face]]:
    """Draw one frame.

    Args:
        moment: The content of the frame.
        frame: Number of the frame.
        fps: Frames per second of the clip.
        heads: Tiles of all people.

    Returns:
        uint8 RGB [360, 640, 3], and the truth of everyone whose face has a part inside the frame.
    """
    shift = int(moment.pan_px)
    rgb_HWC = _ground(moment.ground)[:, shift : shift + WIDTH_PX].copy()
    owner_HW = np.full((HEIGHT_PX, WIDTH_PX), _NOBODY)
    placed = []
    for number, head in enumerate(moment.heads):
        tiles = heads[head.person]
        moved = 0 if head.is_photo else round(frame * TILES_PER_SECOND / fps)
        tile = tiles.index(head.first + moved)
        face = tiles.face_N4[tile]
        face = face[[2, 1, 0, 3]] * [-1, 1, -1, 1] + [1, 0, 1, 0] if head.is_mirrored else face
        _paste(rgb_HWC, owner_HW, tiles.tile_N[tile], head, number)
        corner = np.array([head.x, head.y]) - head.side / 2
        placed.append(np.tile(corner, 2) + face * head.side)
    for bar in moment.bars:
        _cover(rgb_HWC, owner_HW, bar)
    if moment.is_dark:
        rgb_HWC = (rgb_HWC * _DARKNESS).astype(np.uint8)
        owner_HW[:] = _NOBODY
    truth = []
    for number, (head, box_4) in enumerate(zip(moment.heads, placed, strict=True)):
        inside = np.clip(box_4, 0, [WIDTH_PX, HEIGHT_PX] * 2)
        if inside[2] - inside[0] > 1 and inside[3] - inside[1] > 1:
            part = _visible_part(owner_HW, box_4, number)
            name = head.label or head.person
            truth.append(Face(person=name, box_4=inside.astype(np.float32), visible_part=part))
    return rgb_HWC, truth


def write_clip(clip: TrialClip, path: Path, heads: Mapping[str, Heads]) -> list[tuple[object, ...]]:
    """Write a clip as H.264 and return its rows of the truth, in the order of COLUMNS."""
    rows: list[tuple[object, ...]] = []
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=clip.cast.fps)
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        stream.options = {"crf": "20", "preset": "ultrafast"}
        shot = clip.at(0).shot
        for frame in range(clip.cast.num_frames):
            moment = clip.at(frame)
            rgb_HWC, faces = draw(moment, frame, clip.cast.fps, heads)
            cut, shot = int(moment.shot != shot), moment.shot
            for face in faces:
                edges = [f"{edge:.1f}" for edge in face.box_4]
                rows.append(
                    (path.name, frame, face.person, *edges, int(face.visible_part >= VISIBLE_PART), cut)
                )
            if not faces:
                rows.append((path.name, frame, "", "", "", "", "", "", cut))
            for packet in stream.encode(av.VideoFrame.from_ndarray(rgb_HWC, format="rgb24")):
                file.mux(packet)
        for packet in stream.encode():
            file.mux(packet)
    return rows


def write_clips(clips: Sequence[TrialClip], out: Path, heads: Mapping[str, Heads]) -> None:
    """Write clips and their truth.csv into a directory, which is made if it is missing."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / "truth.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for clip in clips:
            table.writerows(write_clip(clip, out / clip.name, heads))


@lru_cache(maxsize=8)
def _ground(number: int) -> Bytes:
    """Return a blurred pattern [360, 1280, 3] with a colour of its own."""
    random = np.random.default_rng(100 + number)
    colour = random.integers(60, 170, 3)
    noise = cv2.GaussianBlur(random.normal(0, 1, (HEIGHT_PX, _GROUND_WIDTH_PX, 3)), (0, 0), 12)
    return np.asarray(np.clip(colour + noise * 300, 0, 255), dtype=np.uint8)


def _paste(rgb_HWC: Bytes, owner_HW: np.ndarray, tile: Bytes, head: Head, number: int) -> None:
    side = int(head.side)
    small = cv2.resize(
        tile[:, ::-1] if head.is_mirrored else tile, (side, side), interpolation=cv2.INTER_AREA
    )
    alpha = np.full((side, side), 255, np.uint8)
    if not (head.is_square or head.is_photo):
        alpha[:] = 0
        axes = (int(_ELLIPSE[0] * side), int(_ELLIPSE[1] * side))
        cv2.ellipse(alpha, (side // 2, side // 2), axes, 0, 0, 360, 255, -1)
        alpha = np.asarray(cv2.GaussianBlur(alpha, (0, 0), side / TILE_SIDE_PX * 2), dtype=np.uint8)
    x0, y0 = int(head.x - side / 2), int(head.y - side / 2)
    if head.is_photo:
        edge = _PHOTO_FRAME_PX
        rows, columns = slice(max(0, y0 - edge), y0 + side + edge), slice(max(0, x0 - edge), x0 + side + edge)
        rgb_HWC[rows, columns], owner_HW[rows, columns] = 235, _NOBODY
    xa, ya, xb, yb = max(0, x0), max(0, y0), min(WIDTH_PX, x0 + side), min(HEIGHT_PX, y0 + side)
    if xb <= xa or yb <= ya:
        return
    part = (slice(ya - y0, yb - y0), slice(xa - x0, xb - x0))
    weight = alpha[part][..., None] / 255
    under = rgb_HWC[ya:yb, xa:xb]
    rgb_HWC[ya:yb, xa:xb] = (weight * small[part] + (1 - weight) * under).astype(np.uint8)
    owner_HW[ya:yb, xa:xb][alpha[part] > 127] = number


def _cover(rgb_HWC: Bytes, owner_HW: np.ndarray, bar: Bar) -> None:
    mask = np.zeros((HEIGHT_PX, WIDTH_PX), np.uint8)
    radius = int(bar.width / 2)
    cv2.circle(mask, (int(bar.x), int(bar.y) + radius), radius, 255, -1)
    cv2.rectangle(mask, (int(bar.x) - radius, int(bar.y) + radius), (int(bar.x) + radius, HEIGHT_PX), 255, -1)
    shade = np.linspace(1.1, 0.7, WIDTH_PX)[None, :, None]
    rgb_HWC[mask > 0] = np.clip(np.array(_SKIN_RGB) * shade, 0, 255).repeat(HEIGHT_PX, 0)[mask > 0]
    owner_HW[mask > 0] = _NOBODY


def _visible_part(owner_HW: np.ndarray, box_4: np.ndarray, number: int) -> float:
    """Return the part of a box, cut by the frame or not, whose pixels show the head of this number."""
    x0, y0, x1, y1 = (round(float(edge)) for edge in box_4)
    area = max(1, (x1 - x0) * (y1 - y0))
    shown = owner_HW[max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)] == number
    return float(shown.sum() / area)


def main() -> None:
    """Cut the heads, and draw all clips."""
    parser = argparse.ArgumentParser(description="Draw trial clips of faces with a truth.")
    parser.add_argument("videos", type=Path, help="directory with the directories people and labelled")
    parser.add_argument("out", type=Path, help="directory for the clips and truth.csv")
    parser.add_argument("--weights", required=True, help="RetinaFace MobileNet-0.25, which cuts the heads")
    args = parser.parse_args()
    config = DetectorConfig(name="retinaface-mobilenet0.25", weights=args.weights, precision="fp32")
    detector = load_detector(config, torch.device("cpu"))
    clips = trial_clips()
    heads = {person: cut_heads(args.videos / VIDEOS[person], detector) for person in people_of(clips)}
    write_clips(clips, args.out, heads)
    sys.stdout.write(f"{len(clips)} clips in {args.out}\n")


if __name__ == "__main__":
    main()

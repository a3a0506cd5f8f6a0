"""What each step's algorithm gives on fixed inputs, kept by algorithm version in golden/steps.json.

A step that gives other values has another algorithm: raise its VERSION, and run ``python -m
tests.golden_steps`` to add the new version's values. It never changes those of a version that is there.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.fingerprint import default_settings
from pipeline.frames import FrameConfig
from pipeline.frames.sampling import sample_indices
from pipeline.process.identity import STEPS
from pipeline.streams import StreamConfig, make_streams
from pipeline.tracks import TrackConfig, build_track
from pipeline.types import Faces, FaceTrack

GOLDEN = Path(__file__).parent / "golden" / "steps.json"
FILL = (122, 116, 104)


def frames() -> list[list[int]]:
    """The frames that five views take of clips of several lengths."""
    config = FrameConfig(num_frames=8, num_views=5)
    return [sample_indices(length, config)[0].ravel().tolist() for length in (1, 5, 8, 9, 40, 301)]


def tracks() -> list[list[float]]:
    """Boxes, scores and finds of subjects among two people and false finds, with gaps."""
    found = []
    for seed in range(4):
        generator = np.random.default_rng(seed)
        clip = [_faces_on(frame, generator) for frame in range(16)]
        track = build_track(clip, TrackConfig())
        values = np.concatenate([track.box_xyxy_px, track.score[:, None], track.found[:, None]], axis=1)
        found.append(np.round(values.astype(np.float64), 4).ravel().tolist())
    return found


def streams() -> list[list[float]]:
    """Mean colours of 8 x 8 cells of both streams, masked and whole, letterboxed and cropped."""
    blocks = np.random.default_rng(0).integers(0, 256, (2, 18, 32, 3), dtype=np.uint8)
    frames_UHWC = torch.from_numpy(blocks.repeat(10, axis=1).repeat(10, axis=2))
    boxes = np.array([[100, 40, 150, 110], [-10, 20, 30, 70]], np.float32)
    track = FaceTrack(box_xyxy_px=boxes, score=np.ones(2, np.float32), found=np.ones(2, np.bool_))
    values = []
    for config in (StreamConfig(), StreamConfig(scene="full", scene_fit="center_crop")):
        made = make_streams(frames_UHWC, track, config, side_px=64, fill_rgb=FILL)
        for stream in (made.face_U3SS, made.scene_U3SS):
            cells = stream.float().reshape(2, 3, 8, 8, 8, 8).mean(dim=(3, 5))
            values.append([round(value, 2) for value in cells.flatten().tolist()])
    return values


ALGORITHMS: dict[str, Callable[[], Any]] = {"frames": frames, "tracks": tracks, "streams": streams}
"""Steps whose values do not depend on a model; the others are held by the tests of the old cache."""


def of_steps() -> dict[str, dict[str, Any]]:
    """By step and version: the defaults of its settings, and its values."""
    return {
        step: {
            str(kind.VERSION): {
                "defaults": default_settings(kind),
                **({"values": ALGORITHMS[step]()} if step in ALGORITHMS else {}),
            }
        }
        for step, kind in STEPS.values()
    }


def _faces_on(frame: int, generator: np.random.Generator) -> Faces:
    """Two people who move towards each other, of whom one is sometimes missed, and a false find."""
    boxes, scores = [], []
    for start, speed, side, seen in ((40.0, 6.0, 50.0, 0.8), (300.0, -5.0, 40.0, 0.9)):
        if generator.random() < seen:
            x, y = start + speed * frame + generator.normal(0, 2), 80 + generator.normal(0, 2)
            boxes.append((x, y, x + side, y + 1.2 * side))
            scores.append(0.6 + 0.4 * generator.random())
    if generator.random() < 0.3:
        boxes.append((10.0, 10.0, 30.0, 30.0))
        scores.append(0.55)
    return Faces(
        box_xyxy_px=np.array(boxes, np.float32).reshape(-1, 4),
        score=np.array(scores, np.float32),
        landmark_xy_px=np.full((len(boxes), 5, 2), np.nan, np.float32),
    )


def main() -> None:
    """Add the values of versions that have none yet."""
    kept: dict[str, dict[str, Any]] = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    for step, versions in of_steps().items():
        kept[step] = {**versions, **kept.get(step, {})}
    GOLDEN.write_text(json.dumps(kept, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()

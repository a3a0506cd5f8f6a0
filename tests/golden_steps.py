"""What each step's algorithm gives on fixed inputs, kept by algorithm version in golden/steps.json.

A step that gives other values has another algorithm: raise its VERSION, and run ``python -m
tests.golden_steps`` to add the new version. It never changes what is recorded of a version, but adds the
defaults of its new settings.
"""

import json
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.fingerprint import default_settings
from pipeline.frames import FrameConfig, ShotConfig, decode_clip
from pipeline.frames.sampling import sample_indices
from pipeline.looks import looks_of
from pipeline.people import PeopleConfig, find_people
from pipeline.process.identity import STEPS
from pipeline.streams import StreamConfig, make_streams
from pipeline.tracks import TrackConfig, nearest_track, subject_track
from pipeline.types import Faces, FaceTrack, Person
from tests.tiny_videos import write_two_videos, write_video, write_with_sound

GOLDEN = Path(__file__).parent / "golden" / "steps.json"
FILL = (122, 116, 104)
SECONDS, SHOTS = np.arange(16) / 5, (np.arange(16) >= 11).astype(np.int64)
_LOOKS = 0.8 * np.eye(2, 4, dtype=np.float32)


def sampling() -> list[list[float]]:
    """Return the frames that five views take of clips of several lengths."""
    config = FrameConfig(num_frames=8, num_views=5)
    return [sample_indices(length, config)[0].ravel().tolist() for length in (1, 5, 8, 9, 40, 301)]


def decoding() -> list[list[float]]:
    """Return mean levels of 12 x 12 cells of decoded frames.

    Of H.264, MPEG-4, wide pixels, full colour, a size that changes, and the second of two video streams.
    """
    blocks = np.random.default_rng(1).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    picture = blocks.repeat(12, axis=0).repeat(12, axis=1)
    pictures = [np.ascontiguousarray(np.roll(picture, 12 * n, axis=1)) for n in range(6)]
    videos: dict[str, dict[str, Any]] = {
        "a.mp4": {"options": {"qp": "4"}},
        "b.avi": {"codec": "mpeg4", "options": {"qscale": "1"}},
        "c.mkv": {"options": {"qp": "4"}, "pixel_aspect": Fraction(2, 1)},
        "d.mp4": {"options": {"qp": "4"}, "pix_fmt": "yuv444p"},
    }
    levels = []
    with tempfile.TemporaryDirectory() as folder:
        for name, how in videos.items():
            write_video(Path(folder) / name, pictures, **how)
        first = write_video(Path(folder) / "e.ts", pictures, options={"qp": "4"})
        later = write_video(Path(folder) / "f.ts", [one[:36, :36] for one in pictures], options={"qp": "4"})
        first.write_bytes(first.read_bytes() + later.read_bytes())
        write_two_videos(Path(folder) / "f.mkv", (0, 1))
        for name in (*videos, "e.ts", "f.mkv"):
            rgb_UHWC = decode_clip(Path(folder) / name, FrameConfig(num_frames=2)).rgb_UHWC
            u, rows, columns = len(rgb_UHWC), rgb_UHWC.shape[1] // 12, rgb_UHWC.shape[2] // 12
            whole = rgb_UHWC[:, : 12 * rows, : 12 * columns]
            cells = whole.reshape(u, rows, 12, columns, 12, 3).mean(axis=(2, 4))
            levels.append(np.round(cells, 1).ravel().tolist())
    return levels


def times() -> list[list[float]]:
    """Return times of frames: a video that starts late, AVI, joined recordings, a stream without times."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        paths = [
            write_with_sound(root / "a.mp4", 8, video_at=0.5),
            write_video(root / "b.avi", 8, num_b_frames=2),
            write_video(root / "c.ts", 8, num_b_frames=2),
            write_video(root / "d.h264", 8),
        ]
        paths[2].write_bytes(2 * paths[2].read_bytes())
        return [
            decode_clip(path, FrameConfig(num_frames=16)).meta.seconds_U.astype(np.float64).round(4).tolist()
            for path in paths
        ]


def tracks() -> list[list[float]]:
    """Return boxes, scores and finds of subjects among two people and false finds, with gaps."""
    found = []
    for seed in range(4):
        generator = np.random.default_rng(seed)
        clip = [_faces_on(frame, generator) for frame in range(16)]
        track = nearest_track(clip, TrackConfig(method="nearest"))
        values = np.concatenate([track.box_xyxy_px, track.score[:, None], track.found[:, None]], axis=1)
        found.append(np.round(values.astype(np.float64), 4).ravel().tolist())
    return found


def everyone() -> list[list[float]]:
    """Return frames, boxes and margins of everyone's tracklets in the same clips, with looks and a cut."""
    return [
        np.concatenate(
            [
                [len(person.tracklets), *tracklet.frame_N, *tracklet.box_N4.ravel(), tracklet.shot]
                for person in _people(seed)
                for tracklet in person.tracklets
            ]
        )
        .astype(np.float64)
        .round(4)
        .tolist()
        for seed in range(4)
    ]


def subjects() -> list[list[float]]:
    """Return boxes, absences and margins of the subjects of these clips."""
    found = []
    for seed in range(4):
        track = subject_track(_people(seed), SECONDS, SHOTS, lambda _u, _box: _LOOKS[0], TrackConfig())
        values = [*track.box_xyxy_px.ravel(), *track.absence_U, min(track.margin, 99.0)]
        found.append(np.round(np.array(values, np.float64), 3).tolist())
    return found


def looks() -> list[list[float]]:
    """Return looks of boxes inside and across the edge of an image."""
    blocks = np.random.default_rng(2).integers(0, 256, (10, 10, 3), dtype=np.uint8)
    image = blocks.repeat(12, axis=0).repeat(12, axis=1)
    boxes = np.array([[20, 20, 80, 90], [-20, 60, 40, 140]], np.float32)
    return looks_of(image, boxes)[:, ::7].astype(np.float64).round(4).tolist()


def cuts() -> list[list[float]]:
    """Return the cuts of a drawn video of three shots."""
    blocks = np.random.default_rng(3).integers(0, 256, (3, 6, 8, 3), dtype=np.uint8)
    pictures = [
        np.ascontiguousarray(np.roll(blocks[n // 12].repeat(12, axis=0).repeat(12, axis=1), n, axis=1))
        for n in range(36)
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = write_video(Path(folder) / "a.mp4", pictures, options={"qp": "4"})
        frames = decode_clip(path, FrameConfig(num_frames=2), cuts=ShotConfig())
    return [list(map(float, frames.meta.cuts or ()))]


def streams() -> list[list[float]]:
    """Return mean colours of 8 x 8 cells of both streams, masked and whole, letterboxed and cropped."""
    blocks = np.random.default_rng(0).integers(0, 256, (2, 18, 32, 3), dtype=np.uint8)
    frames_UHWC = torch.from_numpy(blocks.repeat(10, axis=1).repeat(10, axis=2))
    boxes = np.array([[100, 40, 150, 110], [-10, 20, 30, 70]], np.float32)
    track = FaceTrack.of_one_person(
        box_xyxy_px=boxes, score=np.ones(2, np.float32), found=np.ones(2, np.bool_)
    )
    values = []
    for config in (StreamConfig(), StreamConfig(scene="full", scene_fit="center_crop")):
        made = make_streams(frames_UHWC, track, config, side_px=64, fill_rgb=FILL)
        for stream in (made.face_U3SS, made.scene_U3SS):
            cells = stream.float().reshape(2, 3, 8, 8, 8, 8).mean(dim=(3, 5))
            values.append([round(value, 2) for value in cells.flatten().tolist()])
    return values


ALGORITHMS: dict[str, tuple[Callable[[], list[list[float]]], ...]] = {
    "frames": (sampling, decoding, times),
    "shots": (cuts,),
    "people": (looks, everyone, subjects),
    "tracks": (tracks,),
    "streams": (streams,),
}
"""Steps whose values do not depend on a model; the others are held by the tests of the old cache."""


def of_steps() -> dict[str, dict[str, Any]]:
    """Return the defaults of settings and the values, by step and version."""
    return {
        step: {
            str(kind.VERSION): {
                "defaults": default_settings(kind),
                "values": {algorithm.__name__: algorithm() for algorithm in ALGORITHMS.get(step, ())},
            }
        }
        for step, kind in STEPS.values()
    }


def _people(seed: int) -> tuple[Person, ...]:
    generator = np.random.default_rng(seed)
    clip = [_faces_on(frame, generator) for frame in range(16)]
    seen = [_LOOKS[np.arange(len(found.score)) % 2] for found in clip]
    return find_people(clip, seen, SECONDS, SHOTS, PeopleConfig(), start_score=0.5)


def _faces_on(frame: int, generator: np.random.Generator) -> Faces:
    """Return two people who move towards each other, of whom one is sometimes missed, and a false find."""
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
    """Record new versions, and the defaults of new settings."""
    kept: dict[str, dict[str, Any]] = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    for step, versions in of_steps().items():
        for version, found in versions.items():
            there = kept.setdefault(step, {}).setdefault(version, found)
            there["defaults"] = {**found["defaults"], **there["defaults"]}
    GOLDEN.write_text(json.dumps(kept, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()

"""A handful of small real videos with a manifest, for tests that run the pipeline."""

import csv
import dataclasses
from functools import cache
from pathlib import Path

import av
import numpy as np
import torch

from pipeline.config import from_dict
from pipeline.datasets import read_dataset
from pipeline.process import ExtractConfig, Models, load_models
from pipeline.types import DatasetIndex
from tests.tiny_clip import modest_model

HEIGHT, WIDTH = 96, 128
SETTINGS = {
    "frames": {"num_frames": 4},
    "faces": {"source": "boxes"},
    "encoder": {"name": modest_model(), "weights": "random"},
    "features": {"precision": "fp32", "batch_pictures": 8},
}
ODD = {"bad": b"this is no video", "empty": b""}


def write_video(path: Path, num_frames: int = 9, seed: int = 0) -> None:
    """A clip of noise blocks that drift to the right, lossless enough to tell frames apart."""
    path.parent.mkdir(parents=True, exist_ok=True)
    blocks = np.random.default_rng(seed).integers(0, 255, (HEIGHT // 16, WIDTH // 16, 3), dtype=np.uint8)
    picture = blocks.repeat(16, axis=0).repeat(16, axis=1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"qp": "10", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(num_frames):
            rgb = np.ascontiguousarray(np.roll(picture, 5 * number, axis=1))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode(None))


def write_clips(root: Path, num_good: int = 7) -> DatasetIndex:
    """Good clips with a given box (the third one without), a short one, a bad and an empty file."""
    rows = []
    for number in range(num_good):
        name = f"clips/good{number}.mp4"
        write_video(root / name, num_frames=3 if number == 1 else 9 + number, seed=number)
        box = ("", "", "", "") if number == 2 else (20, 10, 60, 70)
        rows.append((name, ("joy", "rage")[number % 2], "test" if number > 4 else "train", *box))
    for name, content in ODD.items():
        (root / f"clips/{name}.mp4").write_bytes(content)
        rows.append((f"clips/{name}.mp4", "joy", "train", "", "", "", ""))
    with (root / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label", "split", "x0", "y0", "x1", "y1"), *rows])
    return read_dataset("manifest", root)


@cache
def small_models() -> Models:
    """A random encoder of a few thousand weights behind given boxes, on the CPU; loaded once."""
    return load_models(from_dict(ExtractConfig, SETTINGS), torch.device("cpu"))


def small_models_with(**settings: object) -> Models:
    """The same with the settings of some sections changed, such as ``streams={"scene": "full"}``.

    With a section `detector` that finds the faces.
    """
    base = {k: v for k, v in SETTINGS.items() if k != "faces" or "detector" not in settings}
    merged = {**base, **{k: {**base.get(k, {}), **v} for k, v in settings.items()}}
    models = small_models()
    config = from_dict(ExtractConfig, merged)
    loaded = ("encoder", "features", "faces", "detector")
    same = {k: getattr(models.config, k) == getattr(config, k) for k in loaded}
    if all(same.values()):
        return dataclasses.replace(models, config=config)
    return load_models(config, torch.device("cpu"))

"""Face detectors of this program and of facenet-pytorch on the same frames, each in a process of its own.

    python -m benchmarks.peer_programs.detectors NAME WEIGHTS LONG_SIDE PRECISION FRAMES.npy ...

The module times one of this program's detectors, as `run_mtcnn` times the other one. WEIGHTS is a file,
``random``, or ``none`` for the Haar cascade.
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.peer_programs.environment import environment_of_peer
from pipeline.bench.models import load_bench_detector
from pipeline.bench.steps import decoded_clips
from pipeline.children import command, environment
from pipeline.errors import OusError
from pipeline.faces import DetectorConfig
from pipeline.frames import FrameConfig
from pipeline.process import ExtractConfig
from pipeline.types import DatasetIndex

MTCNN = "MTCNN"
_BATCH = 16


@dataclass(frozen=True, kw_only=True)
class Ours:
    """A detector of this program, at a size and a precision."""

    name: str
    weights: str
    long_side: int = 0
    precision: str = "fp32"


def detectors(weights: Path | None) -> dict[str, Ours]:
    """Return this program's detectors by their names in the record; without weights, they are random."""
    network, given = "retinaface-mobilenet0.25", "random" if weights is None else str(weights)
    return {
        "MobileNet, native, fp32": Ours(name=network, weights=given),
        "MobileNet, long side 640, fp32": Ours(name=network, weights=given, long_side=640),
        "MobileNet, native, bf16": Ours(name=network, weights=given, precision="bf16"),
        "MobileNet, long side 640, bf16": Ours(name=network, weights=given, long_side=640, precision="bf16"),
        "Haar, long side 640": Ours(name="haar", weights="none", long_side=640),
    }


def save_frames(index: DatasetIndex, num_frames: int, into: Path) -> list[Path]:
    """Decode frames of every clip, and write them as uint8 RGB [U, H, W, 3], one file per clip."""
    into.mkdir(parents=True)
    config = ExtractConfig(frames=FrameConfig(num_frames=num_frames))
    files = []
    for number, rgb_UHWC in enumerate(decoded_clips(index, config)[0]):
        files.append(into / f"frames-{number:04d}.npy")
        np.save(files[-1], rgb_UHWC)
    return files


def run_detector(name: str, found: Ours | None, python: Path, frames: Sequence[Path]) -> dict[str, Any]:
    """Run a detector in a process.

    Args:
        name: Its name, for errors.
        found: This program's detector; None for MTCNN.
        python: Python of facenet-pytorch's environment.
        frames: Files of frames.

    Returns:
        frames, frames with a face, seconds and processor time, without the start and a pass for warm-up.
    """
    if found is None:
        script = Path(__file__).with_name("run_mtcnn.py")
        asked, variables = [str(python), str(script), str(_BATCH)], environment_of_peer()
    else:
        options = (found.name, found.weights, found.long_side, found.precision)
        asked = command("benchmarks.peer_programs.detectors", *options)
        variables = environment(num_threads=None)
    done = subprocess.run(
        [*asked, *map(str, frames)], env=variables, capture_output=True, text=True, check=False
    )
    if done.returncode:
        msg = f"{name} failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}"
        raise OusError(msg)
    document: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return document


def main() -> None:
    """Detect faces on all frames after a pass for warm-up."""
    name, weights, long_side, precision, *paths = sys.argv[1:]
    given = {} if weights == "none" else {"weights": weights, "precision": precision}
    config = DetectorConfig(name=name, long_side=int(long_side), **given)
    detector = load_bench_detector(config, torch.device("cpu"))
    clips = [torch.from_numpy(np.load(path)) for path in paths]
    batches = [part for frames in clips for part in frames.split(_BATCH)]
    detector.detect(batches[0])
    began, cpu_began = time.perf_counter(), time.process_time()
    faces = [one for batch in batches for one in detector.detect(batch)]
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    found = sum(len(one.score) > 0 for one in faces)
    document = {"frames": len(faces), "with_face": found, "seconds": seconds, "cpu_seconds": cpu_seconds}
    sys.stdout.write(json.dumps(document) + "\n")


if __name__ == "__main__":
    main()

"""Commands of the encoding programs, and the time of their processes."""

import json
import os
import shutil
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peer_programs.clips import Clips, Weights
from benchmarks.peer_programs.environment import environment_of_peer
from pipeline.children import PACKAGE_ROOT
from pipeline.errors import OusError

_COUNTED = Path(__file__).with_name("run_counted.py")


@dataclass(frozen=True, kw_only=True)
class Done:
    """Result of one process.

    Attributes:
        wall_seconds: From its start to its end.
        cpu_seconds: Processor time of it and of all its children.
        work_seconds: From the end of loading the models to the end of the process; None if it does not show
            when this is.
        clips: Clips with features.
        images: Encoded images.
    """

    wall_seconds: float
    cpu_seconds: float
    work_seconds: float | None
    clips: int
    images: int


class Program(ABC):
    """A program that encodes clips with a CLIP model."""

    does: str
    """Description of the images that it encodes."""
    marker: str
    """Start of the line that it prints after loading the model."""

    @abstractmethod
    def command(self, clips: Clips, out: Path) -> list[str]:
        """Return the command line that encodes the clips into a new directory."""

    @abstractmethod
    def counted(self, out: Path, printed: Sequence[str]) -> tuple[int, int]:
        """Return the numbers of clips and of images, from its files and its output."""

    @property
    def directory(self) -> Path | None:
        """Directory to run it in; None for any."""
        return None

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables of its process."""
        return environment_of_peer()

    def run(self, clips: Clips, out: Path) -> Done:
        """Encode the clips in a process, and delete the output.

        Raises OusError if the process failed or did not encode every clip.
        """
        out.mkdir(parents=True)
        loaded, printed = None, []
        began = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, "-I", "-S", str(_COUNTED), *self.command(clips, out)],
            cwd=self.directory, env=self.environment, text=True, bufsize=1,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as child:  # fmt: skip
            assert child.stdout is not None
            for line in child.stdout:
                printed.append(line.rstrip())
                if loaded is None and line.startswith(self.marker):
                    loaded = time.perf_counter()
        ended = time.perf_counter()
        name = type(self).__name__
        if child.returncode:
            msg = f"{name} did not start: {printed[-1] if printed else 'no message'}"
            raise OusError(msg)
        counted = json.loads(printed.pop())
        if counted["code"]:
            msg = f"{name} failed: {printed[-1] if printed else 'no message'}"
            raise OusError(msg)
        num_clips, num_images = self.counted(out, printed)
        if num_clips != len(clips.videos):
            msg = f"{name} encoded {num_clips} of {len(clips.videos)} clips: {printed[-1:]}"
            raise OusError(msg)
        shutil.rmtree(out)
        return Done(
            wall_seconds=ended - began,
            cpu_seconds=counted["cpu_seconds"],
            work_seconds=None if loaded is None else ended - loaded,
            clips=num_clips,
            images=num_images,
        )


@dataclass
class Ours(Program):
    """`extract` of this program: a face and a scene image of every sampled frame."""

    encoder: str
    weights: Weights
    frames: int
    precision: str
    detector: list[str]
    does: str = field(init=False)
    marker: str = field(init=False)

    def __post_init__(self) -> None:
        self.marker = f"{self.encoder}: "  # the conventions of its weights
        self.does = f"a face and a scene image of {self.frames} frames, {self.precision}, {self.detector[1]}"

    @property
    def environment(self) -> dict[str, str]:
        """See `Program`."""
        return {**os.environ, "PYTHONPATH": str(PACKAGE_ROOT)}

    def command(self, clips: Clips, out: Path) -> list[str]:
        """See `Program`."""
        return [
            sys.executable, "-P", "-u", str(PACKAGE_ROOT / "cli.py"), "extract",
            "--dataset", "manifest", "--root", str(clips.manifest), "--cache", str(out / "feats.zarr"),
            "--encoder", self.encoder, "--encoder-weights", str(self.weights.safetensors),
            "--set", "encoder.tag=openai", "--frames", str(self.frames), "--precision", self.precision,
            *self.detector, "--strict", "--json",
        ]  # fmt: skip

    def counted(self, out: Path, printed: Sequence[str]) -> tuple[int, int]:
        """See `Program`."""
        starts = [number for number, line in enumerate(printed) if line == "{"]
        if not starts:
            return 0, 0
        ends = printed.index("}", starts[-1]) + 1
        report: dict[str, Any] = json.loads("\n".join(printed[starts[-1] : ends]))
        finished = report["counts"]["done"] + report["counts"]["done_without_face"]
        return finished, round(report["speed"]["pictures"])


@dataclass
class ClipVideoEncode(Program):
    """clip-video-encode: every n-th whole frame."""

    python: Path
    encoder: str
    weights: Weights
    every: int
    does: str = field(init=False)
    marker = "Reading "

    def __post_init__(self) -> None:
        which = "each frame" if self.every == 1 else f"each frame whose number is a multiple of {self.every}"
        self.does = f"the centre of {which}, fp32"

    def command(self, clips: Clips, out: Path) -> list[str]:
        """See `Program`."""
        return [
            str(self.python), "-u", "-m", "clip_video_encode.cli", str(clips.paths), str(out),
            "--take_every_nth", str(self.every), "--frame_memory_size", "1",
            "--oc_model_name", self.encoder, "--pretrained", str(self.weights.safetensors),
        ]  # fmt: skip

    def counted(self, out: Path, printed: Sequence[str]) -> tuple[int, int]:
        """See `Program`."""
        return _rows(sorted(out.glob("*.npy")))


@dataclass
class VideoFeatures(Program):
    """video_features: every frame, or a number of frames per clip after ffmpeg encoded the clip again."""

    python: Path
    checkout: Path
    frames: int | None
    batch: int
    does: str = field(init=False)
    marker = "The number of specified videos:"

    def __post_init__(self) -> None:
        which = "each frame" if self.frames is None else f"{self.frames} frames, after encoding clips again"
        self.does = f"the centre of {which}, fp32"

    @property
    def directory(self) -> Path | None:
        """See `Program`."""
        return self.checkout

    def command(self, clips: Clips, out: Path) -> list[str]:
        """See `Program`."""
        total = [] if self.frames is None else [f"extraction_total={self.frames}"]
        return [
            str(self.python), "-u", "main.py", "feature_type=clip", "model_name=custom", "device=cpu",
            "on_extraction=save_numpy", f"output_path={out / 'features'}", f"tmp_path={out / 'videos'}",
            f"batch_size={self.batch}", f"file_with_video_paths={clips.paths}", *total,
        ]  # fmt: skip

    def counted(self, out: Path, printed: Sequence[str]) -> tuple[int, int]:
        """See `Program`."""
        return _rows(sorted(out.rglob("*_clip.npy")))


def copy_checkout(given: Path, into: Path, weights: Weights) -> Path:
    """Copy a checkout of video_features, with the random weights as its custom model.

    Raises OusError if the directory is not such a checkout.
    """
    if not (given / "main.py").is_file() or not (given / "models" / "clip").is_dir():
        msg = f"'{given}' is not a checkout of video_features: main.py or models/clip is missing."
        raise OusError(msg)
    shutil.copytree(given, into, ignore=shutil.ignore_patterns(".git", "checkpoints"))
    checkpoints = into / "models" / "clip" / "checkpoints"
    checkpoints.mkdir()
    (checkpoints / "CLIP-custom.pth").symlink_to(weights.pickle.resolve())
    return into


def _rows(arrays: list[Path]) -> tuple[int, int]:
    return len(arrays), sum(len(np.load(path)) for path in arrays)

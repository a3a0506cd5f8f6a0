"""The windows of a long video, as `predict` computes them, beside encoder and detector alone.

The trained head, whose time is small, is not part of it: the bench has no run.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from pipeline.bench.clips import scaled_video, videos_of
from pipeline.bench.result import Goal, Measured
from pipeline.errors import ConfigError
from pipeline.executor.machine import available_cores, decoders_for
from pipeline.process import DecodePool, Models
from pipeline.process.windows import (
    PartDecoder,
    WindowOptions,
    WindowPlan,
    WindowReader,
    plan_windows,
    scan_source,
    stream_frames,
)
from pipeline.types import SourceScan

WINDOW_SECONDS, STRIDE_SECONDS = 2.0, 0.5
IMAGES_PER_FRAME = 2
_MOST_FRAMES = 240
_CHUNK = 16
"""Frames of a call of the detector, as in `predict`."""

Times = npt.NDArray[np.float64]
"""Elapsed seconds, and processor seconds of this process, [2]."""


class Planned(Protocol):
    """A video, its scan, and the plan of its windows."""

    @property
    def path(self) -> Path: ...  # noqa: D102
    @property
    def scan(self) -> SourceScan: ...  # noqa: D102
    @property
    def plan(self) -> WindowPlan: ...  # noqa: D102


PlannedT = TypeVar("PlannedT", bound=Planned)


@dataclass(frozen=True, kw_only=True)
class _PlannedVideo:
    path: Path
    scan: SourceScan
    plan: WindowPlan


def predict(folder: Path, models: Models, into: Path, rounds: int) -> Measured:
    """Compare scan and windows of the longest video with encoder and detector alone, on as many images.

    Args:
        folder: Directory of videos. Of the largest file that decodes, 240 frames are used, in 360p.
        models: Detector and encoder.
        into: Directory for the scaled video.
        rounds: Number of rounds, in which the parts alternate; the best of each counts, and the median of the
            ratios.

    Raises:
        ConfigError: There is no video, or none decodes.
    """
    path = into / "predict.mp4"
    by_size = sorted(videos_of(folder), key=lambda video: video.stat().st_size, reverse=True)
    if not any(scaled_video(video, path, _MOST_FRAMES) for video in by_size):
        msg = f"None of the videos in '{folder}' decodes."
        raise ConfigError(msg)
    with DecodePool(decoders_for(models.device, len(available_cores()))) as decoder:

        def plan() -> _PlannedVideo:
            scan = scan_source(path, cuts=models.config.shots, decoder=decoder)
            windows = plan_windows(
                scan.seconds_N,
                scan.end_seconds,
                scan.cuts or (),
                models.config,
                window_seconds=WINDOW_SECONDS,
                stride_seconds=STRIDE_SECONDS,
            )
            return _PlannedVideo(path=path, scan=scan, plan=windows)

        video = plan()
        reader = read_windows(video, models, decoder)
        least, _, ratios = compare_with_parts(
            models,
            decoder,
            reader.engine.num_encoded,
            plan,
            lambda planned: read_windows(planned, models, decoder),
            rounds,
        )
    engine = reader.engine
    compared = ratios if engine.num_encoded else [math.inf]
    windows = len(video.plan.windows)
    numbers = {
        "video_seconds": video.scan.end_seconds,
        "windows": windows,
        "images_of_windows": engine.num_wanted,
        "images_encoded": engine.num_encoded,
        "seconds": least,
        "of_encoder_and_detector_alone": median(compared),
        "ratio_of_rounds": ratios,
        "times_real_time": video.scan.end_seconds / (least["scan"] + least["predict"]),
    }
    if not engine.num_encoded:
        numbers["not_compared"] = "no face is found in the video"
    shared = engine.num_wanted / engine.num_encoded if engine.num_encoded else math.inf
    return Measured(
        numbers=numbers,
        goals=(
            Goal.of_rounds("(encoder + detector alone) / predict", compared, at_least=0.85, aim=0.95),
            Goal(what="images of the windows / images encoded", value=shared, at_least=2.5, aim=2.9),
        ),
    )


def read_windows(video: Planned, models: Models, decoder: PartDecoder) -> WindowReader:
    """Compute the features of all windows, and return their reader."""
    reader = WindowReader(video.path, video.scan, video.plan, models, WindowOptions(), decoder)
    for _ in reader.batches():
        pass
    return reader


def compare_with_parts(
    models: Models,
    decoder: PartDecoder,
    num_images: int,
    scan: Callable[[], PlannedT],
    predict: Callable[[PlannedT], object],
    rounds: int,
) -> tuple[dict[str, float], dict[str, float], list[float]]:
    """Measure detector, encoder, scan and prediction in turns.

    Args:
        models: Detector and encoder.
        decoder: Decodes the frames of the detector.
        num_images: Images that the prediction encodes.
        scan: Scans and plans the video.
        predict: Everything after the scan.
        rounds: Number of rounds.

    Returns:
        Least elapsed seconds of ``detect``, ``encode``, ``scan`` and ``predict``; least processor seconds of
        this process, which other work on the machine does not lengthen, and which do not contain the
        decoders; and the ratio of each round.
    """
    least = dict.fromkeys(("detect", "encode", "scan", "predict"), math.inf)
    least_cpu, ratios = dict(least), []
    for _ in range(rounds):
        began = _now(models)
        planned = scan()
        scanned = _now(models)
        predict(planned)
        took = {"scan": scanned - began, "predict": _now(models) - scanned}
        took["detect"] = _detect_times(planned, models, decoder)
        took["encode"] = _encode_times(num_images, models)
        ratios.append(ratio_to_parts({name: float(times[0]) for name, times in took.items()}))
        least = {name: min(least[name], float(took[name][0])) for name in least}
        least_cpu = {name: min(least_cpu[name], float(took[name][1])) for name in least}
    return least, least_cpu, ratios


def ratio_to_parts(seconds: dict[str, float]) -> float:
    """Return the time of encoder and detector alone, divided by that of scan and prediction."""
    return (seconds["detect"] + seconds["encode"]) / (seconds["scan"] + seconds["predict"])


def _now(models: Models) -> Times:
    """Return elapsed and processor seconds, after all work of the device."""
    if models.device.type == "cuda":
        torch.cuda.synchronize(models.device)
    return np.array([time.perf_counter(), time.process_time()])


def _detect_times(video: Planned, models: Models, decoder: PartDecoder) -> Times:
    """Return the times of the detector alone on the frames of all windows, without decoding."""
    chunk: list[torch.Tensor] = []
    times = np.zeros(2)

    def detect() -> Times:
        stacked = torch.stack(chunk)
        began = _now(models)
        models.detector.detect(stacked)
        return _now(models) - began

    for frame in stream_frames(video.path, video.scan, video.plan.wanted.tolist(), decoder):
        if frame.rgb_HWC is None:
            continue
        chunk.append(torch.from_numpy(frame.rgb_HWC).to(models.device))
        if len(chunk) == _CHUNK:
            times += detect()
            chunk.clear()
    return times + (detect() if chunk else 0.0)


def _encode_times(num_images: int, models: Models) -> Times:
    """Return the times of the encoder alone, for half as many faces and scenes as images."""
    side = models.images.side_px
    count = num_images // IMAGES_PER_FRAME
    if not count:
        return np.zeros(2)
    images = torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, device=models.device)
    began = _now(models)
    models.encoder.encode(images, early=False)
    models.encoder.encode(images, early=True)
    return _now(models) - began

"""Images that windows share, and the time of `predict` beside that of encoder and detector alone."""

import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.prediction.settings import CPU, decoders, planned, small_models
from pipeline.features import Encoded
from pipeline.own_dir import OwnDir
from pipeline.process import Models
from pipeline.process.windows import PartDecoder, WindowOptions, WindowReader, stream_frames
from pipeline.scratch import ScratchDirectory
from trainer.prediction.extraction import RunModels, load_run_models
from trainer.prediction.outputs import OutputOptions, write_outputs
from trainer.prediction.predict import Predictor
from trainer.prediction.source import PlannedSource, PredictOptions, plan_source
from trainer.runs import Run, load_run

Times = npt.NDArray[np.float64]
"""Elapsed seconds, and processor seconds of this process, [2]."""
_CHUNK = 16
"""Frames of a call of the detector, as in `predict`."""


class _CountingEncoder:
    """Stands in for an encoder where only the number of images matters."""

    batch_pictures = 16

    def encode(self, images: torch.Tensor, *, early: bool, on_batch: object) -> Encoded:
        """Return zeros."""
        early_N43D = torch.zeros(len(images), 4, 3, 1) if early else None
        return Encoded(embedding_NF=torch.zeros(len(images), 1), early_N43D=early_N43D, tokens_NJD=None)


def measure_sharing(video: Path) -> dict[str, Any]:
    """Count the images that are encoded for windows of 2 s every 0.5 s, with 16 frames.

    The faces are detected, and the features are zeros, because the number of images does not depend on them.

    Returns:
        Windows and images, and their ratio to 32 images per window, which nothing shared would need.
    """
    models = small_models()
    encoding = replace(models.encoding, encoder=_CountingEncoder())  # type: ignore[type-var]
    models = replace(models, encoding=encoding)
    with decoders() as decoder:
        scan, plan = planned(video, models.config, decoder)
        reader = WindowReader(video, scan, plan, models, WindowOptions(), decoder)
        answered = sum(sample.features is not None for batch in reader.batches() for sample in batch.samples)
    engine = reader.engine
    return {
        "video_seconds": scan.end_seconds,
        "windows": answered,
        "images_of_windows": engine.num_wanted,
        "images_encoded": engine.num_encoded,
        "ratio": engine.num_encoded / engine.num_wanted,
        "window_seconds": plan.window_seconds,
        "stride_seconds": plan.stride_seconds,
    }


def measure_speed(video: Path, run_path: Path, rounds: int) -> dict[str, Any]:
    """Compare a prediction, with its default files, with encoder and detector alone on as many images.

    Args:
        video: The video.
        run_path: The run.
        rounds: Number of rounds, in which the parts alternate; the best of each counts.

    Returns:
        Ratios of elapsed time, and of the processor time of the main process, which other work on the machine
        does not lengthen. Decoding is in other processes, and not in the latter.
    """
    run = load_run(run_path, device="cpu")
    models = load_run_models(run, CPU)
    options = PredictOptions(window_seconds=2.0, stride_seconds=0.5)
    with decoders() as decoder:
        plan = plan_source(video, models.models.config, run.info, options, decoder)
        reader = WindowReader(video, plan.scan, plan.plan, models.models, WindowOptions(), decoder)
        for _ in reader.batches():
            pass
        counts = {"frames_searched": len(plan.plan.wanted), "images": reader.engine.num_encoded}
        least = {"detect": math.inf, "encode": math.inf, "scan": math.inf, "predict": math.inf}
        ratios = []
        least_cpu = dict(least)
        for _ in range(rounds):
            took, took_cpu = (
                dict(zip(least, times, strict=True))
                for times in zip(
                    _detect_seconds(plan, models.models, decoder),
                    _encode_seconds(counts["images"], models.models),
                    *_predict_seconds(video, run, models, options, decoder),
                    strict=True,
                )
            )
            ratios.append(_ratio(took))
            least = {name: min(least[name], took[name]) for name in least}
            least_cpu = {name: min(least_cpu[name], took_cpu[name]) for name in least}
    return {
        "video_seconds": plan.scan.end_seconds,
        "encoder": run.info.encoder_name,
        "detector": models.models.config.detector.name,
        **counts,
        "seconds": least,
        "processor_seconds": least_cpu,
        "of_encoder_and_detector_alone": _ratio(least),
        "of_encoder_and_detector_alone_without_scan": _ratio({**least, "scan": 0.0}),
        "of_encoder_and_detector_alone_processor": _ratio(least_cpu),
        "ratio_of_rounds": ratios,
        "times_real_time": plan.scan.end_seconds / (least["scan"] + least["predict"]),
    }


def _ratio(seconds: dict[str, float]) -> float:
    return (seconds["detect"] + seconds["encode"]) / (seconds["scan"] + seconds["predict"])


def _now() -> Times:
    return np.array([time.perf_counter(), time.process_time()])


def _detect_seconds(plan: PlannedSource, models: Models, decoder: PartDecoder) -> Times:
    """Return the times of the detector alone on the frames of all windows, without decoding."""
    chunk: list[torch.Tensor] = []
    seconds = np.zeros(2)

    def detect() -> Times:
        stacked = torch.stack(chunk)
        began = _now()
        models.detector.detect(stacked)
        return _now() - began

    for frame in stream_frames(plan.path, plan.scan, plan.plan.wanted.tolist(), decoder):
        assert frame.rgb_HWC is not None, frame.reason
        chunk.append(torch.from_numpy(frame.rgb_HWC).to(models.device))
        if len(chunk) == _CHUNK:
            seconds += detect()
            chunk.clear()
    return seconds + (detect() if chunk else 0.0)


def _encode_seconds(num_images: int, models: Models) -> Times:
    """Return the times of the encoder alone, for half as many faces and scenes as images."""
    side = models.images.side_px
    images = torch.randint(0, 256, (num_images // 2, 3, side, side), dtype=torch.uint8, device=models.device)
    began = _now()
    models.encoder.encode(images, early=False)
    models.encoder.encode(images, early=True)
    return _now() - began


def _predict_seconds(
    video: Path, run: Run, models: RunModels, options: PredictOptions, decoder: PartDecoder
) -> tuple[Times, Times]:
    """Return the times of the scan, and of everything after it up to the written files."""
    with ScratchDirectory("predict") as folder:
        began = _now()
        plan = plan_source(video, models.models.config, run.info, options, decoder)
        scanned = _now()
        out = OwnDir.of(folder)
        prediction = Predictor(run, models, options, decoder).predict(plan, out)
        write_outputs(prediction, plan, out, OutputOptions(), decoder)
        return scanned - began, _now() - scanned

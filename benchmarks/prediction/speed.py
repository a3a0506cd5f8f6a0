"""Images that windows share, and the time of `predict` beside that of encoder and detector alone."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.prediction.settings import CPU, decoders, planned, small_models
from pipeline.bench.prediction import compare_with_parts, ratio_to_parts, read_windows
from pipeline.features import Encoded
from pipeline.own_dir import OwnDir
from pipeline.process.windows import WindowOptions, WindowReader
from pipeline.scratch import ScratchDirectory
from trainer.prediction.extraction import load_run_models
from trainer.prediction.outputs import OutputOptions, write_outputs
from trainer.prediction.predict import Predictor
from trainer.prediction.source import PlannedSource, PredictOptions, plan_source
from trainer.runs import load_run


class _CountingEncoder:
    """Stands in for an encoder where only the number of images matters."""

    batch_pictures = 16

    def encode(self, images: torch.Tensor, *, early: bool, on_batch: object) -> Encoded:
        """Return zeros."""
        num = len(images)
        return Encoded(
            embedding_NF=torch.zeros(num, 1).half(),
            early_N43D=torch.zeros(num, 4, 3, 1).half() if early else None,
            tokens_NJD=None,
            largest_N3=torch.zeros(num, 3),
        )


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
    loaded = load_run_models(run, CPU)
    models = loaded.models
    options = PredictOptions(window_seconds=2.0, stride_seconds=0.5)
    with decoders() as decoder, ScratchDirectory("predict") as folder:

        def scan() -> PlannedSource:
            return plan_source(video, models.config, run.info, options, decoder)

        def predict(source: PlannedSource) -> None:
            out = OwnDir.of(folder / str(len(list(folder.iterdir()))))
            out.make()
            prediction = Predictor(run, loaded, options, decoder).predict(source, out)
            write_outputs(prediction, source, out, OutputOptions(), decoder)

        source = scan()
        num_images = read_windows(source, models, decoder).engine.num_encoded
        least, least_cpu, ratios = compare_with_parts(models, decoder, num_images, scan, predict, rounds)
    end_seconds = source.scan.end_seconds
    return {
        "video": video.name,
        "video_seconds": end_seconds,
        "encoder": run.info.encoder_name,
        "precision": str(models.config.features.precision),
        "detector": models.config.detector.name,
        "frames_searched": len(source.plan.wanted),
        "images": num_images,
        "seconds": least,
        "processor_seconds": least_cpu,
        "of_encoder_and_detector_alone": ratio_to_parts(least),
        "of_encoder_and_detector_alone_without_scan": ratio_to_parts({**least, "scan": 0.0}),
        "of_encoder_and_detector_alone_processor": ratio_to_parts(least_cpu),
        "ratio_of_rounds": ratios,
        "times_real_time": end_seconds / (least["scan"] + least["predict"]),
    }

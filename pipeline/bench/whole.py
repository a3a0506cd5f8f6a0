"""The whole pipeline against its own parts alone, and against the usual script."""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from pipeline.bench.result import Goal, Measured
from pipeline.bench.usual import run_script
from pipeline.process import ExtractConfig, Tools, prepare_clip, untrained_retinaface
from pipeline.runner import LocalCrew, extract
from pipeline.runner.work import WorkerSetup
from pipeline.types import DatasetIndex

_OTHER_BACKBONE = "retinaface-resnet50"


def pipeline(index: DatasetIndex, config: ExtractConfig, device: str, *, other_backbone: bool) -> Measured:
    """A run of `extract`, against encoder and detector alone on the same frames.

    other_backbone: also with the ResNet-50 detector, untrained, for the time that it takes.
    """
    crew = LocalCrew(WorkerSetup(config=config, device=device))
    try:
        crew.brief()
        numbers = {config.detector.name: _against_parts(index, crew, rounds=2)}
        if other_backbone and config.detector.name != _OTHER_BACKBONE:
            crew.worker.tools = _with_other_backbone(crew.worker.tools)
            numbers[f"{_OTHER_BACKBONE}, untrained"] = _against_parts(index, crew, rounds=1)
    finally:
        crew.close()
    ratio = numbers[config.detector.name]["of_encoder_and_detector_alone"]
    goal = Goal(what="whole pipeline / (encoder + detector alone)", value=ratio, at_least=0.9, aim=0.97)
    return Measured(numbers=numbers, goals=(goal,))


def _with_other_backbone(tools: Tools) -> Tools:
    detector = replace(tools.config.detector, name=_OTHER_BACKBONE, weights=None)
    return replace(
        tools,
        config=replace(tools.config, detector=detector),
        detector=untrained_retinaface(detector, tools.device, tools.device_lock),
    )


def _against_parts(index: DatasetIndex, crew: LocalCrew, rounds: int) -> dict[str, float]:
    """Seconds of the parts alone and of the run, in turns; the best of each."""
    tools = crew.worker.tools
    prepared = [prepare_clip(index.root, clip, tools.crop) for clip in index.clips]
    frames = [torch.from_numpy(item.frames.rgb_UHWC).to(tools.device) for item in prepared]
    faces = torch.cat([item.streams.face_U3SS for item in prepared])
    scenes = torch.cat([item.streams.scene_U3SS for item in prepared])
    del prepared
    detect, encode, run = float("inf"), float("inf"), float("inf")
    for _ in range(rounds):
        began = time.perf_counter()
        for clip in frames:
            tools.detector.detect(clip)
        detected = time.perf_counter()
        tools.encoder.encode(faces, early=False)
        tools.encoder.encode(scenes, early=True)
        encoded = time.perf_counter()
        run = min(run, _run_seconds(index, crew))
        detect, encode = min(detect, detected - began), min(encode, encoded - detected)
    clips = len(index.clips)
    return {
        "clips_per_second": clips / run,
        "pictures_per_second": 2 * len(faces) / run,
        "detector_alone_clips_per_second": clips / detect,
        "encoder_alone_clips_per_second": clips / encode,
        "encoder_alone_pictures_per_second": 2 * len(faces) / encode,
        "of_encoder_and_detector_alone": (encode + detect) / run,
        "of_encoder_alone": encode / run,
        "hours_for_16372_clips": 16_372 * run / clips / 3600,
    }


def _run_seconds(index: DatasetIndex, crew: LocalCrew) -> float:
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        done = extract(index, crew.worker.tools.config, crew, Path(folder) / "feats.zarr")
        seconds = time.perf_counter() - began
    assert not done.failures, done.failures
    return seconds


def baseline(index: DatasetIndex, config: ExtractConfig, device: str, num_clips: int) -> Measured:
    """The usual script in a process of its own, against a run of `extract`, on the same clips."""
    crew = LocalCrew(WorkerSetup(config=config, device=device))
    some = replace(index, clips=index.clips[:num_clips])
    try:
        kind = str(crew.worker.tools.device.type)
        run = _run_seconds(some, crew)
    finally:
        crew.close()
    arguments = ["--encoder", config.encoder.name, "--encoder-weights", config.encoder.weights]
    arguments += ["--frames", str(config.frames.num_frames), "--limit", str(num_clips), "--device", kind]
    arguments += [
        "--long-side",
        str(config.detector.long_side or 10**6),
        "--score",
        str(config.detector.score),
    ]
    if config.detector.weights is not None:
        arguments += ["--detector-weights", str(Path(config.detector.weights).resolve())]
    with tempfile.TemporaryDirectory() as folder:
        usual = run_script("baseline", [str(index.root), folder, *arguments])
    usual_seconds = sum(usual["seconds"].values())
    numbers = {
        "clips_per_second": len(some.clips) / run,
        "baseline_clips_per_second": usual["clips"] / usual_seconds,
        "baseline_seconds": usual["seconds"],
        "baseline_detector": usual["detector"],
    }
    ratio = usual_seconds / usual["clips"] * len(some.clips) / run
    goal = Goal(what="whole pipeline / baseline script", value=ratio, at_least=4, aim=6)
    return Measured(numbers=numbers, goals=(goal,))

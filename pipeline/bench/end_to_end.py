"""The whole pipeline, compared with its own parts alone and with the baseline."""

import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch

from pipeline import weights
from pipeline.bench.models import LocalBlockExecutor, is_untrained, start_executor, with_untrained_detector
from pipeline.bench.result import Goal, Measured
from pipeline.bench.separate_process import run_module
from pipeline.process import ExtractConfig, Models, make_decode_job, prepare_clip
from pipeline.runner import extract, model_info
from pipeline.scratch import ScratchDirectory
from pipeline.types import ClipFailed, DatasetIndex

_OTHER_BACKBONE = "retinaface-resnet50"
_BASELINE_NETWORK = "retinaface-mobilenet0.25"
"""The network whose weights the baseline reads; with another detector, it has a random ResNet-50."""
_CLIPS_ALONE = 256
"""Most clips for encoder and detector alone; the frames and stream images of a clip take 16 MB of memory."""


def pipeline(
    index: DatasetIndex, config: ExtractConfig, device: str, rounds: int, *, other_backbone: bool
) -> Measured:
    """Compare a run of `extract` with encoder and detector alone, on the same frames, and with the decoders.

    Args:
        index: The clips.
        config: The settings of all steps.
        device: ``auto``, ``cpu`` or ``cuda``.
        rounds: Number of rounds, in which parts and run alternate; the best of each counts, and the median of
            the ratios.
        other_backbone: Whether the untrained ResNet-50 detector is measured too, with the encoder's time of
            the first detector.
    """
    executor = start_executor(config, device)
    try:
        block_clips = model_info(executor).block_clips
        first = _against_parts(index, executor, rounds)
        numbers: dict[str, Any] = {"clips": len(index.clips), "block_clips": block_clips}
        numbers |= {"blocks": -(-len(index.clips) // block_clips), "rounds": rounds}
        numbers[config.detector.name] = first
        if other_backbone and config.detector.name != _OTHER_BACKBONE:
            detector = replace(config.detector, name=_OTHER_BACKBONE, weights=None)
            executor.worker.models = with_untrained_detector(executor.worker.models, detector)
            encode = 1 / first["encoder_alone_clips_per_second"]
            other = _against_parts(index, executor, 1, encode_seconds_per_clip=encode)
            numbers[f"{_OTHER_BACKBONE}, untrained"] = other
    finally:
        executor.close()
    return Measured(numbers=numbers, goals=pipeline_goals(first))


def pipeline_goals(found: dict[str, Any]) -> tuple[Goal, ...]:
    """Return the goals for the run and its decoders, as ratios to other numbers of the same device."""
    ratios = found["ratios_of_rounds"]
    parts = "(encoder + detector alone)"
    return (
        Goal.of_rounds(f"whole pipeline / {parts}", ratios["run"], at_least=0.9, aim=0.97),
        Goal.of_rounds(f"decoders alone / {parts}", ratios["decoders"], at_least=1.2, aim=2),
    )


def _against_parts(
    index: DatasetIndex,
    executor: LocalBlockExecutor,
    rounds: int,
    *,
    encode_seconds_per_clip: float | None = None,
) -> dict[str, Any]:
    """Measure the parts alone on the first clips, and the run on all clips; the best of each counts.

    Args:
        index: The clips.
        executor: One worker in this process.
        rounds: Number of rounds, in which parts and run alternate.
        encode_seconds_per_clip: Time of the encoder for the same images, if it is known.
    """
    models, clips = executor.worker.models, len(index.clips)
    some = index.clips[:_CLIPS_ALONE]
    frames, faces, scenes = prepared_images(replace(index, clips=some), models)
    encode = detect = run = decode = float("inf")
    ratios: dict[str, list[float]] = {"run": [], "decoders": []}
    for _ in range(rounds):
        began = time.perf_counter()
        for clip in frames:
            models.detector.detect(clip)
        detected = (time.perf_counter() - began) / len(some)
        if encode_seconds_per_clip is None:
            began = time.perf_counter()
            models.encoder.encode(faces, early=False)
            models.encoder.encode(scenes, early=True)
            encoded = (time.perf_counter() - began) / len(some)
        else:
            encoded = encode_seconds_per_clip
        decoded = _decode_seconds(replace(index, clips=some), executor) / len(some)
        ran = run_seconds(index, executor) / clips
        ratios["run"].append((encoded + detected) / ran)
        ratios["decoders"].append((encoded + detected) / decoded)
        detect, encode = min(detect, detected), min(encode, encoded)
        decode, run = min(decode, decoded), min(run, ran)
    pictures = 2 * len(faces) / len(some)
    return {
        "clips_per_second": 1 / run,
        "pictures_per_second": pictures / run,
        "clips_of_parts_alone": len(some),
        "detector_alone_clips_per_second": 1 / detect,
        "encoder_alone_clips_per_second": 1 / encode,
        "decoders": executor.worker.num_decoders,
        "decoders_alone_clips_per_second": 1 / decode,
        "encoder_alone_pictures_per_second": pictures / encode,
        "of_encoder_and_detector_alone": median(ratios["run"]),
        "of_encoder_alone": encode / run,
        "decoders_of_encoder_and_detector_alone": median(ratios["decoders"]),
        "ratios_of_rounds": ratios,
        "hours_for_16372_clips": 16_372 * run / 3600,
    }


def prepared_images(
    index: DatasetIndex, models: Models
) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
    """Return the clips' frames, face images and scene images, on the device."""
    frames, faces, scenes = [], [], []
    for clip in index.clips:
        item, rgb_UHWC = prepare_clip(index.root, clip, models)
        frames.append(torch.from_numpy(rgb_UHWC).to(models.device))
        faces.append(item.streams.face_U3SS.to(models.device))
        scenes.append(item.streams.scene_U3SS.to(models.device))
    return frames, torch.cat(faces), torch.cat(scenes)


def _decode_seconds(index: DatasetIndex, executor: LocalBlockExecutor) -> float:
    """Return the seconds in which the running decoders decode all clips, without other work."""
    jobs = [make_decode_job(index.root, clip, executor.worker.models.config) for clip in index.clips]
    began = time.perf_counter()
    for _, answer in executor.worker.decoder.stream(jobs):
        assert not isinstance(answer, ClipFailed), answer
    return time.perf_counter() - began


def run_seconds(index: DatasetIndex, executor: LocalBlockExecutor) -> float:
    """Return the seconds of `extract` on all clips into a temporary cache."""
    with ScratchDirectory("bench") as folder:
        began = time.perf_counter()
        done = extract(index, executor.worker.models.config, executor, folder / "feats.zarr")
        seconds = time.perf_counter() - began
    assert not done.failures, done.failures
    return seconds


def baseline(index: DatasetIndex, config: ExtractConfig, device: str, num_clips: int) -> Measured:
    """Compare a run of `extract` with the baseline, which has a process of its own, on the same clips.

    A detector with random weights is not compared, because its network is not the baseline's, and the faces
    of both are random. Only with `_BASELINE_NETWORK` both have one network with the same weights;
    `baseline_detector` in the result names the baseline's.

    Args:
        index: The clips.
        config: The settings of all steps.
        device: ``auto``, ``cpu`` or ``cuda``.
        num_clips: Most clips for the comparison.
    """
    if is_untrained(config.detector):
        return Measured(
            numbers={"not_compared": "the detector has random weights; give --detector-weights FILE"}
        )
    executor = start_executor(config, device)
    some = replace(index, clips=index.clips[:num_clips])
    try:
        kind = str(executor.worker.models.device.type)
        run = run_seconds(some, executor)
    finally:
        executor.close()
    arguments = ["--encoder", config.encoder.name, "--encoder-weights", config.encoder.weights]
    arguments += ["--frames", str(config.frames.num_frames), "--limit", str(num_clips), "--device", kind]
    arguments += [
        "--long-side",
        str(config.detector.long_side or 10**6),
        "--score",
        str(config.detector.score),
    ]
    if config.detector.name == _BASELINE_NETWORK:
        given = None if config.detector.weights is None else Path(config.detector.weights).expanduser()
        arguments += ["--detector-weights", str(weights.locate(config.detector.name, given).resolve())]
    with ScratchDirectory("bench") as folder:
        found = run_module("pipeline.bench.baselines", index.root, folder, *arguments)
    baseline_seconds = sum(found["seconds"].values())
    numbers = {
        "clips_per_second": len(some.clips) / run,
        "baseline_clips_per_second": found["clips"] / baseline_seconds,
        "baseline_seconds": found["seconds"],
        "baseline_detector": found["detector"],
    }
    ratio = baseline_seconds / found["clips"] * len(some.clips) / run
    goal = Goal(what="whole pipeline / baseline script", value=ratio, at_least=4, aim=6)
    return Measured(numbers=numbers, goals=(goal,))

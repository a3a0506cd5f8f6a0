"""Decoding, detection and writing, each alone and compared with its baseline.

Letters: U frames; H, W frame.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from av.video.reformatter import VideoReformatter

from pipeline.bench.baselines import LibraryDetector, read_frames
from pipeline.bench.clips import videos_of
from pipeline.bench.encoding import best_seconds
from pipeline.bench.models import is_untrained, load_bench_detector
from pipeline.bench.result import Goal, Measured
from pipeline.device import exact_float32
from pipeline.faces import FaceDetector
from pipeline.frames import FrameConfig, sample_indices
from pipeline.process import ExtractConfig, InlineDecoder, Models
from pipeline.process.prepare import make_decode_job
from pipeline.runner.cache_setup import describe
from pipeline.runner.model_metadata import ModelInfo
from pipeline.scratch import ScratchDirectory
from pipeline.store.clip_table import table_of
from pipeline.store.writer import CacheWriter
from pipeline.types import Bytes, ClipFailed, ClipRef, DatasetIndex, Floats, Frames, Split, Status


def decoded_clips(index: DatasetIndex, config: ExtractConfig) -> tuple[list[Bytes], float]:
    """Return the sampled frames [U, H, W, 3] of every clip, and the seconds of one core for all."""
    jobs = [make_decode_job(index.root, clip, config) for clip in index.clips]
    frames, seconds = [], 0.0
    for _, answer in InlineDecoder().stream(jobs):
        assert not isinstance(answer, ClipFailed), answer
        frames.append(answer.frames.rgb_UHWC)
        seconds += answer.seconds
    return frames, seconds


def decode(index: DatasetIndex, config: ExtractConfig, repeats: int) -> Measured:
    """Compare decoding in one thread with OpenCV's seek per frame, on the same clips.

    Args:
        index: The clips.
        config: The settings of all steps.
        repeats: Number of measurements; the best counts.
    """
    clips = len(index.clips)
    ours, theirs = float("inf"), float("inf")
    for _ in range(repeats):
        ours = min(ours, decoded_clips(index, config)[1])
        began = time.perf_counter()
        for clip in index.clips:
            read_frames(index.root / clip.path, config.frames.num_frames)
        theirs = min(theirs, time.perf_counter() - began)
    numbers = {"clips_per_second_core": clips / ours, "opencv_seek_clips_per_second": clips / theirs}
    goal = Goal(what="decode, clips/s/core / OpenCV seek per frame", value=theirs / ours, at_least=6, aim=7)
    return Measured(numbers=numbers, goals=(goal,))


def seek(folder: Path, config: ExtractConfig) -> Measured:
    """Check that the sampled frames of every decodable file are equal to those of a sequential read."""
    files = {path.name: _same_as_sequential(path, config) for path in videos_of(folder)}
    checked = [same for same in files.values() if same is not None]
    fraction = sum(checked) / max(1, len(checked))
    goal = Goal(what="files whose frames are those of a sequential read", value=fraction, at_least=1, aim=1)
    return Measured(numbers={"same_frames": files}, goals=(goal,))


def _same_as_sequential(path: Path, config: ExtractConfig) -> bool | None:
    """Return whether a file's frames are those of a sequential read; None if it does not decode."""
    clip = ClipRef(clip_id=path.name, path=path.name, label=0, splits=(Split.TRAIN,))
    ((_, answer),) = InlineDecoder().stream([make_decode_job(path.parent, clip, config)])
    return None if isinstance(answer, ClipFailed) else same_frames(answer.frames, path, config.frames)


def same_frames(frames: Frames, path: Path, config: FrameConfig) -> bool:
    """Return whether sampled frames are equal, in number and in every byte, to those of a sequential read.

    All frames must have one common orientation, which may be any of the eight, because the sequential read
    does not apply the display matrix.

    Args:
        frames: Sampled frames.
        path: The video.
        config: Settings of the sampling.
    """
    row_of = {index: row for row, index in enumerate(frames.meta.index_U.tolist())}
    ways = [(quarter, mirror) for quarter in range(4) for mirror in (False, True)]
    number = 0
    for number, rgb_HWC in enumerate(_sequential(path), start=1):
        row = row_of.get(number - 1)
        if row is not None:
            ours_HWC = frames.rgb_UHWC[row]
            ways = [way for way in ways if np.array_equal(_turned(rgb_HWC, *way), ours_HWC)]
    expected_U = np.unique(sample_indices(number, config)[0]) if number else np.empty(0)
    return (
        bool(ways) and number == frames.meta.num_decoded and np.array_equal(frames.meta.index_U, expected_U)
    )


def _turned(rgb_HWC: Bytes, quarter: int, mirror: bool) -> Bytes:  # noqa: FBT001
    return np.rot90(rgb_HWC[:, ::-1] if mirror else rgb_HWC, quarter)


def _sequential(path: Path) -> Iterator[Bytes]:
    """Yield every frame that decodes, as RGB with square pixels, in the size of the first."""
    reformatter, width, height = VideoReformatter(), 0, 0
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1  # with more, damaged frames are concealed in another way
        for packet in container.demux(stream):
            try:
                pictures = packet.decode()
            except av.FFmpegError:
                continue
            for picture in pictures:
                if not width:
                    aspect = float(stream.sample_aspect_ratio or 1)
                    width, height = max(1, round(picture.width * aspect)), picture.height
                rgb = reformatter.reformat(picture, width, height, "rgb24", threads=1)
                yield np.asarray(rgb.to_ndarray(), dtype=np.uint8)


def detect(models: Models, frames: list[Bytes], repeats: int) -> Measured:
    """Compare detection in batches with the library's one image per call, at the same input size.

    Both process the same frames. The goals are at equal precision, float32; the numbers also contain the
    default precision. A detector with random weights is not compared, because the library would suppress
    thousands of meaningless boxes.

    Args:
        models: The detector; the encoder is not used.
        frames: Frames of each clip, RGB [U, H, W, 3].
        repeats: Number of measurements; the best counts.
    """
    config, device = models.config.detector, models.device
    if is_untrained(config):
        return Measured(numbers=_untrained_numbers(models, frames, repeats))
    library = LibraryDetector(config.weights, device, config.long_side, config.score)
    on_device = [torch.from_numpy(clip).to(device) for clip in frames]
    num_frames = sum(len(clip) for clip in frames)
    exact = _in_float32(models)
    theirs, in_float32, ours = float("inf"), float("inf"), float("inf")
    for _ in range(repeats):
        theirs = min(theirs, best_seconds(lambda: _one_by_one(library, frames), 0, device))
        in_float32 = min(in_float32, _detect_seconds(exact, on_device))
        ours = (
            in_float32 if exact is models.detector else min(ours, _detect_seconds(models.detector, on_device))
        )
    numbers: dict[str, Any] = {
        "detector": models.detector.name,
        "precision": models.detector.precision,
        "frames": num_frames,
        "frames_per_second": num_frames / ours,
        "frames_per_second_fp32": num_frames / in_float32,
        "library_frames_per_second": num_frames / theirs,
    }
    if library.name != models.detector.name:
        return Measured(numbers=numbers)
    numbers["ratio_in_default_precision"] = theirs / ours
    limits = (1.5, 10.0) if device.type == "cpu" else (10.0, 10.0)
    what = "detection / the library's per-image path, fp32"
    goals = [Goal(what=what, value=theirs / in_float32, at_least=limits[0], aim=limits[1])]
    if config.weights is not None:  # else the library's network has random weights
        answers = [_boxes(found) for found in _one_by_one(library, frames)]
        apart, others = pixels_apart(answers, _found(exact, on_device))
        apart = float("inf") if others else apart
        goals.append(Goal(what="... boxes apart, px, fp32", value=apart, at_least=0.5, aim=0.01, below=True))
        apart, others = pixels_apart(answers, _found(models.detector, on_device))
        numbers["boxes_apart_px_in_default_precision"] = apart
        numbers["frames_with_other_faces_in_default_precision"] = others
    return Measured(numbers=numbers, goals=tuple(goals))


def _untrained_numbers(models: Models, frames: list[Bytes], repeats: int) -> dict[str, Any]:
    """Measure the speed of a detector with random weights."""
    on_device = [torch.from_numpy(clip).to(models.device) for clip in frames]
    num_frames = sum(len(clip) for clip in frames)
    seconds = min(_detect_seconds(models.detector, on_device) for _ in range(repeats))
    return {
        "detector": f"{models.detector.name}, random weights",
        "precision": models.detector.precision,
        "frames": num_frames,
        "frames_per_second": num_frames / seconds,
    }


def _one_by_one(library: LibraryDetector, frames: list[Bytes]) -> list[list[dict[str, Any]]]:
    """Return the library's faces, frame by frame, in float32 as ours."""
    with exact_float32():
        return [library(frame) for clip in frames for frame in clip]


def _in_float32(models: Models) -> FaceDetector:
    config = replace(models.config.detector, precision="fp32")
    return (
        models.detector if models.detector.precision == "fp32" else load_bench_detector(config, models.device)
    )


def _detect_seconds(detector: FaceDetector, on_device: list[torch.Tensor]) -> float:
    return best_seconds(lambda: [detector.detect(clip) for clip in on_device], 1, on_device[0].device)


def _found(detector: FaceDetector, on_device: list[torch.Tensor]) -> list[Floats]:
    return [faces.box_xyxy_px for clip in on_device for faces in detector.detect(clip)]


def _boxes(faces: list[dict[str, Any]]) -> Floats:
    return np.array([face["bbox"] for face in faces], np.float32).reshape(-1, 4)


def pixels_apart(theirs: list[Floats], ours: list[Floats]) -> tuple[float, int]:
    """Compare the boxes of two detectors; each box is compared with the nearest one of the other detector.

    Args:
        theirs: Boxes [N, 4] of each frame.
        ours: Boxes of the other detector, frame by frame.

    Returns:
        Largest distance between edges of the same face, in pixels, and the number of frames on which the
        numbers of faces differ. Boxes of those frames are not compared.
    """
    worst, others = 0.0, 0
    for their_N4, our_N4 in zip(theirs, ours, strict=True):
        if len(their_N4) != len(our_N4):
            others += 1
        elif len(our_N4):
            apart_NN = np.abs(their_N4[:, None] - our_N4[None]).max(axis=2)
            worst = max(worst, float(apart_NN.min(axis=0).max()), float(apart_NN.min(axis=1).max()))
    return worst, others


def write(models: Models, index: DatasetIndex, repeats: int) -> Measured:
    """Measure the writing of full blocks to a new cache, with the buffering of the file system.

    Args:
        models: The models, which determine the sizes of arrays.
        index: The clips.
        repeats: Number of measurements; the best counts.
    """
    info = ModelInfo.of(models, 1)
    meta = describe(index, models.config, info)
    best, num_bytes = float("inf"), 0
    for _ in range(repeats):
        with ScratchDirectory("bench") as folder:
            writer = CacheWriter.create(folder / "feats.zarr", meta, table_of(index.clips, index))
            began = time.perf_counter()
            for start in range(0, meta.num_clips, meta.block_clips):
                rows = writer.empty_rows(start)
                for name in rows:
                    if rows[name].dtype == np.float16:
                        rows[name][:] = 1
                rows["status"][:] = Status.DONE
                writer.write_block(start, rows)
                num_bytes += sum(array.nbytes for array in rows.values())
            best = min(best, time.perf_counter() - began)
    megabytes = num_bytes / repeats / 1e6
    return Measured(numbers={"clips_per_second": meta.num_clips / best, "mb_per_second": megabytes / best})

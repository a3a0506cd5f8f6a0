"""Decoding, detection and writing, each alone and against the usual way.

Letters: U frames; H, W picture.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from av.video.reformatter import VideoReformatter

from pipeline.bench.encoding import best_seconds
from pipeline.bench.material import videos_of
from pipeline.bench.result import Goal, Measured
from pipeline.bench.usual import usual_way
from pipeline.frames import FrameConfig, sample_indices
from pipeline.process import ExtractConfig, InlineDecoder, Tools
from pipeline.process.block import decode_job
from pipeline.runner.opening import describe, static_rows
from pipeline.runner.work import Brief
from pipeline.store.writer import CacheWriter
from pipeline.types import Bytes, ClipFailed, ClipRef, DatasetIndex, Frames, Split, Status


def decoded_clips(index: DatasetIndex, config: ExtractConfig) -> tuple[list[Bytes], float]:
    """The sampled frames [U, H, W, 3] of every clip, and the seconds of one core that they took."""
    jobs = [decode_job(index.root, clip, config) for clip in index.clips]
    frames, seconds = [], 0.0
    for _, answer in InlineDecoder().stream(jobs):
        assert not isinstance(answer, ClipFailed), answer
        frames.append(answer.frames.rgb_UHWC)
        seconds += answer.seconds
    return frames, seconds


def decode(index: DatasetIndex, config: ExtractConfig, repeats: int) -> Measured:
    """Decoding in one thread, against OpenCV seeking every frame, on the same clips."""
    clips = len(index.clips)
    read_frames = usual_way("baseline").read_frames
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
    """Whether every file of the folder that decodes gives the frames of a sequential read."""
    files = {path.name: _same_as_sequential(path, config) for path in videos_of(folder)}
    checked = [same for same in files.values() if same is not None]
    share = sum(checked) / max(1, len(checked))
    goal = Goal(what="files whose frames are those of a sequential read", value=share, at_least=1, aim=1)
    return Measured(numbers={"same_frames": files}, goals=(goal,))


def _same_as_sequential(path: Path, config: ExtractConfig) -> bool | None:
    """None for a file that does not decode."""
    clip = ClipRef(clip_id=path.name, path=path.name, label=0, splits=(Split.TRAIN,))
    ((_, answer),) = InlineDecoder().stream([decode_job(path.parent, clip, config)])
    return None if isinstance(answer, ClipFailed) else same_frames(answer.frames, path, config.frames)


def same_frames(frames: Frames, path: Path, config: FrameConfig) -> bool:
    """Whether the frames are those that a plain read of the whole file gives: numbers and every byte.

    All lie the same way up, one of eight, which only the player's wish decides.
    """
    row_of = {index: row for row, index in enumerate(frames.index_U.tolist())}
    ways = [(quarter, mirror) for quarter in range(4) for mirror in (False, True)]
    number = 0
    for number, rgb_HWC in enumerate(_sequential(path), start=1):
        row = row_of.get(number - 1)
        if row is not None:
            ours_HWC = frames.rgb_UHWC[row]
            ways = [way for way in ways if np.array_equal(_turned(rgb_HWC, *way), ours_HWC)]
    expected_U = np.unique(sample_indices(number, config)[0]) if number else np.empty(0)
    return bool(ways) and number == frames.num_decoded and np.array_equal(frames.index_U, expected_U)


def _turned(rgb_HWC: Bytes, quarter: int, mirror: bool) -> Bytes:  # noqa: FBT001
    return np.rot90(rgb_HWC[:, ::-1] if mirror else rgb_HWC, quarter)


def _sequential(path: Path) -> Iterator[Bytes]:
    """Every frame that decodes, as RGB with square pixels, of the size of the first."""
    reformatter, width, height = VideoReformatter(), 0, 0
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1  # with more, damaged pictures are mended otherwise
        for packet in container.demux(stream):
            try:
                pictures = packet.decode()
            except av.FFmpegError:
                continue
            for picture in pictures:
                if not width:
                    aspect = float(stream.sample_aspect_ratio or 1)
                    width, height = max(1, round(picture.width * aspect)), picture.height
                yield reformatter.reformat(picture, width, height, "rgb24", threads=1).to_ndarray()


def detect(tools: Tools, frames: list[Bytes], repeats: int) -> Measured:
    """Detection in batches, against the library's way, one picture a call, at the same input size."""
    detector, config = tools.detector, tools.config.detector
    device = tools.device
    usual = usual_way("baseline").Detector(config.weights, device, config.long_side, config.score)
    on_device = [torch.from_numpy(clip).to(device) for clip in frames]
    num_frames = sum(len(clip) for clip in frames)
    ours, theirs = float("inf"), float("inf")
    for _ in range(repeats):
        ours = min(ours, best_seconds(lambda: [detector.detect(clip) for clip in on_device], 1, device))
        began = time.perf_counter()
        answers = [usual(frame) for frame in frames[0]]
        theirs = min(theirs, (time.perf_counter() - began) / len(frames[0]))
    numbers: dict[str, Any] = {
        "detector": detector.name,
        "frames_per_second": num_frames / ours,
        "library_frames_per_second": 1 / theirs,
        "precision": detector.precision,
    }
    if usual.name == detector.name:
        limits = (1.5, 10.0) if device.type == "cpu" else (10.0, 10.0)
        ratio = theirs * num_frames / ours
        what = "detection / the library's per-image path"
        goals = [Goal(what=what, value=ratio, at_least=limits[0], aim=limits[1])]
        if detector.precision == "fp32":
            apart = _pixels_apart(answers, [faces.box_xyxy_px for faces in detector.detect(on_device[0])])
            goals.append(Goal(what="... boxes apart, px", value=apart, at_least=0.5, aim=0.01, below=True))
        return Measured(numbers=numbers, goals=tuple(goals))
    return Measured(numbers=numbers)


def _pixels_apart(theirs: list[list[dict[str, Any]]], ours: list[Any]) -> float:
    """How far the edges of the same faces lie apart at most; infinite where the faces are not the same."""
    worst = 0.0
    for faces, boxes in zip(theirs, ours, strict=True):
        if len(faces) != len(boxes):
            return float("inf")
        if faces:
            worst = max(worst, float(np.abs(np.array([f["bbox"] for f in faces]) - boxes).max()))
    return worst


def write(tools: Tools, index: DatasetIndex, repeats: int) -> Measured:
    """Blocks of full arrays written to a new cache, the file system's own buffering included."""
    brief = Brief.of(tools, 1)
    meta = describe(index, tools.config, brief)
    best, num_bytes = float("inf"), 0
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            writer = CacheWriter.create(Path(folder) / "feats.zarr", meta, static_rows(index))
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

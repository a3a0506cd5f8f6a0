"""Step `decoding`: speed of one core, then of several processes, which must reach the GPU's clips/s."""

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import av

from benchmarks.gpu_steps.context import Context, num_cores
from benchmarks.gpu_steps.inputs import extract_config, read_clips
from pipeline.process import DecodePool, InlineDecoder, make_decode_job
from pipeline.runner.worker import _buffer_for
from pipeline.types import ClipFailed

_CLIPS, _CLIPS_OF_ONE_CORE = 256, 16


def run(context: Context) -> None:
    """Decode the same clips by one core, and by child processes of a process that drops the frames."""
    index, config = read_clips(context, context.size(_CLIPS, 4)), extract_config(context)
    jobs = [make_decode_job(index.root, clip, config) for clip in index.clips]
    frames, clip = _described(jobs[:_CLIPS_OF_ONE_CORE])
    context.results.numbers("clips", clip)
    context.results.measure("one core", partial(_one_core, jobs[:_CLIPS_OF_ONE_CORE], frames))
    cores = num_cores()
    counts = sorted({4, 8, 12, max(1, cores - 1), 2 * cores})
    for children in context.size(counts, [2]):
        context.results.measure(
            "children", partial(_pool, context, jobs, frames, children), children=children
        )


def _described(jobs: list[Any]) -> tuple[float, Mapping[str, Any]]:
    """Return the mean number of frames of a file, and the clips' frames and sizes."""
    frames, sizes = [], set()
    for job in jobs:
        with av.open(str(job.path)) as container:
            stream = container.streams.video[0]
            frames.append(stream.frames)
            sizes.add(f"{stream.width}x{stream.height}")
    mean = sum(frames) / len(frames)
    return mean, {
        "frames_per_clip": mean,
        "frames_kept": jobs[0].config.num_frames,
        "sizes": " ".join(sorted(sizes)),
    }


def _one_core(jobs: list[Any], frames_per_clip: float) -> Mapping[str, Any]:
    began = time.perf_counter()
    for _, answer in InlineDecoder().stream(jobs):
        assert not isinstance(answer, ClipFailed), answer
    seconds = (time.perf_counter() - began) / len(jobs)
    return {"clips_per_second": 1 / seconds, "frames_per_second": frames_per_clip / seconds}


def _pool(context: Context, jobs: list[Any], frames_per_clip: float, children: int) -> Mapping[str, Any]:
    """Measure running children, until this process has the last frame; `busy` is the mean utilisation."""
    num_bytes, work = 0, 0.0
    with DecodePool(children, buffer=_buffer_for(context.device)) as pool:
        for _ in pool.stream(jobs[:children]):
            pass
        began = time.perf_counter()
        for _, answer in pool.stream(jobs):
            assert not isinstance(answer, ClipFailed), answer
            num_bytes += answer.frames.rgb_UHWC.nbytes
            work += answer.seconds
        seconds = time.perf_counter() - began
    return {
        "clips_per_second": len(jobs) / seconds,
        "frames_per_second": frames_per_clip * len(jobs) / seconds,
        "gb_per_second": 1e-9 * num_bytes / seconds,
        "busy": work / seconds / children,
    }

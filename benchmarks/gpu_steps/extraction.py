"""Step `extraction`: `extract` without and with single changes, on the same clips in one process.

The number of clips is chosen by the card's speed, so that a run takes about 12 seconds, or less on a card for
which 4,096 clips are too few. The first way is measured again at the end, and the difference between these
two runs is the noise. `gpu_utilisation`, `busy` and `kernels_of_wall` show how idle the device is.
"""

import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.gpu_steps import changes
from benchmarks.gpu_steps.context import Context
from benchmarks.gpu_steps.inputs import (
    MOBILENET,
    NUM_CLIPS,
    RESNET,
    detector_config,
    extract_config,
    read_clips,
)
from benchmarks.gpu_steps.kernels import PROFILE, kernel_times
from benchmarks.gpu_steps.monitor import GpuMonitor
from pipeline.bench.models import LocalBlockExecutor, is_untrained, start_executor, with_untrained_detector
from pipeline.process import DecodePool, make_decode_job
from pipeline.runner import RunReport, extract, model_info
from pipeline.store.meta import RANDOM_WEIGHTS
from pipeline.types import DatasetIndex

_CLIPS_OF_DFEW = 16_372
_SECONDS_OF_A_RUN = 12.0
_WARM_UP_BLOCKS = 2
_FEW_DECODERS = 8


class Extraction:
    """A worker with its clips, and runs of `extract` on them."""

    def __init__(self, context: Context, executor: LocalBlockExecutor) -> None:
        self._context = context
        self.executor = executor
        self.block_clips = model_info(executor).block_clips

    def run(self, num_clips: int) -> tuple[RunReport, float, Mapping[str, Any]]:
        """Extract clips to a new cache; return the report, the seconds and the GPU's samples.

        Raises RuntimeError if a clip fails.
        """
        index = self.clips(num_clips)
        with tempfile.TemporaryDirectory(dir=self._context.options.work) as folder:
            with GpuMonitor(is_cuda=self._context.is_cuda) as monitor:
                began = time.perf_counter()
                report = extract(
                    index, self.executor.worker.models.config, self.executor, Path(folder) / "feats.zarr"
                )
                seconds = time.perf_counter() - began
            if report.failures:
                msg = f"{report.num_failed} clips failed, the first with: {report.failures[0]}"
                raise RuntimeError(msg)
            return report, seconds, monitor.numbers

    def numbers(self, num_clips: int) -> Mapping[str, Any]:
        """Return the speed of a run, and the utilisation of its stages and the device."""
        report, seconds, sampled = self.run(num_clips)
        assert report.speed is not None
        return {
            "clips": num_clips,
            "seconds": seconds,
            "clips_per_second": num_clips / seconds,
            "images_per_second": report.speed.pictures / seconds,
            "minutes_for_16372_clips": _CLIPS_OF_DFEW * seconds / num_clips / 60,
            "busy": report.speed.busy,
            "face_found_share": report.face_found_share,
            "warnings": list(report.warnings),
            **sampled,
        }

    def clips(self, num_clips: int) -> DatasetIndex:
        """Return the first clips of the run."""
        return read_clips(self._context, num_clips)

    def warm_up(self, pool: DecodePool) -> None:
        """Let new decoding children start and decode a block."""
        index = self.clips(self.block_clips)
        jobs = [make_decode_job(index.root, clip, self.executor.worker.models.config) for clip in index.clips]
        for _ in pool.stream(jobs):
            pass


def run(context: Context) -> None:
    """Extract in every way, each change by itself and then all together."""
    config = extract_config(context)
    began = time.perf_counter()
    executor = start_executor(config, context.options.device)
    extraction = Extraction(context, executor)
    started = {"seconds": time.perf_counter() - began, "decoders": executor.worker.num_decoders}
    context.results.numbers("start of a worker", started, encoder=config.encoder.name)
    try:
        _all_runs(context, extraction)
    finally:
        executor.close()


def _all_runs(context: Context, extraction: Extraction) -> None:
    worker, cuda, few = extraction.executor.worker, context.unless_cuda, context.size(_FEW_DECODERS, 2)
    num_clips = _number_of_clips(context, extraction)

    def few_decoders() -> Any:
        return changes.decoders(worker, few, extraction.warm_up)

    def three_threads() -> Any:
        return changes.threads(3)

    aside = changes.detection_on_own_stream
    way = partial(_measured, context, extraction, num_clips)
    has_few = worker.num_decoders <= few and not context.options.is_tiny
    way("none")
    way("detection on a high-priority stream", aside, unless=cuda)
    way(f"{few} decoders", few_decoders, unless="there are no more by default" if has_few else "")
    way("3 threads", three_threads)
    way("high-priority stream and 3 threads", aside, three_threads, unless=cuda)
    plain_seconds = way("none, again")
    context.results.measure(
        "kernels of extract",
        partial(_kernels, context, extraction, num_clips, plain_seconds),
        unless=cuda or ("" if plain_seconds else "there is no run without the profiler to compare with"),
        detector=MOBILENET,
    )
    worker.models = with_untrained_detector(worker.models, detector_config(context, RESNET))
    least = context.size(_WARM_UP_BLOCKS * extraction.block_clips, 1)
    way = partial(_measured, context, extraction, max(num_clips // 2, min(num_clips, least)))
    way("none")
    way("detection on a high-priority stream", aside, unless=cuda)


def _measured(
    context: Context,
    extraction: Extraction,
    num_clips: int,
    change: str,
    *made: changes.Change,
    unless: str = "",
) -> float:
    """Record a run with changes, and return its seconds, 0 if it failed.

    Args:
        context: Context of the step.
        extraction: Worker and clips.
        num_clips: Number of clips.
        change: Name of the changes.
        made: The changes.
        unless: Reason to skip the run; empty to make it.
    """
    found: dict[str, Any] = {}

    def numbers() -> Mapping[str, Any]:
        with ExitStack() as stack:
            for one in made:
                stack.enter_context(one())
            found.update(extraction.numbers(num_clips))
        return found

    detector = extraction.executor.worker.models.config.detector
    weights = RANDOM_WEIGHTS if is_untrained(detector) else "published"
    context.results.measure(
        "extract", numbers, unless=unless, detector=detector.name, weights=weights, change=change
    )
    return float(found.get("seconds", 0.0))


def _number_of_clips(context: Context, extraction: Extraction) -> int:
    """Return the number of clips, in whole blocks, for about 12 seconds, by the second of two short runs."""
    if context.options.is_tiny:
        return 4
    few = _WARM_UP_BLOCKS * extraction.block_clips
    extraction.run(few)
    _, seconds, _ = extraction.run(few)
    blocks = round(_SECONDS_OF_A_RUN / seconds * few / extraction.block_clips)
    most = NUM_CLIPS // extraction.block_clips
    return extraction.block_clips * min(max(blocks, _WARM_UP_BLOCKS), most)


def _kernels(
    context: Context, extraction: Extraction, num_clips: int, plain_seconds: float
) -> Mapping[str, Any]:
    """Compare the time of all kernels with that of a run, in whose remaining time the device is idle.

    Args:
        context: Context of the step.
        extraction: Worker and clips.
        num_clips: Number of clips.
        plain_seconds: Seconds of a run without the profiler, which slows down the host.
    """
    seconds = 0.0

    def work() -> None:
        nonlocal seconds
        _, seconds, _ = extraction.run(num_clips)

    found = kernel_times(work, context.options.out / PROFILE, f"extract, {num_clips} clips")
    return {
        "kernels_of_wall": found.seconds / plain_seconds,
        "seconds": plain_seconds,
        "profiled_seconds": seconds,
        "clips": num_clips,
        "per_clip": found.numbers(num_clips),
    }

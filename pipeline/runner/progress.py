"""Speed of a run, its remaining work, and its bottleneck."""

import threading
import time
from dataclasses import dataclass

from pipeline.process import STAGES_OF_WORK, StageSeconds
from pipeline.runner.block_task import BlockReport
from pipeline.runner.model_metadata import ModelInfo


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Progress of a run so far.

    Attributes:
        clips: Finished clips, with parts of blocks.
        total: Clips to process.
        failed: Failed clips.
        pictures: Encoded images, estimated for parts of blocks.
        seconds: Time since the start of the run.
        busy: Utilisation of each stage, from 0 to 1 of the wall time: decoding averaged over the decoding
            processes, the other stages over the workers. Stages overlap, so that the sum may exceed 1. It
            covers finished blocks and their part of the time.
        is_waiting: Whether no worker is connected.
    """

    clips: float
    total: int
    failed: int
    pictures: float
    seconds: float
    busy: dict[str, float]
    is_waiting: bool = False

    @property
    def clips_per_second(self) -> float:
        """Clips per second since the run began."""
        return self.clips / max(self.seconds, 1e-9)

    @property
    def pictures_per_second(self) -> float:
        """Encoded images per second since the run began."""
        return self.pictures / max(self.seconds, 1e-9)

    @property
    def bottleneck(self) -> str:
        """The busiest stage; empty before a block is finished."""
        return max(self.busy, key=lambda stage: self.busy[stage]) if any(self.busy.values()) else ""

    def __str__(self) -> str:
        parts = ["waiting for workers"] if self.is_waiting else []
        parts += [f"{self.clips_per_second:.2f} clips/s"]
        if self.pictures:
            parts.append(f"{self.pictures_per_second:.0f} images/s")
        if self.failed:
            parts.append(f"{self.failed} failed")
        if self.bottleneck:
            fractions = ", ".join(f"{stage} {fraction:.0%}" for stage, fraction in self.busy.items())
            parts.append(f"busy: {fractions}")
        return "; ".join(parts)


class Progress:
    """Counter of the workers' progress; any thread may call it."""

    def __init__(self, total: int, info: ModelInfo, num_workers: int) -> None:
        self._total = total
        self._decoders = info.num_decoders
        self._workers = max(1, num_workers)
        self._began = time.monotonic()
        self._clips = 0.0
        self._failed = self._pictures = self._finished = 0
        self._seconds = StageSeconds()
        self._lock = threading.Lock()

    def advance(self, clips: float) -> None:
        """Count clips of a block that is not finished."""
        with self._lock:
            self._clips += clips

    def finish(self, report: BlockReport) -> None:
        """Count a finished block's images, failures and times; `advance` has counted its clips."""
        with self._lock:
            self._finished += report.num_clips
            self._failed += report.num_failed
            self._pictures += report.num_pictures
            self._seconds.add(report.seconds)

    def speed(self, *, is_waiting: bool = False) -> Speed:
        """Return the progress so far."""
        with self._lock:
            seconds = time.monotonic() - self._began
            clips = min(max(self._clips, self._finished), self._total)
            finished = self._finished / clips if self._finished else 1.0
            wall = max(seconds, 1e-9) * self._workers * finished
            busy = {stage: getattr(self._seconds, stage) / wall for stage in STAGES_OF_WORK}
            busy["decode"] /= self._decoders
            return Speed(
                clips=clips,
                total=self._total,
                failed=self._failed,
                pictures=self._pictures / finished,
                seconds=seconds,
                busy=busy,
                is_waiting=is_waiting,
            )

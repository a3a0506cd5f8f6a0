"""How fast a run goes, what is left, and what holds it up."""

import threading
import time
from dataclasses import dataclass

from pipeline.process import STAGES_OF_WORK, StageSeconds
from pipeline.runner.block_task import BlockReport
from pipeline.runner.model_metadata import ModelInfo


@dataclass(frozen=True, kw_only=True)
class Speed:
    """A run so far. clips: done, parts of blocks counted. pictures: encoded, estimated likewise.

    busy: of the wall time, how much each stage was at work, from 0 to 1: decoding averaged over
    the decoding children, the others over the workers. Stages overlap, so the sum may exceed 1.
    It is known of finished blocks, and set against their part of the time. is_waiting: no worker is
    there.
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
        """Encoded pictures per second since the run began."""
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
            shares = ", ".join(f"{stage} {share:.0%}" for stage, share in self.busy.items())
            parts.append(f"busy: {shares}")
        return "; ".join(parts)


class Progress:
    """Counts what a run's workers report; any thread may tell it."""

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
        """Count part of a block."""
        with self._lock:
            self._clips += clips

    def finish(self, report: BlockReport) -> None:
        """Count a finished block's pictures, failures and times; its clips were counted on the way."""
        with self._lock:
            self._finished += report.num_clips
            self._failed += report.num_failed
            self._pictures += report.num_pictures
            self._seconds.add(report.seconds)

    def speed(self, *, is_waiting: bool = False) -> Speed:
        """The run so far."""
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

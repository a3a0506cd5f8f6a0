"""Workers without models, for tests of those who hand out blocks; Dask's workers import this."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import OusError
from pipeline.executor import TaskContext
from pipeline.process import ExtractConfig, StageSeconds
from pipeline.runner.block_task import BlockReport, BlockTask
from pipeline.runner.worker import BlockWorkerSetup
from pipeline.types import ClipRef, Split

CLIP = ClipRef(clip_id="a", path="a.mp4", label=0, splits=(Split.TRAIN,))


class StubWorker:
    """Does what a block's fingerprint says: "" nothing, "die" ends the process, "fail", "slow"."""

    def run(self, task: BlockTask, context: TaskContext) -> BlockReport:
        if task.fingerprint == "die":
            os._exit(9)
        if task.fingerprint == "fail":
            msg = "Out of memory at a block of 1 clips."
            raise OusError(msg)
        until = time.monotonic() + (3600 if task.fingerprint == "slow" else 0)
        while time.monotonic() < until:
            context.cancel.raise_if_cancelled()
            time.sleep(0.05)
        context.advance(1.0)
        return BlockReport(
            start=task.start, num_clips=1, num_failed=0, num_pictures=0, seconds=StageSeconds()
        )

    def close(self) -> None:
        """Nothing to let go."""


@dataclass(frozen=True, kw_only=True)
class StubSetup(BlockWorkerSetup):
    """Starts one."""

    config: ExtractConfig = ExtractConfig()

    def start(self, cores: tuple[int, ...] | None = None) -> StubWorker:
        return StubWorker()


def tasks(*deeds: str) -> Iterator[BlockTask]:
    """A block of one clip for each deed."""
    for start, deed in enumerate(deeds):
        yield BlockTask(
            cache="none", root=Path("/none"), start=start, rows=(start,), clips=(CLIP,),
            num_clips=len(deeds), fingerprint=deed,
        )  # fmt: skip

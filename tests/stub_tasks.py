"""Tasks for workers of a cluster that need no model: what they do is in their text."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipeline.executor import TaskContext


def do(task: str, context: TaskContext) -> str:
    """Answer with the process that does it; or die, once per named file or always; or raise; or wait."""
    what, _, where = task.partition(" ")
    if what == "die" or (what == "die-once" and not Path(where).exists()):
        Path(where).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "raise":
        raise ValueError(task)
    if what == "wait-once":
        Path(where).touch()
        time.sleep(1.5)
    if what == "wait":
        Path(where).touch()
        while True:
            time.sleep(0.02)
            context.cancel.raise_if_cancelled()
    time.sleep(0.05)
    context.advance(1.0)
    return f"{os.getpid()} {sorted(os.sched_getaffinity(0))}"


@dataclass(frozen=True)
class StubTaskWorker:
    """Does such tasks."""

    cores: tuple[int, ...] | None

    def run(self, task: str, context: TaskContext) -> str:
        return do(task, context)

    def close(self) -> None:
        """Nothing to free."""


@dataclass(frozen=True)
class StubTaskSetup:
    """Starts one."""

    slots: ClassVar[int] = 1
    queued: ClassVar[int] = 0

    def start(self, cores: tuple[int, ...] | None = None) -> StubTaskWorker:
        return StubTaskWorker(cores)

"""Tasks for workers of a cluster that need no model: what they do is in their text."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path


def do(task: str, check: Callable[[], None]) -> str:
    """Answer with the process that does it; or die, once per named file or always; or raise; or wait."""
    what, _, where = task.partition(" ")
    if what == "die" or (what == "die-once" and not Path(where).exists()):
        Path(where).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "raise":
        raise ValueError(task)
    if what == "wait":
        Path(where).touch()
        while True:
            time.sleep(0.02)
            check()
    time.sleep(0.05)
    return f"{os.getpid()} {sorted(os.sched_getaffinity(0))}"

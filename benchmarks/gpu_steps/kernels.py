"""The time of a device's kernels, by torch's profiler."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

PROFILE = "profile.txt"
_LISTED, _NAME_LENGTH = 15, 70


@dataclass(frozen=True, kw_only=True)
class KernelTimes:
    """What a call ran on the device.

    seconds, count: of its kernels and copies. launches, waits: calls of CUDA that launch work or wait for it.
    longest: kernels by time, each with name, count and milliseconds.
    """

    seconds: float
    count: int
    launches: int
    waits: int
    longest: list[list[Any]]

    def numbers(self, calls: int = 1) -> dict[str, Any]:
        """Return the numbers per call; `longest` has name, count and milliseconds."""
        return {
            "kernels_ms": 1e3 * self.seconds / calls,
            "kernels": self.count / calls,
            "launches": self.launches / calls,
            "waits": self.waits / calls,
            "longest": self.longest,
        }


def kernel_times(work: Callable[[], object], log: Path, title: str) -> KernelTimes:
    """Profile a call on a CUDA device and append the table of its kernels to a text file.

    Args:
        work: The call.
        log: Text file that the table is appended to.
        title: Heading of the table.
    """
    with profile(activities=[ProfilerActivity.CUDA]):  # the first profile of a process starts the tracing
        torch.zeros(1, device="cuda")
        torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA]) as watched:
        work()
        torch.cuda.synchronize()
    events = watched.key_averages()
    with log.open("a", encoding="utf-8") as file:
        table = events.table(sort_by="self_device_time_total", row_limit=30, max_name_column_width=90)
        file.write(f"== {title}\n{table}\n")
    on_device = [event for event in events if event.device_type.name != "CPU"]
    on_device.sort(key=lambda event: -event.self_device_time_total)
    return KernelTimes(
        seconds=1e-6 * sum(event.self_device_time_total for event in on_device),
        count=sum(event.count for event in on_device),
        launches=sum(event.count for event in events if "Launch" in event.key),
        waits=sum(event.count for event in events if "Synchronize" in event.key),
        longest=[
            [event.key[:_NAME_LENGTH], event.count, 1e-3 * event.self_device_time_total]
            for event in on_device[:_LISTED]
        ],
    )

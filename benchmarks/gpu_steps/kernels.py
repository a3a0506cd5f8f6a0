"""Time of a device's kernels, by torch's profiler."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

PROFILE = "profile.txt"
_LISTED, _NAME_LENGTH = 15, 70


@dataclass(frozen=True, kw_only=True)
class KernelTimes:
    """Kernels and calls of CUDA in a profile.

    Attributes:
        seconds: Time of all kernels and copies.
        count: Number of kernels and copies.
        launches: CUDA calls on the host that launch work.
        waits: CUDA calls on the host that wait for work, without the wait at the end of the measurement.
        longest: Longest kernels, each with name, count and milliseconds.
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


def kernel_times(work: Callable[[], object], log: Path | None = None, title: str = "") -> KernelTimes:
    """Profile a call on a CUDA device and append the table of its kernels to a text file.

    Args:
        work: The call.
        log: Text file to which the table is appended; None for no table.
        title: Heading of the table.
    """
    _profiled(lambda: torch.zeros(1, device="cuda"))  # the first profile of a process starts the tracing
    own_waits = times_of(_profiled(lambda: None)).waits
    events = _profiled(work)
    if log is not None:
        with log.open("a", encoding="utf-8") as file:
            table = events.table(sort_by="self_device_time_total", row_limit=30, max_name_column_width=90)
            file.write(f"== {title}\n{table}\n")
    return times_of(events, own_waits)


def _profiled(work: Callable[[], object]) -> Any:
    """Return torch's profile of a call, its events summed by name."""
    with profile(activities=[ProfilerActivity.CUDA]) as watched:
        work()
        torch.cuda.synchronize()
    return watched.key_averages()


def times_of(events: Iterable[Any], own_waits: int = 0) -> KernelTimes:
    """Return the kernels' times and the calls of a profile, without the profile's own waits."""
    on_host, on_device = [], []
    for event in events:
        (on_host if event.device_type.name == "CPU" else on_device).append(event)
    on_device.sort(key=lambda event: -event.self_device_time_total)
    return KernelTimes(
        seconds=1e-6 * sum(event.self_device_time_total for event in on_device),
        count=sum(event.count for event in on_device),
        launches=sum(event.count for event in on_host if "Launch" in event.key),
        waits=sum(event.count for event in on_host if "Synchronize" in event.key) - own_waits,
        longest=[
            [event.key[:_NAME_LENGTH], event.count, 1e-3 * event.self_device_time_total]
            for event in on_device[:_LISTED]
        ],
    )

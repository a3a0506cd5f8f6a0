"""Context of a step: options, device, a clock that waits for the device, and a recorder."""

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from benchmarks.gpu_steps.options import GpuOptions
from benchmarks.gpu_steps.records import Recorder

if TYPE_CHECKING:
    import torch

ROOT = Path(__file__).parents[2]
NEEDS_CUDA = "needs CUDA"
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Context:
    """Options, device and recorder of one step."""

    options: GpuOptions
    results: Recorder

    @property
    def is_cuda(self) -> bool:
        """Whether the device is a GPU."""
        return self.options.device == "cuda"

    @property
    def unless_cuda(self) -> str:
        """Reason to skip a measurement that needs a GPU; empty on a GPU."""
        return "" if self.is_cuda else NEEDS_CUDA

    @cached_property
    def device(self) -> "torch.device":
        """The device to measure. Raises ConfigError without one."""
        from pipeline.device import choose_device

        return choose_device(self.options.device)

    def size(self, full: _Value, tiny: _Value) -> _Value:
        """Return `full`, or `tiny` in a tiny run."""
        return tiny if self.options.is_tiny else full

    def seconds(self, work: Callable[[], object], *, repeats: int = 6, warm_up: int = 2) -> float:
        """Return the median seconds of one call of `work`, with the device's work.

        Args:
            work: The call to time.
            repeats: Timed calls; one in a tiny run.
            warm_up: Calls before them; one in a tiny run.
        """
        for _ in range(self.size(warm_up, 1)):
            work()
        return statistics.median(self._once(work) for _ in range(self.size(repeats, 1)))

    def wait(self) -> None:
        """Wait until the device has finished its work."""
        if self.is_cuda:
            import torch

            torch.cuda.synchronize(self.device)

    def _once(self, work: Callable[[], object]) -> float:
        self.wait()
        began = time.perf_counter()
        work()
        self.wait()
        return time.perf_counter() - began


def num_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))

"""Utilisation, memory, power and clock of the GPU, by nvidia-smi, during a run."""

import subprocess
import threading
from collections.abc import Iterable
from contextlib import suppress
from statistics import mean
from types import TracebackType
from typing import Any, Self

import torch

_FIELDS = ("utilization.gpu", "memory.used", "power.draw", "clocks.sm")
_MILLISECONDS = 200
_ENDING_SECONDS = 2


def query_gpu(fields: str) -> str:
    """Return the output of nvidia-smi for these fields of the first CUDA device; "" if it fails."""
    try:
        done = subprocess.run(
            [*_command(fields), "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip().partition("\n")[0] if done.returncode == 0 else ""


class GpuMonitor:
    """Monitor that samples the first CUDA device in a `with` block; `numbers` is empty if it cannot."""

    def __init__(self, *, is_cuda: bool) -> None:
        self._is_cuda = is_cuda
        self._process: subprocess.Popen[str] | None = None
        self._lines: list[str] = []
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        if self._is_cuda:
            format_ = ["--format=csv,noheader,nounits", f"--loop-ms={_MILLISECONDS}"]
            with suppress(OSError):
                self._process = subprocess.Popen(
                    [*_command(",".join(_FIELDS)), *format_], stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL, text=True,
                )  # fmt: skip
                self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._thread.join(_ENDING_SECONDS)
            self._process.wait()

    @property
    def numbers(self) -> dict[str, Any]:
        """Means over the samples, and the largest memory, after the block.

        Values that the card does not report are left out.
        """
        columns = [_known(values) for values in zip(*(line.split(",") for line in self._lines), strict=True)]
        if not columns:
            return {}
        utilisation, memory, power, clock = columns
        found = {
            "gpu_utilisation": [value / 100 for value in utilisation],
            "gpu_memory_mib": [max(memory)] if memory else [],
            "gpu_power_w": power,
            "gpu_clock_mhz": clock,
        }
        means = {name: mean(values) for name, values in found.items() if values}
        return {**means, "gpu_samples": len(self._lines)}

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                if line.count(",") == len(_FIELDS) - 1:  # any other line is a message
                    self._lines.append(line)


def _known(values: Iterable[str]) -> list[float]:
    """Return the values that are numbers."""
    known = []
    for value in values:
        with suppress(ValueError):
            known.append(float(value))
    return known


def _command(fields: str) -> list[str]:
    """Return the command for torch's first device, which depends on CUDA_VISIBLE_DEVICES."""
    command = ["nvidia-smi", f"--query-gpu={fields}"]
    uuid = getattr(torch.cuda.get_device_properties(0), "uuid", None) if torch.cuda.is_available() else None
    return command if uuid is None else [*command, f"--id=GPU-{uuid}"]

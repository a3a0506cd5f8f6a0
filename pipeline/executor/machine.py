"""Devices, cores and memory of this machine, and their use by workers."""

import ctypes
import math
import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import torch

from pipeline.config import require_range
from pipeline.errors import ConfigError

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -3, -4, -8
_KEPT_BYTES = 2**31 - 1
"""Free memory at the heap's end that is kept: the largest value for mallopt."""
_OWN_MAPPING_BYTES = 1 << 28
"""Larger than any array of a batch or a step. Even larger arrays are returned to the system when freed."""
_MOST_DECODERS_BESIDE_GPU, _MOST_DECODERS_BESIDE_CPU = 32, 2
_DECODER_BYTES, _DECODERS_SHARE = 350_000_000, 0.5
"""Memory of a decoding process and its next clip of 1080p, and their share of the free memory."""
_CONTROL_GROUPS = Path("/sys/fs/cgroup")


def visible_gpus() -> list[str]:
    """Return the CUDA devices that this process may use, as names for CUDA_VISIBLE_DEVICES."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return named[:count] if named else [str(number) for number in range(count)]


def require_gpus(wanted: int) -> None:
    """Raise ConfigError unless this machine has this number of CUDA devices."""
    require_range("--gpus", wanted, 0)
    available = len(visible_gpus())
    if wanted > available:
        msg = f"--gpus {wanted}, but this machine has {available} CUDA devices; give --gpus {available}."
        raise ConfigError(msg)


def available_cores() -> list[int]:
    """Return the cores on which this process may run."""
    return sorted(os.sched_getaffinity(0))


def shares_of_cores(cores: Sequence[int], num_workers: int) -> list[tuple[int, ...]]:
    """Return neighbouring cores for each worker. If there are too few cores, workers share them."""
    if len(cores) < num_workers:
        return [(cores[number % len(cores)],) for number in range(num_workers)]
    ends = [round(number * len(cores) / num_workers) for number in range(num_workers + 1)]
    return [tuple(cores[a:b]) for a, b in zip(ends, ends[1:], strict=False)]


def use_cores(cores: Sequence[int] | None) -> list[int]:
    """Restrict this thread, and threads that it starts, to some cores, and libraries to as many threads.

    Args:
        cores: The cores; None for no change.

    Returns:
        The cores of this thread.
    """
    if cores is not None:
        os.sched_setaffinity(0, cores)
    mine = available_cores()
    torch.set_num_threads(len(mine))
    cv2.setNumThreads(len(mine))
    return mine


def keep_memory() -> None:
    """Let this process reuse the memory of arrays instead of returning it to the system (glibc).

    By default, glibc maps every array above 32 MB again, and the kernel zeroes its pages. It also returns the
    heaps of all threads except the first in pieces of 64 MB. Under Dask's nannies, every array above 128 kB
    is mapped again. Call it before threads start, because a thread keeps the heap of its first array.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    mallopt(_M_ARENA_MAX, 1)
    if not mallopt(_M_MMAP_THRESHOLD, _OWN_MAPPING_BYTES):  # glibc before 2.35 allows at most 32 MB
        mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def decoders_for(device: torch.device, num_cores: int) -> int:
    """Return the number of a worker's decoding processes.

    Beside a GPU, which consumes frames fast, there are as many as the worker's cores, less one, and half of
    its share of the free memory allow, at most 32. The share is that of the cores.
    """
    if device.type == "cuda":
        share = _DECODERS_SHARE * min(1.0, num_cores / (os.cpu_count() or 1))
        in_memory = int(share * available_bytes() / _DECODER_BYTES)
        return max(1, min(_MOST_DECODERS_BESIDE_GPU, int(min(num_cores, cpu_quota())) - 1, in_memory))
    return max(1, min(_MOST_DECODERS_BESIDE_CPU, num_cores))


def available_bytes() -> int:
    """Return the memory that new arrays can have, by Linux and by the limit of a container."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    kilobytes = next(line.split()[1] for line in lines if line.startswith("MemAvailable:"))
    free = int(kilobytes) * 1024
    limit, used = _limit("memory.max"), _limit("memory.current")
    return free if limit is None else max(0, min(free, int(limit - (used or 0))))


def cpu_quota() -> float:
    """Return the cores whose time a container may use; infinite without such a limit."""
    allowed, period = _limit("cpu.max"), _limit("cpu.max", 1)
    return math.inf if allowed is None or not period else allowed / period


def _limit(name: str, place: int = 0) -> float | None:
    """Return a number of this process's control group (version 2); None without such a limit."""
    try:
        group = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()[0].rpartition(":")[2]
        for folder in (_CONTROL_GROUPS / group.lstrip("/"), _CONTROL_GROUPS):
            if (folder / name).is_file():
                return float((folder / name).read_text(encoding="ascii").split()[place])
    except (OSError, ValueError, IndexError):  # ValueError: "max"
        pass
    return None

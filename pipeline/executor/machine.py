"""What this machine has: devices, cores and memory, and how workers use them."""

import ctypes
import os
from collections.abc import Sequence

import cv2
import torch

from pipeline.config import require_range
from pipeline.errors import ConfigError

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -3, -4, -8
_KEPT_BYTES = 2**31 - 1
"""Free memory on the heap's end that is not given back: the most that mallopt takes."""
_OWN_MAPPING_BYTES = 1 << 28
"""Larger than any array of a pass or a step; what is larger still goes back to the system when freed."""
_MOST_DECODERS_BESIDE_GPU, _MOST_DECODERS_BESIDE_CPU = 8, 2


def visible_gpus() -> list[str]:
    """The CUDA devices that this process may use, by the names that CUDA_VISIBLE_DEVICES takes."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return named[:count] if named else [str(number) for number in range(count)]


def require_gpus(wanted: int) -> None:
    """Raise ConfigError unless this machine has so many CUDA devices."""
    require_range("--gpus", wanted, 0)
    available = len(visible_gpus())
    if wanted > available:
        msg = f"--gpus {wanted}, but this machine has {available} CUDA devices; give --gpus {available}."
        raise ConfigError(msg)


def available_cores() -> list[int]:
    """The cores that this process may run on."""
    return sorted(os.sched_getaffinity(0))


def shares_of_cores(cores: Sequence[int], num_workers: int) -> list[tuple[int, ...]]:
    """Neighbouring cores for each worker; where there are fewer cores than workers, they share."""
    if len(cores) < num_workers:
        return [(cores[number % len(cores)],) for number in range(num_workers)]
    ends = [round(number * len(cores) / num_workers) for number in range(num_workers + 1)]
    return [tuple(cores[a:b]) for a, b in zip(ends, ends[1:], strict=False)]


def use_cores(cores: Sequence[int] | None) -> list[int]:
    """Keep this thread, and those it starts, to the cores; None leaves it on all that it has.

    The libraries' own threads are as many as the cores.
    """
    if cores is not None:
        os.sched_setaffinity(0, cores)
    mine = available_cores()
    torch.set_num_threads(len(mine))
    cv2.setNumThreads(len(mine))
    return mine


def keep_memory() -> None:
    """Let this process use the arrays' memory again instead of returning it to the system (glibc).

    By default glibc maps arrays above 32 MB anew each time, whose pages the kernel then zeroes, and gives
    the heaps of all threads but the first back in pieces of 64 MB; under Dask's nannies every array
    above 128 kB is mapped anew. Call it before threads start: one keeps the heap of its first array.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    mallopt(_M_ARENA_MAX, 1)
    if not mallopt(_M_MMAP_THRESHOLD, _OWN_MAPPING_BYTES):  # glibc before 2.35 takes 32 MB at most
        mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def decoders_for(device: torch.device, num_cores: int) -> int:
    """How many decoding children a worker has: a GPU empties them fast, a CPU needs its cores itself."""
    if device.type == "cuda":
        return max(1, min(_MOST_DECODERS_BESIDE_GPU, num_cores - 1))
    return max(1, min(_MOST_DECODERS_BESIDE_CPU, num_cores))

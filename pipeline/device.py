"""Choice of the device, its precisions, and detection of GPU errors."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from pipeline.errors import ConfigError, OusError, first_line

_AMPERE = (8, 0)
_WORDS_OF_SHORTAGE = ("ALLOC_FAILED", "out of memory")
_WORDS_OF_DEVICE_FAULTS = ("CUDA error", "cuDNN error", "CUDNN_STATUS", "CUBLAS_STATUS")


def choose_device(name: str = "auto") -> torch.device:
    """Return the device of a name. A GPU always has a number, because `cuda` and `cuda:0` are not equal.

    Args:
        name: ``auto`` for the first GPU if there is one, else the CPU; ``cpu``; ``cuda`` for the first
            GPU; ``cuda:N`` for visible GPU N, from 0.

    Raises:
        ConfigError: The name is not one of these, or this machine has no such GPU.
    """
    available = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        name = "cuda" if available else "cpu"
    if name == "cpu":
        return torch.device(name)
    kind, _, number = name.partition(":")
    if kind == "cuda" and not available:
        msg = f"--device is {name!r}, but this machine has no usable CUDA device; use auto or cpu."
        raise ConfigError(msg)
    if name != "cuda" and not (kind == "cuda" and number.isdecimal() and int(number) < available):
        there = "".join(f", cuda:{index}" for index in range(available))
        msg = f"--device is {name!r}; allowed here: auto, cpu{there}."
        raise ConfigError(msg)
    return torch.device("cuda", int(number or 0))


def device_name(device: torch.device) -> str:
    """Return the name of a GPU, or "cpu"."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def precision_on(device: torch.device, asked: str, *, on_gpu: str = "bf16", on_cpu: str = "bf16") -> str:
    """Return the precision that a setting means on a device: fp32, bf16 or fp16.

    Args:
        device: The device that computes.
        asked: A precision, which is returned unchanged, or ``auto``.
        on_gpu: Meaning of ``auto`` on a GPU. Without fast products in bf16, bf16 becomes fp32.
        on_cpu: The same on a CPU.
    """
    if asked != "auto":
        return asked
    wanted = on_gpu if device.type == "cuda" else on_cpu
    return "fp32" if wanted == "bf16" and not has_bf16(device) else wanted


def has_bf16(device: torch.device) -> bool:
    """Return whether the device has instructions for products in bf16; GPUs before Ampere emulate them."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= _AMPERE
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in checks)


def takes_tf32(device: torch.device, backend: Any) -> bool:
    """Return whether float32 products of a backend are rounded to TF32 on a device.

    Args:
        device: The device that computes them; only GPUs from Ampere on have TF32.
        backend: A part of `torch.backends` with `fp32_precision`, such as ``cuda.matmul`` or ``cudnn.rnn``.
    """
    if device.type != "cuda" or os.environ.get("NVIDIA_TF32_OVERRIDE") == "0":
        return False
    return backend.fp32_precision == "tf32" and torch.cuda.get_device_capability(device) >= _AMPERE


@contextmanager
def exact_float32() -> Iterator[None]:
    """Compute convolutions in full float32 on a GPU too, where torch uses TF32 by default.

    It has no effect if `torch.backends.fp32_precision` sets TF32 for the whole process. The setting
    applies to the whole process, therefore hold the device's lock.
    """
    cudnn = torch.backends.cudnn
    with cudnn.flags(
        enabled=cudnn.enabled,
        benchmark=cudnn.benchmark,
        deterministic=cudnn.deterministic,
        allow_tf32=False,
    ):
        yield


def is_device_fault(error: BaseException) -> bool:
    """Return whether an error is one of the GPU or its libraries, whatever was computed.

    CUDA's own errors are AcceleratorError. Those of cuDNN and cuBLAS are recognised by their text, also
    a failed allocation outside of torch's memory, for which torch raises no torch.OutOfMemoryError.
    """
    if isinstance(error, torch.OutOfMemoryError):
        return False
    if isinstance(error, torch.AcceleratorError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in _WORDS_OF_DEVICE_FAULTS)


def device_fault(error: BaseException, what_is_safe: str) -> OusError:
    """Return the error to show for a GPU error, after which this process cannot use the GPU any more.

    Args:
        error: An error for which `is_device_fault` is true.
        what_is_safe: Clause on finished work, for the message.
    """
    if any(word in str(error) for word in _WORDS_OF_SHORTAGE):
        advice = "Its memory is full: let fewer processes share it, or lower the batch size, and run again."
    else:
        advice = "Run again; if the error returns, exclude that GPU with CUDA_VISIBLE_DEVICES."
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    where = f" on {platform.node()}{f' (CUDA_VISIBLE_DEVICES={gpus})' if gpus else ''}"
    return OusError(f"The GPU{where} reports an error ({first_line(error)[:200]}); {what_is_safe}. {advice}")

"""Step `environment`: start of the product on this machine, and the device's own speeds.

The products are the limit for the encoder. The small copy shows how long a copy waits for the queued work, so
that none may be made for every clip.
"""

import subprocess
import sys
import time
from functools import partial
from typing import Any

import torch

from benchmarks.gpu_steps.context import ROOT, Context
from benchmarks.gpu_steps.monitor import query_gpu
from benchmarks.gpu_steps.products import linear_tflops, precisions_of, square_product_tflops

_MODULES = (
    "cli", "pipeline.bench", "pipeline.faces.networks", "pipeline.executor.cluster", "pipeline.verify",
    "trainer.ablate", "trainer.report", "trainer.training",
)  # fmt: skip
_LAYERS = ((1, 3), (1, 1), (1, 4), (4, 1))
"""Width in and out of a block's layers: queries, keys and values; output; the two of the MLP."""
_MIB = 1 << 20


def run(context: Context) -> None:
    """Measure the start of the product and the speeds of the device."""
    measure, cuda = context.results.measure, context.unless_cuda
    measure("start of the product", _start)
    measure("device", partial(_device, context), unless=cuda)
    for precision in precisions_of(context):
        measure("square product", partial(_square_product, context, precision), precision=precision)
    rows, width = context.size((256 * 257, 1024), (4 * 50, 384))  # a pass of ViT-L/14, or of a small model
    precision = precisions_of(context)[0]
    for times_in, times_out in _LAYERS:
        shape: dict[str, Any] = {"rows": rows, "width_in": times_in * width, "width_out": times_out * width}
        measure("linear layer", partial(_linear, context, precision, **shape), precision=precision, **shape)
    measure("copy on the device", partial(_device_copy, context))
    measure("copies between host and device", partial(_transfers, context), unless=cuda)
    measure("launch of a kernel", partial(_launch, context), unless=cuda)
    measure("small blocking copy", partial(_blocking_copy, context), unless=cuda)
    measure("page-locked memory", _page_locked, unless=cuda)


def _square_product(context: Context, precision: str) -> dict[str, Any]:
    return {"tflops": square_product_tflops(context, precision)}


def _linear(context: Context, precision: str, **shape: int) -> dict[str, Any]:
    return {"tflops": linear_tflops(context, precision, **shape)}


def _start() -> dict[str, Any]:
    """Measure the imports of the product in a new process, and the start of its command line."""
    program = f"import time; began = time.perf_counter(); import {', '.join(_MODULES)}; "
    command = [sys.executable, "-c", f"{program}print(time.perf_counter() - began)"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    imports = float(done.stdout)
    began = time.perf_counter()
    subprocess.run([sys.executable, "cli.py", "--help"], cwd=ROOT, capture_output=True, check=True)
    return {"imports_seconds": imports, "command_line_seconds": time.perf_counter() - began}


def _device(context: Context) -> dict[str, Any]:
    properties = torch.cuda.get_device_properties(context.device)
    return {
        "name": properties.name,
        "multiprocessors": properties.multi_processor_count,
        "clock_mhz_limit": query_gpu("clocks.max.sm"),
        "power_limit": query_gpu("power.limit"),
        "pcie_generation_and_width": query_gpu("pcie.link.gen.current,pcie.link.width.current"),
    }


def _device_copy(context: Context) -> dict[str, Any]:
    source = torch.empty(context.size(1 << 30, 1 << 24), dtype=torch.uint8, device=context.device)
    target = torch.empty_like(source)
    seconds = context.seconds(lambda: target.copy_(source), repeats=10, warm_up=3)
    return {"gb_per_second_read_and_written": 2e-9 * source.numel() / seconds}


def _transfers(context: Context) -> dict[str, Any]:
    host = torch.empty(256 * _MIB, dtype=torch.uint8, pin_memory=True)
    there = torch.empty(host.numel(), dtype=torch.uint8, device=context.device)
    to_device = context.seconds(lambda: there.copy_(host, non_blocking=True))
    to_host = context.seconds(lambda: host.copy_(there, non_blocking=True))
    gigabytes = 1e-9 * host.numel()
    return {
        "to_device_gb_per_second": gigabytes / to_device,
        "to_host_gb_per_second": gigabytes / to_host,
    }


def _launch(context: Context) -> dict[str, Any]:
    """Measure the host time to launch one small kernel, while the queue is rarely full."""
    x, count = torch.zeros(64, device=context.device), 5000
    x.add_(1)
    context.wait()
    began = time.perf_counter()
    for _ in range(count):
        x.add_(1)
    host_us = 1e6 * (time.perf_counter() - began) / count
    context.wait()
    return {"host_us": host_us}


def _blocking_copy(context: Context) -> dict[str, Any]:
    """Measure a copy of three bytes to the device: alone, and behind queued products."""

    def copy() -> object:
        return torch.tensor((1, 2, 3), dtype=torch.uint8, device=context.device)

    alone = context.seconds(copy, repeats=50, warm_up=5)
    large = torch.randn(8192, 8192, device=context.device, dtype=torch.float16)
    _ = large @ large
    context.wait()
    for _ in range(20):
        _ = large @ large
    began = time.perf_counter()
    copy()
    behind = time.perf_counter() - began
    return {"alone_us": 1e6 * alone, "behind_20_products_ms": 1e3 * behind}


def _page_locked() -> dict[str, Any]:
    """Measure the first and second allocation of some sizes.

    Torch rounds the sizes up to powers of two, and keeps the memory.
    """
    found: dict[str, Any] = {}
    for mebibytes in (16, 24, 40):
        times = []
        for _ in range(2):
            began = time.perf_counter()
            torch.empty(mebibytes * _MIB, dtype=torch.uint8, pin_memory=True)
            times.append(1e3 * (time.perf_counter() - began))
        found[f"{mebibytes}_mib"] = {"first_ms": times[0], "again_ms": times[1]}
    return found

"""Step `setup`: the clips of the run, and the machine and code, which are published with all numbers."""

import json
import time
from typing import Any

import torch

from benchmarks.gpu_steps.context import Context
from benchmarks.gpu_steps.inputs import input_hashes, write_clips
from benchmarks.gpu_steps.monitor import query_gpu
from benchmarks.gpu_steps.summary import ABOUT
from benchmarks.gpu_steps.work_dir import NEEDED_BYTES, free_bytes
from pipeline.bench.result import about_this_run
from pipeline.errors import ConfigError


def run(context: Context) -> None:
    """Write about.json and the clips. Raises an error if this machine cannot be measured."""
    about = about_of(context)
    check_free_disk(context)
    path = context.options.out / ABOUT
    path.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    began = time.perf_counter()
    index = write_clips(context)
    numbers = {"clips": len(index.clips), "seconds": time.perf_counter() - began}
    context.results.numbers("clips", numbers, source=context.options.shown()["clips"])
    for note in index.notes:
        context.results.measure("video", dict, unless=note)


def check_free_disk(context: Context) -> None:
    """Raise ConfigError if the work directory's disk has too little space for the steps."""
    free, needed = free_bytes(context.options.work), context.size(NEEDED_BYTES, NEEDED_BYTES // 10)
    if free < needed:
        msg = (
            f"The disk of --work has {free / 1e9:.1f} GB free, and the steps need {needed / 1e9:.1f} GB; "
            "give --work a directory on another disk."
        )
        raise ConfigError(msg)


def about_of(context: Context) -> dict[str, Any]:
    """Return machine, code, versions, options and hashes of the inputs.

    Raises ConfigError without the device, and for a directory of clips without videos.
    """
    device = context.device
    about = about_this_run({}, context.options.shown() | input_hashes(context))
    for name in ("command", "config"):
        del about[name]
    if context.options.commit:
        about["commit"] = context.options.commit
    if not context.is_cuda:
        about["machine"]["gpu"] = ""  # a GPU of the machine is not measured
        return about
    properties = torch.cuda.get_device_properties(device)
    about["machine"] |= {
        "gpu": properties.name,
        "gpu_memory_gb": properties.total_memory / 1e9,
        "gpu_compute_capability": f"{properties.major}.{properties.minor}",
        "driver": query_gpu("driver_version"),
        "gpus_of_the_machine": torch.cuda.device_count(),
    }
    about["versions"] |= {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}  # type: ignore[no-untyped-call]
    return about

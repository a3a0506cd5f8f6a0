"""Step `command-line`: `extract` and `cache verify` on this device, as a user runs them.

The cache is filled in the default precision of the device, and `cache verify` then recomputes some of its
clips. Without detector weights, OpenCV's cascade, which needs no file, finds the faces.
"""

import shutil
from collections.abc import Mapping
from typing import Any

from benchmarks.gpu_steps.cli import run_command
from benchmarks.gpu_steps.context import Context
from benchmarks.gpu_steps.inputs import MOBILENET, manifest_of

_NUM_CLIPS = 32


def run(context: Context) -> None:
    """Run both commands, timed from start to end."""
    weights = context.options.detector_weights
    detector = ["haar"] if weights is None else [MOBILENET, "--detector-weights", weights]
    cache = context.options.work / "command-line.zarr"
    shutil.rmtree(cache, ignore_errors=True)  # a finished one would be resumed
    clips = context.size(_NUM_CLIPS, 4)

    def extract() -> Mapping[str, Any]:
        done = run_command(
            "extract", "--dataset", "manifest", "--root", manifest_of(context.options), "--cache", cache,
            "--encoder", context.options.encoder_name, "--encoder-weights", "random",
            "--detector", *detector, "--limit", clips, "--frames", context.size(16, 2), "--strict",
        )  # fmt: skip
        speed = done.document["speed"]
        return {"seconds": done.seconds, "clips_per_second": speed["clips_per_second"]}

    def verify() -> Mapping[str, Any]:
        done = run_command("cache", "verify", cache)
        found = done.document
        names = ("recomputed", "largest_difference", "note")
        return {
            "seconds": done.seconds,
            "findings": len(found["findings"]),
            **{name: found[name] for name in names},
        }

    settings: dict[str, Any] = {"detector": detector[0], "clips": clips}
    if context.results.measure("extract", extract, **settings):
        context.results.measure("cache verify", verify, **settings)

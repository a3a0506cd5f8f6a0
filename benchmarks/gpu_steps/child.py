"""The process of one step: `python -m benchmarks.gpu_steps.child NAME MODULE:FUNCTION OPTIONS BEGAN`."""

import importlib
import os
import sys
from pathlib import Path

from benchmarks.gpu_steps.context import Context
from benchmarks.gpu_steps.options import GpuOptions
from benchmarks.gpu_steps.records import Recorder

RESULTS = "results.jsonl"
THE_STEP = "whole step"


def run_child(name: str, function: str, options: GpuOptions, began: float) -> int:
    """Run one step and return its exit code: 0, or 1 when something in it failed.

    Args:
        name: Name of the step.
        function: ``module:function`` to call with the step's Context.
        options: Options of the run.
        began: Start of the run, in seconds since the epoch.
    """
    context = Context(options, Recorder(options.out / RESULTS, name, began))
    module, _, attribute = function.partition(":")
    try:
        getattr(importlib.import_module(module), attribute)(context)
    except Exception as error:  # noqa: BLE001 - the boundary of a step: its error is a row
        context.results.error(THE_STEP, error)
        return 1
    return int(context.results.num_errors > 0)


if __name__ == "__main__":
    code = run_child(sys.argv[1], sys.argv[2], GpuOptions.read(Path(sys.argv[3])), float(sys.argv[4]))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # all files are written; an error in a library's clean-up must not change the code

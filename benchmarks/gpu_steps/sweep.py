"""Step `sweep`: Table VI by `ablate` in short runs. The time is that of the whole command, with its start.

The ways decide the default of ``optim.graphed`` for sweeps, and the number of runs side by side on a GPU.
"""

import shutil
from collections.abc import Mapping
from typing import Any

from benchmarks.gpu_steps.cli import run_command
from benchmarks.gpu_steps.context import Context
from benchmarks.gpu_steps.monitor import GpuMonitor
from benchmarks.gpu_steps.training import training_cache

_WAYS = ((False, 1), (True, 1), (False, 3), (True, 3))
"""Graphed steps or plain ones; runs side by side on the GPU."""


_ONE_ROW = (
    'title = "One row"\npreset = "smoke"\n[[rows]]\nname = "small"\nsettings = ["model.tfe_blocks=1"]\n'
)


def run(context: Context) -> None:
    """Run the table in every way, each in a new directory."""
    cache, steps = training_cache(context), context.size(100, 2)
    one_row = context.options.work / "one-row.toml"
    one_row.write_text(_ONE_ROW)
    rows = context.size(["--table", "6"], ["--spec", str(one_row)])
    for graphed, per_gpu in _WAYS if context.is_cuda else _WAYS[:1]:

        def numbers(graphed: bool = graphed, per_gpu: int = per_gpu) -> Mapping[str, Any]:
            out = context.options.work / f"sweep-{graphed}-{per_gpu}"
            shutil.rmtree(out, ignore_errors=True)  # a finished one would be resumed
            place = ["--gpus", 1, "--per-gpu", per_gpu] if context.is_cuda else ["--gpus", 0]
            with GpuMonitor(is_cuda=context.is_cuda) as monitor:
                done = run_command(
                    "ablate", "--cache", cache, *rows, "--seeds", 1, *place,
                    "--out", out, "--set", f"schedule.max_steps={steps}",
                    "--set", f"optim.graphed={str(graphed).lower()}",
                )  # fmt: skip
            return {"seconds": done.seconds, **monitor.numbers}

        context.results.measure(
            "ablate",
            numbers,
            rows=context.size("Table VI", "one row"),
            steps_of_a_run=steps,
            graphed=graphed,
            side_by_side=per_gpu,
        )

"""Steps for the tests of the GPU benchmark's runner: quick ones, and ones that go wrong.

Run as a module with an output directory and names, it runs those steps as the benchmark runs its own.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.gpu import exit_code, interruptible
from benchmarks.gpu_steps.child import RESULTS
from benchmarks.gpu_steps.context import ROOT, Context
from benchmarks.gpu_steps.options import GpuOptions
from benchmarks.gpu_steps.plan import Step
from benchmarks.gpu_steps.records import Recorder
from benchmarks.gpu_steps.runner import Budget, Outcome, run_steps
from benchmarks.gpu_steps.summary import document_of, write_summary


def stub(name: str, seconds: float = 60) -> Step:
    """Return a step of this module."""
    function = f"tests.stub_gpu_steps:{name}"
    return Step(name=name, function=function, seconds=seconds, decides="nothing")


def ran(out: Path, *steps: Step, seconds: float = 600, least_seconds: float = 0.1) -> list[Outcome]:
    """Run the steps and return how they ended; the summary is written after each."""
    work = out / "work"
    work.mkdir(parents=True, exist_ok=True)
    options = GpuOptions(out=out, work=work, device="cpu", is_tiny=True)
    budget = Budget(began=time.time(), seconds=seconds, least_seconds=least_seconds)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def on_end(_: Outcome) -> None:
        write_summary(out)

    return run_steps(steps, options, budget, environment, on_end)


def context_of(work: Path, **values: Any) -> Context:
    """Return the context of a tiny step on the CPU that writes to a directory. values: of GpuOptions."""
    options = GpuOptions(**{"out": work, "work": work, "device": "cpu", "is_tiny": True} | values)
    return Context(options, Recorder(work / RESULTS, "a", time.time()))


def results(out: Path, step: str) -> list[dict[str, Any]]:
    """Return what a step has recorded."""
    found: list[dict[str, Any]] = document_of(out)["steps"][step]["results"]
    return found


class OutOfMemoryError(RuntimeError):
    """Has the name of torch's error."""


def measures(context: Context) -> None:
    """Record two results."""
    context.results.measure("first", lambda: {"value": 1.23456789, "nested": {"list": [1, 2]}}, size=4)
    context.results.measure("second", lambda: {"value": float("nan")}, unless="needs CUDA")


def fails_once(context: Context) -> None:
    """Record an error between two results."""
    context.results.measure("before", lambda: {"value": 1})
    context.results.measure("wrong", _raise_value_error)
    context.results.measure("after", lambda: {"value": 2})


def runs_out_of_memory(context: Context) -> None:
    """Record that the device's memory did not suffice."""
    context.results.measure("large", _raise_out_of_memory)


def runs_out_of_memory_at_once(_context: Context) -> None:
    """Lack memory outside a measurement."""
    _raise_out_of_memory()


def raises(context: Context) -> None:
    """End in an error outside a measurement."""
    raise ValueError(context.options.device)


def crashes(context: Context) -> None:
    """Record a result, then die."""
    context.results.measure("before", lambda: {"value": 1})
    os.kill(os.getpid(), signal.SIGSEGV)


def hangs(context: Context) -> None:
    """Record the process ids of itself and of a child, then hang with both."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    context.results.measure("processes", lambda: {"pids": [os.getpid(), child.pid]})
    time.sleep(600)


def _raise_value_error() -> Mapping[str, Any]:
    msg = "no such\nname"
    raise ValueError(msg)


def _raise_out_of_memory() -> Mapping[str, Any]:
    msg = "tried to allocate 2.00 GiB"
    raise OutOfMemoryError(msg)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background process ignores it
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup ignores it
    with interruptible():
        sys.exit(exit_code(ran(Path(sys.argv[1]), *map(stub, sys.argv[2:]))))

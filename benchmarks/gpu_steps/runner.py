"""Runner of the steps, one after the other, each in a process with its own time limit.

It uses the standard library only, because the packages of the product may be on the children's path only.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gpu_steps.child import RESULTS
from benchmarks.gpu_steps.options import GpuOptions
from benchmarks.gpu_steps.plan import Step
from benchmarks.gpu_steps.records import SKIPPED, STARTED, Recorder

DONE, FAILED, TIMED_OUT = "done", "failed", "timed out"
CUT_OFF, INTERRUPTED = "cut off", "interrupted"
LOG, OPTIONS = "log.txt", "options.json"
_KILL_SECONDS = 10.0
"""Time to wait for a killed process, which may hang in the driver; then the run continues without it."""
_KILL_WITHOUT_PARENT = "import os, signal, sys; sys.stdin.read(); os.killpg(int(sys.argv[1]), signal.SIGKILL)"
"""Program of a process that kills a group when its standard input ends, because the runner has ended."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Outcome of a step.

    Attributes:
        step: Name of the step.
        state: done; failed (an error, or a crash); timed out (it reached its own limit); cut off (the budget
            of the run ended); skipped; interrupted.
        seconds: Time of its process.
        reason: Reason why it is not done.
    """

    step: str
    state: str
    seconds: float = 0.0
    reason: str = ""

    @property
    def is_failure(self) -> bool:
        """Whether the step itself failed; lack of time for the run is no failure."""
        return self.state in (FAILED, TIMED_OUT)


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Time budget of a run.

    Attributes:
        began: Start of the run, in seconds since the epoch.
        seconds: Time for all steps.
        least_seconds: A step is skipped if less time is left.
    """

    began: float
    seconds: float
    least_seconds: float = 15.0

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.seconds - (time.time() - self.began)


def run_steps(
    steps: Sequence[Step],
    options: GpuOptions,
    budget: Budget,
    environment: Mapping[str, str],
    on_end: Callable[[Outcome], None],
) -> list[Outcome]:
    """Run the steps and return their outcomes.

    Args:
        steps: The steps, in order.
        options: Options of the run.
        budget: Time for all steps.
        environment: Environment variables of their processes.
        on_end: Called with each outcome at once, also of skipped steps.
    """
    options.out.mkdir(parents=True, exist_ok=True)
    options_file = options.work / OPTIONS
    options.write(options_file)
    outcomes: list[Outcome] = []
    stop = ""
    for step in steps:
        recorder = Recorder(options.out / RESULTS, step.name, budget.began)
        if not stop and budget.left < budget.least_seconds:
            stop = f"the budget of {budget.seconds:.0f} s is used up"
        if stop:
            outcome = Outcome(step=step.name, state=SKIPPED, reason=stop)
        else:
            recorder.state(STARTED)
            outcome = _run(step, options_file, options.out / LOG, budget, environment)
        recorder.state(outcome.state, seconds=round(outcome.seconds, 1), reason=outcome.reason)
        outcomes.append(outcome)
        if outcome.state == INTERRUPTED:
            stop = "interrupted"
        elif step.is_required and outcome.state != DONE:
            stop = stop or f"step {step.name} is not done"
        on_end(outcome)
    return outcomes


def _run(
    step: Step, options_file: Path, log: Path, budget: Budget, environment: Mapping[str, str]
) -> Outcome:
    limit = min(step.seconds, budget.left)
    began = time.monotonic()
    with log.open("a", encoding="utf-8") as output:
        output.write(f"\n===== {step.name}, limit {limit:.0f} s\n")
        output.flush()
        child = [sys.executable, "-m", "benchmarks.gpu_steps.child"]
        process = subprocess.Popen(
            [*child, step.name, step.function, str(options_file), str(budget.began)],
            env=dict(environment), stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            with _killed_with_this_process(process.pid):
                code = process.wait(limit)
            state, reason = (DONE, "") if code == 0 else (FAILED, _reason(code))
        except subprocess.TimeoutExpired:
            state = TIMED_OUT if limit == step.seconds else CUT_OFF
            reason = f"stopped after {limit:.0f} s"
        except KeyboardInterrupt:
            state, reason = INTERRUPTED, "stopped by the user"
        finally:
            is_gone = _kill_group(process)
    if not is_gone:
        reason += f"; process {process.pid} does not end: later numbers are measured beside it"
    return Outcome(step=step.name, state=state, seconds=time.monotonic() - began, reason=reason)


@contextmanager
def _killed_with_this_process(group: int) -> Iterator[None]:
    """Let a small process kill the group if this process is killed during the `with` block.

    The kernel's PR_SET_PDEATHSIG would end only the step, and not the commands that it started.
    """
    command = [sys.executable, "-I", "-S", "-c", _KILL_WITHOUT_PARENT, str(group)]
    watcher = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        yield
    finally:
        watcher.kill()
        watcher.wait()
        assert watcher.stdin is not None
        watcher.stdin.close()


def _reason(code: int) -> str:
    if code == 1:
        return "see its errors below"
    if code < 0:
        with suppress(ValueError):
            return f"its process ended by {signal.Signals(-code).name}"
    return f"its process ended with exit code {code}"


def _kill_group(process: "subprocess.Popen[bytes]") -> bool:
    """End the process and all processes of its group; return whether the process has ended."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    try:
        process.wait(_KILL_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True

"""Measurement of every stage of the project on a GPU, each stage alone and all together.

    python -m benchmarks.gpu --out gpu-out
    python -m benchmarks.gpu --out gpu-out --tiny --device cpu     # try the steps without a GPU

Each step is a process with its own time limit. Every number is appended to OUT/results.jsonl as soon as
it is known; a failed measurement is a row too, and does not stop the run. At the end, and after Ctrl-C, the
summary is printed and written to OUT/summary.txt. All results are in OUT/gpu.json, which may be committed as
benchmarks/results/gpu-CARD.json. The log of all steps is OUT/log.txt. A directory OUT contains results of one
machine, one version of the code, one set of options and the same inputs; other results are rejected.

Clips and caches are in WORK/ous-gpu. The steps delete files only there. Without ``--work``, WORK is a
temporary directory; it is removed at the end, or by the next run if this one was killed.

Without ``--clips`` the clips are drawn. Without ``--detector-weights`` RetinaFace has random weights, which
take the same time and find no face. The encoder always has random weights. On a machine without a package
index, ``--wheels FOLDER`` installs the wheels in FOLDER into a directory that only the run's steps use.

Exit codes: 0 all steps are done or out of time; 1 a step failed or reached its own limit, or a directory
cannot be used; 2 misuse; 130 interrupted.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TextIO

from benchmarks.gpu_steps.arguments import parse_arguments
from benchmarks.gpu_steps.options import GpuOptions
from benchmarks.gpu_steps.plan import STEPS, Step
from benchmarks.gpu_steps.runner import INTERRUPTED, LOG, OPTIONS, Budget, Outcome, run_steps
from benchmarks.gpu_steps.same_run import has_earlier_results
from benchmarks.gpu_steps.summary import write_summary
from benchmarks.gpu_steps.work_dir import WorkDirectoryError, held, open_work_directory, work_parent

ROOT = Path(__file__).parents[1]
_SETUP = STEPS[0].name
_TINY_PATIENCE = 4
"""Factor of the steps' time limits: a tiny run may be on a slow machine."""
_INTERRUPTED_CODE = 130
_COMPARISON_SECONDS = 120


class RunError(Exception):
    """Raised when a run cannot begin; the message is one line for the user."""


def choose_steps(only: Sequence[str], patience: float) -> tuple[Step, ...]:
    """Return the steps to run: all, or the setup and the steps in `only`, with limits times `patience`."""
    names = {_SETUP, *only} if only else {step.name for step in STEPS}
    return tuple(replace(step, seconds=patience * step.seconds) for step in STEPS if step.name in names)


def environment_of(options: GpuOptions, wheels: Path | None) -> dict[str, str]:
    """Return the environment of the steps, with the wheels installed if there are any.

    A run on the CPU hides all GPUs. A tiny run has one thread, because several would wait for each other.
    Raises CalledProcessError if pip cannot install the wheels.
    """
    paths = [str(ROOT)]
    if wheels is not None:
        site = options.work / "site"
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--upgrade"]
        files = [str(path) for path in sorted(wheels.glob("*.whl"))]
        subprocess.run([*install, "--target", str(site), *files], check=True)
        paths.insert(0, str(site))
    own = {
        "PYTHONPATH": os.pathsep.join([*paths, *filter(None, [os.environ.get("PYTHONPATH")])]),
        "PYTHONUNBUFFERED": "1",
        "HF_HUB_OFFLINE": "1",
        "TORCHINDUCTOR_CACHE_DIR": str(options.work / "inductor"),
    }
    if options.device == "cpu":
        own["CUDA_VISIBLE_DEVICES"] = ""
    if options.is_tiny:
        own["OMP_NUM_THREADS"] = "1"
    return {**os.environ, **own}


def reject_other_results(options: GpuOptions, environment: Mapping[str, str]) -> None:
    """Raise RunError if the output directory has results of another machine, code or set of options."""
    if not has_earlier_results(options.out):
        return
    options.write(options.work / OPTIONS)
    command = [sys.executable, "-m", "benchmarks.gpu_steps.same_run", str(options.work / OPTIONS)]
    try:
        done = subprocess.run(
            command,
            env=dict(environment),
            capture_output=True,
            text=True,
            timeout=_COMPARISON_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        msg = f"'{options.out}' has results, and the device did not answer in {_COMPARISON_SECONDS} s"
        raise RunError(msg) from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        msg = f"'{options.out}' has results, and this machine cannot be compared with theirs: {last}"
        raise RunError(msg)
    if done.stdout:
        msg = f"'{options.out}' has results of another run ({done.stdout}); give another --out."
        raise RunError(msg)


def measure(args: argparse.Namespace, parent: Path) -> list[Outcome]:
    """Run the chosen steps, print each outcome, and update the summary after each step.

    Args:
        args: Options of the command line.
        parent: Parent of the work directory.

    Returns:
        Outcomes of the steps.

    Raises:
        RunError, WorkDirectoryError, OSError: A directory cannot be used.
        CalledProcessError: pip fails.
    """
    args.out.mkdir(parents=True, exist_ok=True)
    options = GpuOptions(
        out=args.out.resolve(), work=open_work_directory(parent, args.clips),
        device=args.device, is_tiny=args.tiny, clips=args.clips and args.clips.resolve(),
        detector_weights=args.detector_weights and args.detector_weights.resolve(),
        encoder=args.encoder, commit=args.commit,
    )  # fmt: skip

    def on_end(outcome: Outcome) -> None:
        write_summary(options.out)
        reason = f": {outcome.reason}" if outcome.reason else ""
        _print(sys.stderr, f"{outcome.step:<17}{outcome.state}, {outcome.seconds:.0f} s{reason}\n")

    steps = choose_steps(args.only, args.patience or (_TINY_PATIENCE if args.tiny else 1))
    budget = Budget(began=time.time(), seconds=args.seconds or sum(step.seconds for step in steps))
    with held(options.out), held(options.work):
        environment = environment_of(options, args.wheels)
        reject_other_results(options, environment)
        return run_steps(steps, options, budget, environment, on_end)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the steps, print the summary, return the exit code."""
    args = parse_arguments(arguments)
    if args.list:
        lines = (f"{step.name:<17}{step.seconds:>4.0f} s  {step.decides}\n" for step in STEPS)
        _print(sys.stdout, "".join(lines))
        return 0
    try:
        with interruptible(), work_parent(args.work) as parent:
            try:
                code = exit_code(measure(args, parent))
            except KeyboardInterrupt:  # between two steps
                code = _INTERRUPTED_CODE
            _print(sys.stdout, "\n".join(write_summary(args.out)) + "\n")
            return code
    except KeyboardInterrupt:
        return _INTERRUPTED_CODE
    except (RunError, WorkDirectoryError) as error:
        message = str(error)
    except subprocess.CalledProcessError:
        message = f"pip could not install the wheels in '{args.wheels}'; its message is above"
    except OSError as error:
        message = f"{error}; --out is '{args.out}', --work is '{args.work or tempfile.gettempdir()}'"
    _print(sys.stderr, f"{message}\n")
    return 1


def _print(stream: TextIO | None, text: str) -> None:
    """Write to a terminal or a pipe that may be closed; the same text is in the output directory."""
    if stream is None:  # it was closed before the start
        return
    try:
        stream.write(text)
        stream.flush()
    except OSError:
        with suppress(OSError), Path(os.devnull).open("w") as nothing:
            os.dup2(nothing.fileno(), stream.fileno())  # Python's flush at the end would fail


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """Return 130 after an interruption, 1 if a step failed, else 0; print the steps that failed."""
    failed = [outcome.step for outcome in outcomes if outcome.is_failure]
    if failed:
        _print(sys.stderr, f"FAILED: {', '.join(failed)}; the summary has the reasons, {LOG} the rest\n")
    if any(outcome.state == INTERRUPTED for outcome in outcomes):
        return _INTERRUPTED_CODE
    return int(bool(failed))


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt in the `with` block at SIGTERM and SIGHUP, unless they are ignored (nohup)."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    handled = [number for number in numbers if before[number] != signal.SIG_IGN]
    for number in handled:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, before[number])


if __name__ == "__main__":
    sys.exit(main())

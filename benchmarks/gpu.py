"""What a GPU does with this project, in one command: every stage, alone and together, with its limits.

    python -m benchmarks.gpu --out gpu-out
    python -m benchmarks.gpu --out gpu-out --tiny --device cpu     # try the steps without a GPU

Each step is a process with its own time limit. Every number is appended to OUT/results.jsonl as soon as
it is known; a failed measurement is a row too and stops nothing. At the end, and after Ctrl-C, the summary
is printed and written to OUT/summary.txt, and everything is in OUT/gpu.json, which may be committed as
benchmarks/results/gpu-CARD.json. The log of all steps is OUT/log.txt.

Without ``--clips`` the clips are drawn; without ``--detector-weights`` RetinaFace has random weights, which
cost the same time and find no face. The encoder always has random weights. On a machine without a package
index, ``--wheels FOLDER`` installs the wheels in FOLDER into a directory of the run, used by its steps alone.

Exit codes: 0 all steps done or out of time, 1 a step failed or reached its own limit, 130 interrupted.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType

from benchmarks.gpu_steps.options import DEVICES, GpuOptions
from benchmarks.gpu_steps.plan import STEPS, Step
from benchmarks.gpu_steps.runner import INTERRUPTED, LOG, Budget, Outcome, run_steps
from benchmarks.gpu_steps.summary import write_summary

ROOT = Path(__file__).parents[1]
_SETUP = STEPS[0].name
_TINY_PATIENCE = 4
"""Times the limits of the steps: a tiny run may be on a slow machine."""
_INTERRUPTED_CODE = 130


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description="Measure what a GPU does with every stage of the project.")
    data = parser.add_argument_group("data and model")
    data.add_argument("--clips", type=Path, help="directory of videos, scaled to 360p [drawn clips]")
    data.add_argument("--detector-weights", type=Path, help="RetinaFace MobileNet-0.25 [random weights]")
    data.add_argument("--encoder", help="a model of open_clip [ViT-L-14-quickgelu; tiny: ViT-S-32]")
    run = parser.add_argument_group("run")
    run.add_argument("--device", choices=DEVICES, default="cuda", help="device to measure [cuda]")
    run.add_argument("--seconds", type=float, default=1800, help="time for all steps, in seconds [1800]")
    run.add_argument("--patience", type=float, help="times the steps' limits, for a slow GPU [1; tiny: 4]")
    run.add_argument("--only", default="", help="steps to run, with commas; setup always runs [all]")
    run.add_argument("--list", action="store_true", help="print the steps and what each one decides")
    run.add_argument("--tiny", action="store_true", help="small sizes, to try the steps, not to measure")
    output = parser.add_argument_group("output")
    output.add_argument("--out", type=Path, default=Path("gpu-out"), help="directory of results [gpu-out]")
    output.add_argument("--work", type=Path, help="directory of clips and caches [temporary]")
    output.add_argument("--commit", default="", help="commit of the code, where git is missing [git's]")
    output.add_argument("--wheels", type=Path, help="directory of wheels to install for the steps [none]")
    options = parser.parse_args(arguments)
    unknown = sorted(set(filter(None, options.only.split(","))) - {step.name for step in STEPS})
    if unknown:
        parser.error(f"--only names {', '.join(unknown)}; allowed: {', '.join(step.name for step in STEPS)}")
    for name in ("clips", "wheels"):
        folder = getattr(options, name)
        if folder is not None and not folder.is_dir():
            parser.error(f"--{name} is '{folder}', which is no directory")
    if options.detector_weights is not None and not options.detector_weights.is_file():
        parser.error(f"--detector-weights is '{options.detector_weights}', which is no file")
    return options


def chosen(only: str, patience: float) -> tuple[Step, ...]:
    """Return the steps to run: all, or the setup and those named; patience multiplies their limits."""
    names = {_SETUP, *only.split(",")} if only else {step.name for step in STEPS}
    return tuple(replace(step, seconds=patience * step.seconds) for step in STEPS if step.name in names)


def environment_of(options: GpuOptions, wheels: Path | None) -> dict[str, str]:
    """Return the environment of the steps, with the wheels installed if there are any.

    A run on the CPU hides all GPUs. A tiny run has one thread: more would wait for each other.
    Raises CalledProcessError when pip cannot install them.
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


def measure(args: argparse.Namespace, work: Path) -> list[Outcome]:
    """Run the chosen steps; print each one's end, and keep the summary up to date."""
    options = GpuOptions(
        out=args.out.resolve(), work=work, device=args.device, is_tiny=args.tiny,
        clips=args.clips and args.clips.resolve(),
        detector_weights=args.detector_weights and args.detector_weights.resolve(),
        encoder=args.encoder, commit=args.commit,
    )  # fmt: skip

    def on_end(outcome: Outcome) -> None:
        reason = f": {outcome.reason}" if outcome.reason else ""
        sys.stderr.write(f"{outcome.step:<17}{outcome.state}, {outcome.seconds:.0f} s{reason}\n")
        write_summary(options.out)

    budget = Budget(began=time.time(), seconds=args.seconds)
    return run_steps(
        chosen(args.only, args.patience or (_TINY_PATIENCE if args.tiny else 1)),
        options,
        budget,
        environment_of(options, args.wheels),
        on_end,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the steps, print the summary, return the exit code."""
    args = parsed(arguments)
    if args.list:
        for step in STEPS:
            sys.stdout.write(f"{step.name:<17}{step.seconds:>4.0f} s  {step.decides}\n")
        return 0
    args.out.mkdir(parents=True, exist_ok=True)
    work = args.work.resolve() if args.work else Path(tempfile.mkdtemp(prefix="ous-gpu-"))
    work.mkdir(parents=True, exist_ok=True)
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = exit_code(measure(args, work))
    except subprocess.CalledProcessError:
        sys.stderr.write(f"pip could not install the wheels in '{args.wheels}'; its message is above\n")
        return 1
    except KeyboardInterrupt:  # between two steps
        code = _INTERRUPTED_CODE
    finally:
        signal.signal(signal.SIGTERM, before)
        if args.work is None:
            shutil.rmtree(work, ignore_errors=True)
    sys.stdout.write("\n".join(write_summary(args.out)) + "\n")
    return code


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """Return 130 after an interruption, 1 when a step failed, else 0; name the steps that failed."""
    failed = [outcome.step for outcome in outcomes if outcome.is_failure]
    if failed:
        sys.stderr.write(f"FAILED: {', '.join(failed)}; the summary has the reasons, {LOG} the rest\n")
    if any(outcome.state == INTERRUPTED for outcome in outcomes):
        return _INTERRUPTED_CODE
    return int(bool(failed))


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """End a run that receives SIGTERM like one that the user interrupts."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())

"""The command line of `benchmarks.gpu`. Standard library only, because the runner uses it."""

import argparse
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from benchmarks.gpu_steps.options import DEVICES
from benchmarks.gpu_steps.plan import STEPS

_MISUSE = 2


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Print misuse in one line and end with exit code 2."""
        self.exit(_MISUSE, f"error: {message}\n")


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of the command line, or end the process with exit code 2 at misuse."""
    parser = _Parser(prog="benchmarks.gpu", description="Measure every stage of the project on a GPU.")
    data = parser.add_argument_group("data and model")
    data.add_argument(
        "--clips",
        type=_directory_of("videos"),
        help="Measure on the videos in this directory, scaled to 360p [drawn clips].",
    )
    data.add_argument(
        "--detector-weights",
        type=_weights,
        help="Load RetinaFace MobileNet-0.25 from this file [random weights].",
    )
    data.add_argument(
        "--encoder", help="Measure this model of open_clip [ViT-L-14-quickgelu; with --tiny ViT-S-32]."
    )
    run = parser.add_argument_group("run")
    run.add_argument("--device", choices=DEVICES, default="cuda", help="Measure this device [cuda].")
    run.add_argument(
        "--seconds", type=_positive, help="Stop all steps after this time, in seconds [sum of their limits]."
    )
    run.add_argument(
        "--patience",
        type=_positive,
        help="Multiply the steps' time limits by this factor [1; with --tiny 4].",
    )
    run.add_argument(
        "--only",
        type=_steps,
        default=(),
        help="Run these steps, separated by commas; setup always runs [all].",
    )
    run.add_argument(
        "--list", action="store_true", help="Print the steps and the decision that each one serves."
    )
    run.add_argument("--tiny", action="store_true", help="Use small sizes, to try the steps, not to measure.")
    output = parser.add_argument_group("output")
    output.add_argument(
        "--out", type=Path, default=Path("gpu-out"), help="Write the results to this directory [gpu-out]."
    )
    output.add_argument(
        "--work", type=Path, help="Keep clips and caches in this directory [temporary, removed at the end]."
    )
    output.add_argument("--commit", default="", help="Record this commit of the code [from git].")
    output.add_argument(
        "--wheels",
        type=_directory_of("wheels"),
        help="Install the wheels in this directory for the steps [none].",
    )
    return parser.parse_args(arguments)


def _positive(text: str) -> float:
    """Return a number above 0. Raises ArgumentTypeError for anything else."""
    with suppress(ValueError):
        value = float(text)
        if math.isfinite(value) and value > 0:
            return value
    msg = f"'{text}' is not a number above 0"
    raise argparse.ArgumentTypeError(msg)


def _steps(text: str) -> tuple[str, ...]:
    """Return the names of steps. Raises ArgumentTypeError for none, and for one that is not a step's."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    known = [step.name for step in STEPS]
    unknown = [name for name in names if name not in known]
    if names and not unknown:
        return names
    what = f"{', '.join(map(repr, unknown))} is not a step" if unknown else f"{text!r} names no step"
    msg = f"{what}; allowed: {', '.join(known)}"
    raise argparse.ArgumentTypeError(msg)


def _directory_of(content: str) -> Callable[[str], Path]:
    """Return the type of an option for a directory; `content` is its content, for the message."""

    def directory(text: str) -> Path:
        if not Path(text).is_dir():
            msg = f"'{text}' is not a directory; give a directory of {content}"
            raise argparse.ArgumentTypeError(msg)
        return Path(text)

    return directory


def _weights(text: str) -> Path:
    if not Path(text).is_file():
        msg = f"'{text}' is not a file; give the weights of RetinaFace MobileNet-0.25"
        raise argparse.ArgumentTypeError(msg)
    return Path(text)

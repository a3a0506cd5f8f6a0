"""Numbers and goals, with the machine and the settings of the measurement."""

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any, Self

import torch

ROOT = Path(__file__).parents[2]
_PACKAGES = ("torch", "open_clip_torch", "av", "opencv-python-headless", "zarr", "distributed", "numpy")


@dataclass(frozen=True, kw_only=True)
class Goal:
    """Measured number and its goal.

    Attributes:
        what: Name of the number.
        value: The number; infinite, or null in JSON, if a comparison was not possible.
        at_least: Limit of the goal.
        aim: Better limit.
        below: Whether both limits are upper limits.
        rounds: The number in each round of the measurement, whose median is `value`; empty if it was measured
            once.
    """

    what: str
    value: float
    at_least: float
    aim: float
    below: bool = False
    rounds: tuple[float, ...] = ()

    @classmethod
    def of_rounds(cls, what: str, values: Sequence[float], *, at_least: float, aim: float) -> Self:
        """Return the goal of a number that was measured in several rounds; its value is the median."""
        return cls(what=what, value=median(values), at_least=at_least, aim=aim, rounds=tuple(values))

    @property
    def met(self) -> str:
        """``aim``, ``yes`` or ``no``."""
        sign = -1 if self.below else 1
        if sign * self.value >= sign * self.aim:
            return "aim"
        return "yes" if sign * self.value >= sign * self.at_least else "no"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Result of a part: numbers by name, and goals."""

    numbers: dict[str, Any]
    goals: tuple[Goal, ...] = ()


@dataclass(frozen=True, kw_only=True)
class BenchResult:
    """Result of a bench.

    Attributes:
        about: Machine, versions and settings of the measurement.
        parts: Results by name of the part.
        failed: Reason by name of each part that failed.
        notes: Videos that were left out.
    """

    about: dict[str, Any]
    parts: dict[str, Measured]
    failed: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def about_this_run(config: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """Return the date, the commit, the machine, the versions and the settings.

    Records are published, therefore command, options and config contain no directory of this machine. A path
    in this repository is relative to it, and of any other path only the last part is recorded.

    Args:
        config: The settings of all steps, as JSON values.
        options: Options of the bench.
    """
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": {
            "cpu": _cpu_name(),
            "cores": len(os.sched_getaffinity(0)),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "",
            "system": platform.platform(),
            "load_average": os.getloadavg()[0],
        },
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in _PACKAGES},
        "command": [*_program(), *published(sys.argv[1:])],
        "options": published(options),
        "config": published(config),
    }


def _program() -> list[str]:
    """Return the words that start this program: a module with ``python -m``, or the name of a script."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is None:
        return [Path(sys.argv[0]).name]
    return ["python", "-m", spec.name.removesuffix(".__main__")]


def published(value: Any) -> Any:
    """Return a setting for a record: JSON values, with paths that contain no directory of this machine."""
    match value:
        case dict():
            return {name: published(item) for name, item in value.items()}
        case list() | tuple():
            return [published(item) for item in value]
        case Path():
            return _published_path(str(value))
        case str():
            before, equals, path = value.rpartition("=")  # --option=PATH, section.key=PATH
            return before + equals + _published_path(path)
        case _:
            return value


def _published_path(text: str) -> str:
    if not text.startswith(("/", "~", "../")) and text != "..":
        return text
    path = Path(os.path.abspath(Path(text).expanduser()))  # noqa: PTH100 - links keep their names
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name


def _version(package: str) -> str:
    """Return the installed version; "" for a package that another one replaces."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    try:
        completed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:  # no git here
        return "unknown"
    return completed.stdout.strip() or "unknown"


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()

"""Numbers, goals and the machine they come from: as JSON, and as a table."""

import math
import os
import platform
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[2]
_PACKAGES = ("torch", "open_clip_torch", "av", "opencv-python-headless", "zarr", "distributed", "numpy")


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A measured number, and what it is to be; `below` turns both limits into upper ones.

    value: infinite where nothing could be compared: null in JSON.
    """

    what: str
    value: float
    at_least: float
    aim: float
    below: bool = False

    @property
    def met(self) -> str:
        """``aim``, ``yes`` or ``no``."""
        sign = -1 if self.below else 1
        if sign * self.value >= sign * self.aim:
            return "aim"
        return "yes" if sign * self.value >= sign * self.at_least else "no"

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return {
            "what": self.what,
            "value": self.value if math.isfinite(self.value) else None,
            "below" if self.below else "at_least": self.at_least,
            "aim": self.aim,
            "met": self.met,
        }


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a part found: numbers by name, and goals among them."""

    numbers: dict[str, Any]
    goals: tuple[Goal, ...] = ()


@dataclass(frozen=True, kw_only=True)
class BenchResult:
    """The parts of a run by name, under the machine and the settings that they come from.

    failed: parts that came to no end, and why. notes: videos that were left out.
    """

    about: dict[str, Any]
    parts: dict[str, Measured]
    failed: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        goals = [goal.to_dict() for part in self.parts.values() for goal in part.goals]
        numbers = {name: part.numbers for name, part in self.parts.items()}
        return {
            **self.about,
            "goals": goals,
            "parts": numbers,
            "failed": self.failed,
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """For people: a line per number, then the goals."""
        machine = self.about["machine"]
        lines = [f"{machine['cpu']}, {machine['cores']} cores, {machine['gpu'] or 'no GPU'}"]
        for name, part in self.parts.items():
            lines += [f"{name:<10}{key:<66}{_shown(value)}" for key, value in _flat(part.numbers)]
        goals = [goal for part in self.parts.values() for goal in part.goals]
        if goals:
            lines.append(f"{'goal':<62}{'found':>10}{'needed':>10}{'aim':>10}  met")
        for goal in goals:
            value = f"{goal.value:.4g}" if math.isfinite(goal.value) else "none"
            limits = f"{value:>10}{goal.at_least:>10.4g}{goal.aim:>10.4g}"
            lines.append(f"{goal.what:<62}{limits}  {goal.met}")
        lines += [f"note: {note}" for note in self.notes]
        return lines + [f"FAILED  {name}: {why}" for name, why in self.failed.items()]


def about_this_run(config: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """The machine, the code, the settings and the day; taken before anything is measured.

    Records are published, so that command, options and config name no directory of this machine: a path in
    this repository is relative to it, of any other one only its last part is recorded.
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
        "command": ["cli.py", *published(sys.argv[1:])],
        "options": published(options),
        "config": published(config),
    }


def published(value: Any) -> Any:
    """Return a setting as records hold it: JSON values, paths without the directories of this machine."""
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


def _flat(values: dict[str, Any], before: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in values.items():
        rows += _flat(value, f"{before}{key}.") if isinstance(value, dict) else [(f"{before}{key}", value)]
    return rows


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _version(package: str) -> str:
    """Return the installed version; "" for a package that another one stands in for."""
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

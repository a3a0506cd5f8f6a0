"""Table of `benchmarks.scale` for docs/performance.md."""

from collections.abc import Mapping
from typing import Any

_STEPS = {
    "create": "`extract`, until the first block of a new cache",
    "resume": "`extract`, until the first block of a cache with half of its blocks done",
    "report": "`extract`, report at the end",
    "dry-run": "`extract --dry-run`, all processes",
    "info": "`cache info`",
    "verify": "`cache verify --sample 0`",
    "relabel": "`cache relabel`, 1% of the labels",
    "grow": "`extract`, until the first block of 1,000 more clips",
    "reader": "`train`, hashes, groups and rows of a fold",
}
_STAGES = {
    "list": "reading the list",
    "checks": "checks of classes and splits",
    "leaks": "search for shared files",
    "cache": "creating or checking the cache",
    "plan": "plan of the blocks",
    "tasks": "tasks",
}
_SHOWN_STAGES = ("create", "resume")
GOAL_SECONDS, GOAL_GB = 60, 3
"""Goal for creation and resume of a million clips: CPU time, and memory of a process."""

_Stages = Mapping[str, Mapping[str, float]]


def scale_table(recorded: dict[str, Any], about: str) -> str:
    """Return the time and memory of each command by number of clips.

    Args:
        recorded: Content of benchmarks/results/scale.json.
        about: Machine, versions and date.
    """
    found: Mapping[str, Mapping[str, _Stages]] = recorded["steps"]
    names = [f"{int(size):,}" if size.isdecimal() else f"{int(size.split()[0]):,}, files" for size in found]
    rows = [f"| CPU seconds, and peak memory | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for step, shown in _STEPS.items():
        rows.append(f"| {shown} | {' | '.join(_whole(steps.get(step)) for steps in found.values())} |")
        if step in _SHOWN_STAGES:
            for stage, title in _STAGES.items():
                cells = (_seconds(steps.get(step, {}), [stage]) for steps in found.values())
                rows.append(f"| ... {title} | {' | '.join(cells)} |")
    imports = max(steps["create"]["imports"]["peak_mb"] for steps in found.values())
    note = (
        f"Memory contains {imports:,.0f} MB of imported packages, torch above all. Seconds are without these "
        "imports, except for the dry run, which also loads its models and times blocks."
    )
    return "\n".join([about, "", *rows, "", _goal(found), "", note])


def _goal(found: Mapping[str, Mapping[str, _Stages]]) -> str:
    """Return the sum of creation and resume for the most clips, beside the goal."""
    size = max((name for name in found if name.isdecimal()), key=int)
    both = [found[size][step] for step in _SHOWN_STAGES]
    seconds = sum(
        stage["cpu_seconds"] for stages in both for name, stage in stages.items() if name != "imports"
    )
    peak = max(stage["peak_mb"] for stages in both for stage in stages.values()) / 1000
    return (
        f"Creation and resume of {int(size):,} clips, two commands that both read the list: {seconds:.1f} s "
        f"of CPU time, {peak:.1f} GB. Goal for a million: {GOAL_SECONDS} s, {GOAL_GB} GB."
    )


def _whole(stages: _Stages | None) -> str:
    """Return the CPU seconds of a step without its imports, and its peak memory if it is known."""
    if not stages:
        return ""
    peaks = [stage["peak_mb"] for stage in stages.values() if "peak_mb" in stage]
    memory = f", {max(peaks) / 1000:.1f} GB" if peaks else ""
    return f"{_seconds(stages, [name for name in stages if name != 'imports'])}{memory}"


def _seconds(stages: _Stages, names: list[str]) -> str:
    there = [stages[name]["cpu_seconds"] for name in names if name in stages]
    return f"{sum(there):.1f}" if there else ""

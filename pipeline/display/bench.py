"""Output of a bench."""

import math
from typing import Any

from pipeline.bench.result import BenchResult, Goal
from pipeline.display.json_values import field_values, to_json_values
from pipeline.display.text import lines


@to_json_values.register
def _(goal: Goal) -> dict[str, Any]:
    return {
        "what": goal.what,
        "value": goal.value if math.isfinite(goal.value) else None,
        "below" if goal.below else "at_least": goal.at_least,
        "aim": goal.aim,
        "met": goal.met,
        **({"rounds": list(goal.rounds)} if goal.rounds else {}),
    }


@to_json_values.register
def _(result: BenchResult) -> dict[str, Any]:
    parts = result.parts
    return {
        **to_json_values(result.about),
        "goals": to_json_values([goal for part in parts.values() for goal in part.goals]),
        "parts": to_json_values({name: part.numbers for name, part in parts.items()}),
        **field_values(result, "failed", "notes"),
    }


@lines.register
def _(result: BenchResult) -> list[str]:
    """A line per number, then the goals."""
    machine = result.about["machine"]
    shown = [f"{machine['cpu']}, {machine['cores']} cores, {machine['gpu'] or 'no GPU'}"]
    for name, part in result.parts.items():
        shown += [f"{name:<10}{key:<66}{_number(value)}" for key, value in _flat(part.numbers)]
    goals = [goal for part in result.parts.values() for goal in part.goals]
    if goals:
        shown.append(f"{'goal':<62}{'found':>10}{'needed':>10}{'aim':>10}  met")
    for goal in goals:
        value = f"{goal.value:.4g}" if math.isfinite(goal.value) else "none"
        limits = f"{value:>10}{goal.at_least:>10.4g}{goal.aim:>10.4g}"
        shown.append(f"{goal.what:<62}{limits}  {goal.met:<4}{_spread(goal)}".rstrip())
    shown += [f"note: {note}" for note in result.notes]
    return shown + [f"FAILED  {name}: {reason}" for name, reason in result.failed.items()]


def _spread(goal: Goal) -> str:
    """Return the least and the largest value of several rounds."""
    if len(goal.rounds) < 2:
        return ""
    return f"{min(goal.rounds):.4g} to {max(goal.rounds):.4g} in {len(goal.rounds)} rounds"


def _flat(values: dict[str, Any], before: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in values.items():
        rows += _flat(value, f"{before}{key}.") if isinstance(value, dict) else [(f"{before}{key}", value)]
    return rows


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)

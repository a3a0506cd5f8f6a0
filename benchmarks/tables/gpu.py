"""Tables of GPUs, of docs/performance.md."""

from typing import Any

from benchmarks.gpu_steps.summary import flatten_numbers, format_number
from benchmarks.tables.cells import about


def steps_table(recorded: dict[str, Any]) -> str:
    """Return the table of plain and graphed steps on a cache of DFEW's size."""
    rows = ["| steps | ms | epoch, s | 90 epochs, min | GPU waits for Python |", "|---|---|---|---|---|"]
    for name, row in recorded["ways"].items():
        waits = f"{row['launch_share']:.0%}" if "launch_share" in row else "-"
        rows.append(
            f"| {name} | {row['step_ms']:.1f} | {row['epoch_seconds']:.1f} | {row['90_epochs_minutes']:.1f} "
            f"| {waits} |"
        )
    return "\n".join([about(recorded), "", *rows])


def gpu_table(recorded: dict[str, Any]) -> str:
    """Return the table of `benchmarks.gpu` on one card, and the steps that are not done."""
    rows = ["| step | measurement | settings | numbers |", "|---|---|---|---|"]
    for name, step in recorded["steps"].items():
        for result in step["results"]:
            settings = ", ".join(
                f"{key} {format_number(value)}" for key, value in result.get("settings", {}).items()
            )
            row = f"| {name} | {result['measurement']} | {settings} | {_numbers_cell(result)} |"
            rows.append(row.replace("|  |", "| |"))
    missing = [
        f"{name} ({step['state']})" for name, step in recorded["steps"].items() if step["state"] != "done"
    ]
    note = ["", f"Steps without all their numbers: {', '.join(missing)}."] if missing else []
    return "\n".join([about(recorded), "", *rows, *note])


def _numbers_cell(result: dict[str, Any]) -> str:
    """Return the numbers of a row, or the reason why there are none."""
    if "numbers" not in result:
        return f"not measured: {result.get('error', result.get('skipped', ''))}".replace("|", "\\|")
    return ", ".join(f"{key} {format_number(value)}" for key, value in flatten_numbers(result["numbers"]))

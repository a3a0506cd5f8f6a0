"""Rows of a run as a table, and as one JSON document to publish."""

import json
from pathlib import Path
from typing import Any

from benchmarks.gpu_steps.child import RESULTS
from benchmarks.gpu_steps.records import SKIPPED, STARTED, read_rows

ABOUT, DOCUMENT, SUMMARY = "about.json", "gpu.json", "summary.txt"
UNFINISHED = "not finished"


def document_of(out: Path) -> dict[str, Any]:
    """Return all results so far in `out`: the machine, then each step with its results."""
    steps: dict[str, dict[str, Any]] = {}
    for row in read_rows(out / RESULTS):
        step = steps.setdefault(
            row["step"], {"state": UNFINISHED, "seconds": 0.0, "reason": "", "results": []}
        )
        if "state" not in row:
            step["results"].append({key: row[key] for key in row if key not in ("step", "at_seconds")})
        elif row["state"] == SKIPPED and step["results"]:
            continue  # a later run skipped it, and the earlier results stay valid
        elif row["state"] != STARTED:
            step |= {key: row[key] for key in ("state", "seconds", "reason")}
    about = out / ABOUT
    known = json.loads(about.read_text(encoding="utf-8")) if about.is_file() else {}
    seconds = sum(step["seconds"] for step in steps.values())
    return {**known, "seconds": round(seconds, 1), "steps": steps}


def summary_lines(document: dict[str, Any]) -> list[str]:
    """Return the table: machine, steps, then one line per result. Lists, such as kernels, are left out."""
    lines = [about_line(document), ""]
    lines.append(f"{'step':<17}{'state':<14}{'seconds':>8}  reason")
    for name, step in document["steps"].items():
        lines.append(f"{name:<17}{step['state']:<14}{step['seconds']:>8.1f}  {step['reason']}".rstrip())
    for name, step in document["steps"].items():
        if step["results"]:
            lines += ["", name]
        lines += [f"  {result_line(result)}" for result in step["results"]]
    return lines


def about_line(document: dict[str, Any]) -> str:
    """Return one line about the machine and the code; a short one if the setup did not finish."""
    machine, versions = document.get("machine"), document.get("versions", {})
    if machine is None:
        return "machine unknown: the setup did not finish"
    where = f"{machine['gpu'] or 'no GPU'}, {machine['cpu']}, {machine['cores']} cores"
    with_driver = f"{where}, driver {machine['driver']}" if machine.get("driver") else where
    code = f"torch {versions.get('torch')}, Python {versions.get('python')}; commit {document['commit']}"
    return f"{with_driver}; {code}, {document['date'][:10]}"


def result_line(result: dict[str, Any]) -> str:
    """Return a result as one line: measurement, settings, numbers."""
    settings = " ".join(f"{key}={value}" for key, value in result.get("settings", {}).items())
    before = f"{result['measurement']} [{settings}]" if settings else result["measurement"]
    if "error" in result:
        return f"{before}: ERROR {result['error']}"
    if "skipped" in result:
        return f"{before}: skipped, {result['skipped']}"
    numbers = flatten_numbers(result["numbers"])
    return f"{before}: {' '.join(f'{key}={format_number(value)}' for key, value in numbers)}"


def flatten_numbers(numbers: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return the numbers by name, nested ones as ``outer.inner``, without lists."""
    flat: list[tuple[str, Any]] = []
    for key, value in numbers.items():
        if isinstance(value, dict):
            flat += [(f"{key}.{inner}", item) for inner, item in flatten_numbers(value)]
        elif not isinstance(value, list):
            flat.append((key, value))
    return flat


def format_number(value: Any) -> str:
    """Return a number with four digits, anything else as it is."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def write_summary(out: Path) -> list[str]:
    """Write gpu.json and summary.txt under `out`; return the lines of the latter."""
    document = document_of(out)
    (out / DOCUMENT).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    lines = summary_lines(document)
    (out / SUMMARY).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return lines

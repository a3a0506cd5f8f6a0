"""The tables of docs/performance.md, from the JSON under benchmarks/results.

    python -m benchmarks.page

Writes what stands between a table's two marks; a test fails while page and JSON differ.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "performance.md"
RESULTS = ROOT / "benchmarks" / "results"


def goals_table(recorded: dict[str, Any]) -> str:
    """The goals of a bench, what was found, and where."""
    machine = recorded["machine"]
    rows = ["| what | found | at least | aim | met |", "|---|---|---|---|---|"]
    for goal in recorded["goals"]:
        limit = f"at most {goal['below']:g}" if "below" in goal else f"{goal['at_least']:g}"
        rows.append(f"| {goal['what']} | {goal['value']:.3g} | {limit} | {goal['aim']:g} | {goal['met']} |")
    where = f"{machine['cpu']}, {machine['cores']} cores" + (f", {machine['gpu']}" if machine["gpu"] else "")
    versions = recorded["versions"]
    about = f"{where}; torch {versions['torch']}, Python {versions['python']}; commit {recorded['commit']}, "
    return "\n".join([f"{about}{recorded['date'][:10]}.", "", *rows])


def box_table(recorded: dict[str, Any]) -> str:
    """The subject's boxes by long side, stride and precision, against native size, every frame."""
    rows = [
        "| long side | every | precision | IoU mean | 5th percentile | frames below 0.8 | clips that agree |"
    ]
    rows.append("|---|---|---|---|---|---|---|")
    for row in recorded["rows"]:
        shares = f"{row['frames_below_0.8']:.1%} | {row['clips_that_agree']:.0%}"
        quality = f"{row['iou_mean']:.3f} | {row['iou_5th_percentile']:.3f} | {shares}"
        rows.append(f"| {row['long_side']} | {row['every']} | {row['precision']} | {quality} |")
    return "\n".join(rows)


TABLES = {"bench-cpu": goals_table, "bench-h200": goals_table, "box-quality": box_table}


def rendered(page: str) -> str:
    """The page with each table as its JSON says; without the file, that it was not recorded yet."""
    for name, table in TABLES.items():
        source = RESULTS / f"{name}.json"
        text = table(json.loads(source.read_text())) if source.is_file() else "Not recorded yet."
        marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        assert marks.search(page), name
        page = marks.sub(lambda found, text=text: f"{found[1]}\n{text}\n\n{found[2]}", page)
    return page


if __name__ == "__main__":
    PAGE.write_text(rendered(PAGE.read_text()))
    sys.stdout.write(f"{PAGE}\n")

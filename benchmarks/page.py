"""Tables of pages in docs (`PAGES`), from the JSON files in benchmarks/results.

    python -m benchmarks.page

It replaces the text between the two marks of each table. A test fails while page and JSON differ.
"""

import json
import re
import sys
from pathlib import Path

from benchmarks.tables.cells import about
from benchmarks.tables.gpu import gpu_table, steps_table
from benchmarks.tables.peers import peers_table
from benchmarks.tables.performance import (
    box_table,
    epoch_table,
    goals_table,
    grid_table,
    short_runs_table,
    text_table,
    training_step_table,
)
from benchmarks.tables.prediction import predict_table
from benchmarks.tables.residence import residence_table
from benchmarks.tables.results import (
    baselines_table,
    findings_table,
    harder_table,
    tail_table,
    transfer_table,
    verdicts_table,
    votes_table,
)
from benchmarks.tables.scale import scale_table
from benchmarks.tables.scaling import SCALING_TABLES
from benchmarks.tables.statistics import statistics_table
from benchmarks.tables.stores import stores_table
from benchmarks.tables.tracks import cost_table, cuts_table, tracking_table

ROOT = Path(__file__).parents[1]
_NAMES = (
    "performance",
    "findings",
    "tracks",
    "baselines",
    "long-tail",
    "comparisons",
    "combined-cues",
    "scaling",
)
PAGES = tuple(ROOT / "docs" / f"{name}.md" for name in _NAMES)
RESULTS = ROOT / "benchmarks" / "results"


TABLES = {
    "statistics": statistics_table,
    "bench-cpu": goals_table,
    "bench-gpu": goals_table,
    "gpu": gpu_table,
    "box-quality": box_table,
    "text-branch-cpu": text_table,
    "epoch-cpu": epoch_table,
    "ablate-cpu": grid_table,
    "steps-gpu": steps_table,
    "findings": findings_table,
    "baselines": baselines_table,
    "harder": harder_table,
    "tracking": tracking_table,
    "cuts": cuts_table,
    "tracking-cost": cost_table,
    "predict": predict_table,
    "longtail": tail_table,
    "votes": votes_table,
    "scale": lambda recorded: scale_table(recorded, about(recorded)),
    "verdicts": verdicts_table,
    "transfer": transfer_table,
    "training-step-cpu": training_step_table,
    "short-runs-cpu": short_runs_table,
    "residence-cpu": residence_table,
    "stores-cpu": stores_table,
    **SCALING_TABLES,
    "peers-cpu": peers_table,
}

_FILES = dict.fromkeys(SCALING_TABLES, "scaling")
"""Names of the files of tables that are not named like their files."""


_OF_A_MACHINE = ("bench-cpu", "bench-gpu", "gpu", "steps-gpu")
"""Tables that may have a recording NAME-MACHINE.json for each machine, beside NAME.json."""


def recordings(name: str) -> list[Path]:
    """Return the files of a table: NAME.json, then those of single machines in the order of their names."""
    one = RESULTS / f"{_FILES.get(name, name)}.json"
    more = sorted(RESULTS.glob(f"{name}-*.json")) if name in _OF_A_MACHINE else []
    return [*([one] if one.is_file() else []), *more]


def rendered(page: str) -> str:
    """Return the page with each table from its JSON file, or a note if there is no file."""
    for name, table in TABLES.items():
        tables = [table(json.loads(source.read_text())) for source in recordings(name)]
        text = "\n\n".join(tables) or "Not recorded yet."
        marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        page = marks.sub(lambda found, text=text: f"{found[1]}\n{text}\n\n{found[2]}", page)
    return page


if __name__ == "__main__":
    for written in PAGES:
        written.write_text(rendered(written.read_text()))
        sys.stdout.write(f"{written}\n")

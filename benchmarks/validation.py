"""Results of a grid's runs on validation clips, row by row. Settings are chosen by them, never by test clips.

    ./cli.py ablate --cache demo-out/feats.zarr --spec benchmarks/grids/default.toml --seeds 5 --out GRID
    python -m benchmarks.validation GRID --out FILE

For each run, the epoch of its checkpoint counts. Mean and standard deviation are over seeds, which hold out
different clips.
"""

import argparse
import json
import sys
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from benchmarks.findings import settings_of
from pipeline.bench.result import about_this_run
from trainer.ablate.load_results import read_sweep
from trainer.epochs import METRICS_FILE
from trainer.run_directory import load_info


def best_epoch(run_dir: Path) -> dict[str, Any]:
    """Return the validation numbers of the checkpoint's epoch."""
    lines = (run_dir / METRICS_FILE).read_text(encoding="utf-8").splitlines()
    epochs = {record["epoch"]: record for record in map(json.loads, lines)}
    record = epochs[load_info(run_dir).best_epoch]
    return {
        **record["validation"],
        "epoch": record["epoch"],
        "seconds": sum(e["seconds"] for e in epochs.values()),
    }


def main() -> None:
    """Read a grid and write the result."""
    parser = argparse.ArgumentParser(description="Validation numbers of a grid, by row.")
    parser.add_argument("grid", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    grid = read_sweep(args.grid)
    about = about_this_run(settings_of(grid.result.request), {"grid": args.grid})
    found: dict[str, list[dict[str, Any]]] = {}
    for run_dir, outcome in grid.outcomes.items():
        if outcome.state == "finished":
            found.setdefault(outcome.row, []).append(best_epoch(run_dir))
    rows: dict[str, dict[str, Any]] = {}
    for row, runs in found.items():
        values = {name: [run[name] for run in runs] for name in runs[0]}
        statistics = {
            name: {"mean": mean(of), "std": stdev(of)} for name, of in values.items() if len(of) > 1
        }
        rows[row] = {"runs": len(runs), **statistics}
    result = {**about, "rows": rows}
    rows = {name: row for name, row in rows.items() if "loss" in row}
    args.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for name, row in sorted(rows.items(), key=lambda item: item[1]["loss"]["mean"]):
        shown = "  ".join(
            f"{key} {row[key]['mean']:.4f} ± {row[key]['std']:.4f}" for key in ("loss", "uar", "war")
        )
        sys.stdout.write(f"{name:<40} {row['runs']} runs  {shown}  epoch {row['epoch']['mean']:.1f}\n")


if __name__ == "__main__":
    main()

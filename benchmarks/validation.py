"""The validation clips of a grid's runs, row by row: by them settings are chosen, never by test clips.

    ./cli.py ablate --cache demo-out/feats.zarr --spec benchmarks/grids/default.toml --seeds 5 --out GRID
    python -m benchmarks.validation GRID --out FILE

Of each run the epoch of its checkpoint counts. Mean and standard deviation over the seeds, which hold out
other clips each.
"""

import argparse
import json
import sys
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from pipeline.bench.result import about_this_run
from trainer.checkpoint import load_info
from trainer.train import METRICS_FILE


def best_epoch(run_dir: Path) -> dict[str, Any]:
    """The validation numbers of the epoch that the checkpoint is of."""
    lines = (run_dir / METRICS_FILE).read_text(encoding="utf-8").splitlines()
    epochs = {record["epoch"]: record for record in map(json.loads, lines)}
    record = epochs[load_info(run_dir).best_epoch]
    return {
        **record["validation"],
        "epoch": record["epoch"],
        "seconds": sum(e["seconds"] for e in epochs.values()),
    }


def main() -> None:
    """Read, write."""
    parser = argparse.ArgumentParser(description="Validation numbers of a grid, by row.")
    parser.add_argument("grid", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    about = about_this_run({}, {"grid": args.grid.name})
    rows: dict[str, dict[str, Any]] = {}
    for folder in sorted(path for path in args.grid.iterdir() if path.is_dir()):
        found = [best_epoch(run.parent) for run in sorted(folder.glob(f"*/{METRICS_FILE}"))]
        if len(found) > 1:
            names = {name: [one[name] for one in found] for name in found[0]}
            rows[folder.name] = {"runs": len(found)} | {
                name: {"mean": mean(values), "std": stdev(values)} for name, values in names.items()
            }
    result = {**{name: about[name] for name in ("date", "commit", "machine", "versions")}, "rows": rows}
    args.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for name, row in sorted(rows.items(), key=lambda item: item[1]["loss"]["mean"]):
        shown = "  ".join(
            f"{key} {row[key]['mean']:.4f} ± {row[key]['std']:.4f}" for key in ("loss", "uar", "war")
        )
        sys.stdout.write(f"{name:<40} {row['runs']} runs  {shown}  epoch {row['epoch']['mean']:.1f}\n")


if __name__ == "__main__":
    main()

"""Baselines and OUS on the drawn clips, beside the best accuracy that is possible from faces alone.

    ./cli.py ablate --cache demo-out/feats.zarr --table baselines --preset smoke --seeds 5 --out GRID
    python -m benchmarks.baselines GRID --truth demo-out/clips/synthetic.json --out FILE

The bound is in the description of the drawn set, beside its clips; the cache does not hold it. Rows are
compared within seeds, which have the same held-out clips, as in `benchmarks.findings`.
"""

import argparse
import json
import sys
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from benchmarks.findings import difference, settings_of
from pipeline.bench.result import about_this_run
from trainer.ablate.aggregate import RowResult
from trainer.ablate.load_results import StoredSweep, read_sweep

PAIRS = (
    ("OUS", "OUS without scene"),
    ("OUS", "linear probe, both"),
    ("OUS without scene", "linear probe, face"),
    ("OUS without scene", "temporal transformer, face"),
    ("temporal transformer, face", "linear probe, face"),
    ("linear probe, both", "linear probe, face"),
)


def measured_row(row: RowResult, bound: float) -> dict[str, Any]:
    """Return the numbers of a row over its seeds, 0 to 1, and how many of them are above the bound."""
    metrics = {outcome.seed: outcome.metrics() for outcome in row.having("finished")}
    war = {seed: one.war for seed, one in metrics.items()}
    uar = [one.uar for one in metrics.values()]
    return {
        "method": row.row.method,
        "settings": list(row.row.settings),
        "war": war,
        "war_mean": mean(war.values()),
        "war_std": stdev(war.values()),
        "uar_mean": mean(uar),
        "uar_std": stdev(uar),
        "seeds_above_the_bound": sum(value > bound for value in war.values()),
        "facts": list(row.facts),
    }


def described(truth: Path, grid: StoredSweep) -> tuple[float, float, int]:
    """Return bound, chance and number of test clips of a drawn set.

    Raises ValueError if the sweep is of other clips, or has runs without metrics.
    """
    description = json.loads(truth.read_text(encoding="utf-8"))
    clips, result = description["clips"]["test"], grid.result
    counts = {outcome.metrics().num_clips for outcome in result.finished}
    if result.request.dataset != "synthetic" or counts != {clips}:
        found = f"{result.request.dataset}, with {sorted(counts)} test clips"
        msg = f"the sweep is of {found}; {clips} drawn clips are needed"
        raise ValueError(msg)
    if len(result.finished) < result.num_wanted:
        msg = f"{len(result.finished)} of {result.num_wanted} runs are finished; all are needed"
        raise ValueError(msg)
    return description["face_only_bound"], description["chance"], clips


def main() -> None:
    """Read a sweep and write the result."""
    parser = argparse.ArgumentParser(description="Baselines on the drawn clips.")
    parser.add_argument("grid", type=Path)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    grid = read_sweep(args.grid)
    bound, chance, clips = described(args.truth, grid)
    rows = {row.name: measured_row(row, bound) for row in grid.result.rows}
    request = grid.result.request
    about = about_this_run(settings_of(request), {"grid": args.grid, "truth": args.truth})
    result = {
        **about,
        "command": f"ablate --table baselines --preset {request.preset} --seeds {len(request.seeds)}",
        "banners": list(grid.result.banners),
        "preset": request.preset,
        "settings": list(request.settings),
        "seeds": list(request.seeds),
        "clips": clips,
        "face_only_bound": bound,
        "chance": chance,
        "rows": rows,
        "pairs": [
            {"first": first, "second": second, **difference(rows[first]["war"], rows[second]["war"])}
            for first, second in PAIRS
        ],
    }
    args.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(f"{args.out}\n")


if __name__ == "__main__":
    main()

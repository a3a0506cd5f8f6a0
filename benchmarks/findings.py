"""Contribution of each part of the model: differences between rows of a grid, seed by seed.

    ./cli.py ablate --cache demo-out/feats.zarr --spec benchmarks/grids/findings.toml --seeds 5 --out GRID
    python -m benchmarks.findings GRID --out benchmarks/results/findings.json

Runs of one seed have the same held-out clips and the same order of batches. Therefore rows are compared
within seeds: the mean difference of WAR on the test clips, with Student's 95% confidence interval over the
seeds.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from pipeline.bench.result import about_this_run
from trainer.ablate.load_results import read_sweep
from trainer.ablate.sweep_request import SweepRequest

PAIRS = (
    ("full", "no scene"),
    ("full", "no polarity"),
    ("full", "average pooling"),
    ("full", "contrastive loss alone"),
    ("query_stream, 1 block", "literal, 1 block"),
    ("query_stream, 4 blocks", "literal, 4 blocks"),
    ("query_stream, 12 blocks", "literal, 12 blocks"),
)
_CONFIDENCE = 0.95


def settings_of(request: SweepRequest) -> dict[str, Any]:
    """Return preset, settings of all rows, and settings of each row of a sweep, for its record."""
    rows = {row.name: list(row.settings) for row in request.spec.rows}
    return {"preset": request.preset, "settings": list(request.settings), "rows": rows}


def difference(first: dict[int, float], second: dict[int, float]) -> dict[str, Any]:
    """Return first minus second over the seeds of both, with a confidence interval.

    Raises ValueError for fewer than two common seeds.
    """
    seeds = sorted(first.keys() & second.keys())
    if len(seeds) < 2:
        msg = f"{len(seeds)} seeds are common to both rows; two are needed"
        raise ValueError(msg)
    values = np.array([first[seed] - second[seed] for seed in seeds])
    half = stats.t.ppf((1 + _CONFIDENCE) / 2, len(values) - 1) * stats.sem(values)
    low, high = float(values.mean() - half), float(values.mean() + half)
    return {
        "seeds": seeds,
        "differences": values.tolist(),
        "mean": float(values.mean()),
        "interval": [low, high],
        "shown": "yes" if low > 0 else "the contrary" if high < 0 else "no difference shown",
    }


def main() -> None:
    """Read a grid, compare its rows and write the result."""
    parser = argparse.ArgumentParser(description="Differences between rows of a grid, within seeds.")
    parser.add_argument("grid", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    grid = read_sweep(args.grid)
    about = about_this_run(settings_of(grid.result.request), {"grid": args.grid})
    war: dict[str, dict[int, float]] = {}
    for outcome in grid.outcomes.values():
        if outcome.state == "finished":
            war.setdefault(outcome.row, {})[outcome.seed] = outcome.metrics().war
    rows = {
        row: {"war": values, "mean": float(np.mean(list(values.values()))),
              "std": float(np.std(list(values.values()), ddof=1))}
        for row, values in war.items() if len(values) > 1
    }  # fmt: skip
    pairs = [
        {"first": first, "second": second, **difference(war[first], war[second])} for first, second in PAIRS
    ]
    result = {
        **about,
        "banners": list(grid.result.banners),
        "clips": sum(map(sum, next(iter(grid.outcomes.values())).confusion)),
        "rows": rows,
        "pairs": pairs,
    }
    args.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for name, row in rows.items():
        sys.stdout.write(f"{name:<26} {row['mean']:.2%} ± {row['std']:.2%} of {len(row['war'])} seeds\n")
    for pair in pairs:
        low, high = pair["interval"]
        sys.stdout.write(
            f"{pair['first']} - {pair['second']}: {pair['mean']:+.2%} ({low:+.2%} to {high:+.2%}): "
            f"{pair['shown']}\n"
        )


if __name__ == "__main__":
    main()

"""Verdicts about parts of the model, on the clips of the demo; rows, margin and seeds fixed beforehand.

./cli.py ablate --cache demo-out/feats.zarr --spec benchmarks/grids/verdicts.toml --seeds 8 --out GRID
python -m benchmarks.verdicts GRID --out benchmarks/results/verdicts.json
"""

import argparse
import json
from pathlib import Path

from benchmarks.findings import settings_of
from pipeline.bench.result import about_this_run
from trainer.ablate.load_results import read_sweep

_KEPT = ("seeds", "planned_after", "banners", "comparisons")


def main() -> None:
    """Write the comparisons of a finished grid, with machine and commit."""
    parser = argparse.ArgumentParser(description="Verdicts of a grid.")
    parser.add_argument("grid", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    about = about_this_run(settings_of(read_sweep(args.grid).result.request), {"grid": args.grid})
    found = json.loads((args.grid / "results.json").read_text(encoding="utf-8"))
    if found["num_outcomes"] < found["num_wanted"]:
        parser.error(f"the grid has {found['num_outcomes']} of {found['num_wanted']} outcomes")
    result = about | {name: found[name] for name in _KEPT}
    args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

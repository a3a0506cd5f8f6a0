"""A grid of 100 short runs: runs per minute in two checkouts, and where the time of one run goes.

    python -m benchmarks.short_runs --before CHECKOUT --out benchmarks/results/short-runs-cpu.json

Each run takes 8 steps of preset ``smoke`` and is measured. Both checkouts run the same command in turns:
`ablate` of one row with 100 seeds, by as many workers as it chooses, from the command to its end. The parts
are those of the fourth run in this process: libraries are then loaded, as in a worker.
"""

import argparse
import cProfile
import json
import pstats
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from pipeline.bench.result import about_this_run
from pipeline.config import override
from trainer.measurement import measure
from trainer.presets import smoke
from trainer.training import train

SETTINGS = ("schedule.max_steps=8",)
_SPEC = """title = "Short runs"
preset = "smoke"
settings = ["schedule.max_steps=8"]

[[rows]]
name = "short"
"""
_ROOT = Path(__file__).parents[1]
_PARTS = {
    "features into memory, twice": ("load_sources",),
    "text encoder": ("load_text_tower",),
    "steps": ("_train_epoch",),
    "validation and test clips through the model": ("score",),
}
"""Parts of a run, none of which is inside another, by their functions."""


def swept(checkout: Path, cache: str, runs: int) -> dict[str, Any]:
    """Run the grid with the program of a checkout, and return its seconds."""
    with tempfile.TemporaryDirectory(prefix="ous-short-") as work:
        spec = Path(work) / "short.toml"
        spec.write_text(_SPEC, encoding="utf-8")
        command = [
            sys.executable, str(checkout / "cli.py"), "ablate", "--cache", cache, "--spec", str(spec),
            "--seeds", str(runs), "--gpus", "0", "--out", str(Path(work) / "out"), "--json",
        ]  # fmt: skip
        environment = {"PYTHONPATH": str(checkout), "PATH": "/usr/bin:/bin", "HOME": str(Path.home())}
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, env=environment)
        seconds = time.perf_counter() - began
    commit = subprocess.run(
        ["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"],
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    return {"commit": commit, "runs": runs, "seconds": seconds, "runs_per_minute": 60 * runs / seconds}


def parts(cache: str) -> dict[str, float]:
    """Return the seconds of the parts of one run, on one thread."""
    torch.set_num_threads(1)
    config = override(smoke(), SETTINGS)
    found: dict[str, float] = {}
    for number in range(4):
        with tempfile.TemporaryDirectory(prefix="ous-short-") as work:
            run = Path(work) / "run"
            profile = cProfile.Profile()
            profile.enable()
            train(cache, run, config, seed=number, device="cpu", has_figures=False, is_resumable=False)
            measure(run, device="cpu").metrics()
            profile.disable()
        stats: Any = pstats.Stats(profile)
        total = stats.total_tt
        cumulative = {
            name: sum(entry[3] for (_, _, own), entry in stats.stats.items() if own in functions)
            for name, functions in _PARTS.items()
        }
        found = {"whole run": total, **cumulative, "the rest": total - sum(cumulative.values())}
    return found


def main() -> None:
    """Measure both checkouts and the parts, and write the result."""
    parser = argparse.ArgumentParser(description="A grid of short runs.")
    parser.add_argument("--cache", default="demo-out/feats.zarr")
    parser.add_argument("--before", type=Path, help="directory of an earlier checkout")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    options = {"runs": args.runs, "rounds": args.rounds, "settings": SETTINGS, "preset": "smoke"}
    about = about_this_run({}, options)
    result: dict[str, Any] = {**about, "parts_seconds": parts(args.cache)}
    checkouts = {"now": _ROOT} if args.before is None else {"before": args.before.resolve(), "now": _ROOT}
    result["rounds"] = [
        {name: swept(checkout, args.cache, args.runs) for name, checkout in checkouts.items()}
        for _ in range(args.rounds)
    ]
    args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

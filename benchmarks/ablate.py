"""Speed of sweeps: two runs side by side, compared with one after the other, and a whole table.

    python -m benchmarks.ablate --cache demo-out/feats.zarr --out benchmarks/results/ablate-cpu.json

`make demo` makes that cache from the synthetic dataset, with a small encoder. Two workers with half of the
cores each and one worker with all cores take turns at the same runs; the best of the repeats counts. Then a
table of the paper is run by the default number of workers of `ablate`. Every time is from the command's call
to its end, with the start of workers and the drawing of figures.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from pipeline.bench.result import about_this_run
from trainer.ablate import Outcome, Spec, SweepExecutorOptions, ablate, table
from trainer.ablate.spec import Row
from trainer.presets import PRESETS


class _Silent:
    """Observer of a sweep that records the seconds of runs."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.where = ""

    def on_start(self, num_to_do: int, num_before: int) -> None:
        """Do nothing."""

    def on_outcome(self, outcome: Outcome) -> None:
        """Record the seconds of a run. Raises RuntimeError if it did not finish."""
        if outcome.state != "finished":
            raise RuntimeError(str(outcome))
        self.seconds.append(outcome.seconds)

    def on_remark(self, text: str) -> None:
        """Record the place of the workers."""
        self.where = text


def timed(cache: str, spec: Spec, seeds: int, workers: int | None, preset: str) -> tuple[float, _Silent]:
    """Run a sweep in a new directory.

    Args:
        cache: Location of the cache.
        spec: The table of settings.
        seeds: Number of seeds per row.
        workers: Number of workers; None for the default of `ablate`.
        preset: Preset of the runs.

    Returns:
        Seconds of the sweep, and its observer.
    """
    observer = _Silent()
    with tempfile.TemporaryDirectory(prefix="ous-ablate-") as folder:
        began = time.perf_counter()
        options = SweepExecutorOptions(gpus=0, workers=workers)
        ablate(cache, spec, Path(folder) / "out", observer, num_seeds=seeds, preset=preset, options=options)
        return time.perf_counter() - began, observer


def main() -> None:
    """Measure both and write the result."""
    parser = argparse.ArgumentParser(
        description="Runs side by side, compared with one after the other; a whole table."
    )
    parser.add_argument("--cache", default="demo-out/feats.zarr")
    parser.add_argument("--table", type=int, default=5)
    parser.add_argument("--preset", default="smoke", choices=sorted(PRESETS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=4, help="runs side by side, and one after the other")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--out", type=Path, help="file for the result [stdout only]")
    args = parser.parse_args()
    about = about_this_run({}, {name: str(value) for name, value in vars(args).items()})
    one_row = Spec(
        title="One row", dataset="", preset=args.preset, settings=(), note="",
        rows=(Row(name="full", settings=(), paper=None),),
    )  # fmt: skip
    took: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(args.repeats):
        for workers, times in took.items():
            times.append(timed(args.cache, one_row, args.runs, workers, args.preset)[0])
    table_seconds, observer = timed(args.cache, table(args.table), args.seeds, None, args.preset)
    result = {
        **about,
        "side_by_side": {
            "runs": args.runs,
            "one_after_the_other_seconds": min(took[1]),
            "two_side_by_side_seconds": min(took[2]),
            "times_faster": min(took[1]) / min(took[2]),
            "all_seconds": took,
        },
        "table": {
            "table": args.table,
            "runs": len(observer.seconds),
            "where": observer.where,
            "seconds": table_seconds,
            "seconds_of_each_run": observer.seconds,
        },
    }
    text = json.dumps(result, indent=2) + "\n"
    if args.out is not None:
        args.out.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()

"""Command line: see the package."""

import argparse
import json
import sys
from pathlib import Path

from benchmarks.scaling import scenarios
from benchmarks.scaling.constants import RESULTS, Constants, measure
from benchmarks.scaling.figure import draw
from pipeline.bench.result import about_this_run

FIGURE = Path(__file__).parents[2] / "docs" / "images" / "scaling.png"


def main() -> None:
    """Measure the constants if asked, simulate, and write results and figure."""
    parser = argparse.ArgumentParser(description="Simulation of extraction with up to 400 GPUs.")
    parser.add_argument(
        "--measure", action="store_true", help="measure the constants; without it, those of --out"
    )
    parser.add_argument("--clips", type=int, default=20_000, help="clips of the list for planning [20000]")
    parser.add_argument("--out", type=Path, default=RESULTS / "scaling.json")
    parser.add_argument("--figure", type=Path, default=FIGURE)
    args = parser.parse_args()
    about = about_this_run({}, {"measure": args.measure, "clips": args.clips})
    if args.measure:
        measured = measure(about, args.clips)
    else:
        measured = json.loads(args.out.read_text(encoding="utf-8"))["measured"]
    constants = Constants.of(measured)
    result = {**{name: value for name, value in about.items() if name != "config"}, "measured": measured}
    result["constants"] = {
        name: {"value": value, "source": constants.sources[name]} for name, value in constants.values.items()
    }
    result["validation"] = scenarios.validation(constants)
    result["limits"], result["serial"] = scenarios.limits(constants), scenarios.serial(constants)
    for name in ("by_workers", "by_speed", "by_remedy", "by_straggler", "by_life"):
        result[name] = list(getattr(scenarios, name)(constants))
        sys.stderr.write(f"{name}: {len(result[name])} rows\n")
    args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    draw(result, args.figure)


if __name__ == "__main__":
    main()

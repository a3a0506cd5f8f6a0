"""See `benchmarks.harder`."""

import argparse
import json
import sys
from pathlib import Path

from benchmarks.harder.design import draw
from benchmarks.harder.ideal import write_ideal
from benchmarks.harder.runs import report
from benchmarks.harder.sheet import draw_sheet


def main() -> None:
    """Draw the set, or measure the grid and write the result."""
    parser = argparse.ArgumentParser(description="Runs on the version combined of the drawn set.")
    parser.add_argument("part", choices=("draw", "ideal", "sheet", "probe", "report"))
    parser.add_argument("work", type=Path)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if args.part == "draw":
        draw(args.work)
        return
    if args.part == "ideal":
        write_ideal(args.work)
        return
    if args.part == "sheet":
        draw_sheet(args.work)
        return
    result = report(args.work, with_grid=args.part == "report")
    text = json.dumps(result, indent=1) + "\n"
    if args.out is not None:
        args.out.write_text(text, encoding="utf-8")
    for name, row in result["probes"].items():
        sys.stdout.write(f"{name:<40} {row}\n")
    for row, kinds in result.get("rows", {}).items():
        shown = "  ".join(f"{kind} {value['mean']:.3f}" for kind, value in kinds.items())
        sys.stdout.write(f"{row:<28} {shown}\n")


if __name__ == "__main__":
    main()

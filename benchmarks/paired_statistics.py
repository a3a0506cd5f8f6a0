"""Coverage of the intervals of paired comparisons, and false verdicts, in simulations whose truth is known.

    python -m benchmarks.paired_statistics --out FILE [--tables 1000] [--draws 2000]

It takes about 40 minutes on one core.
"""

import argparse
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from scipy.stats import norm

from pipeline.bench.result import about_this_run
from pipeline.types import Ints
from trainer.ablate.comparisons import Comparisons, compare_rows
from trainer.ablate.outcome import Outcome
from trainer.ablate.spec import Row, Spec
from trainer.ablate.sweep_request import SweepRequest
from trainer.intervals import Interval
from trainer.paired_statistics import LEVEL, bca_interval, pair_clips, t_interval

NUMBERS = (3, 4, 5, 6, 8, 10, 15, 20, 30)
"""Numbers of differences."""
SHARES = np.array([0.209, 0.168, 0.228, 0.186, 0.127, 0.012, 0.070])
"""Shares of the classes of DFEW."""
RECALLS = np.array([0.90, 0.72, 0.75, 0.73, 0.62, 0.15, 0.45])
GAINS = np.array([0.02, 0.03, 0.00, -0.02, 0.04, 0.10, 0.05])
"""Recalls of the first method, and what the second has more."""

_PARTS = ("coverage_over_runs", "coverage_over_clips", "false_verdicts")
_ROWS, _CLIPS, _NOISE = 5, 2_000, 0.01


def coverage_over_runs(draws: int) -> dict[str, Any]:
    """Return the shares of intervals of n normal values that hold their mean."""
    generator = np.random.default_rng(1)
    found: dict[str, Any] = {}
    for num in NUMBERS:
        values = generator.normal(0.4, 1.0, (draws, num))
        found[str(num)] = {
            "t": float(np.mean([_holds(t_interval(row), 0.4) for row in values])),
            "bca": float(np.mean([_holds(bca_interval(row), 0.4) for row in values])),
        }
    return found


def coverage_over_clips(draws: int) -> dict[str, Any]:
    """Return the shares of intervals over clips that hold the true differences of WAR and UAR.

    The classes of the clips are drawn too. Whether both methods are right on a clip is correlated.
    """
    truth = {"war": float(SHARES @ GAINS), "uar": float(GAINS.mean())}
    found: dict[str, Any] = {"truth": truth}
    for name, clips, seeds, group_size in (
        ("2,340 clips", 2340, 1, 1),
        ("500 clips", 500, 1, 1),
        ("500 clips, 3 seeds", 500, 3, 1),
        ("2,400 clips in 600 groups", 2400, 1, 4),
        ("480 clips in 60 groups", 480, 1, 8),
    ):
        generator = np.random.default_rng(2)
        held = [_clips_hold(generator, clips, seeds, group_size, truth) for _ in range(draws)]
        found[name] = {"war": _share(one["war"] for one in held), "uar": _share(one["uar"] for one in held)}
    return found


def false_verdicts(tables: int) -> dict[str, Any]:
    """Return how often tables of equal rows have a verdict of a difference, and others one of equality.

    BCa intervals, of which no verdict depends, are left out to save time.
    """
    found: dict[str, Any] = {}
    for name, folds, seeds in (
        ("1 fold, 12 seeds", 1, 12),
        ("1 fold, 8 seeds", 1, 8),
        ("5 folds, 8 seeds", 5, 8),
    ):
        generator = np.random.default_rng(3)
        compared = _tables(generator, folds, seeds, 0.0, tables)
        alarms = [any(word.startswith(("higher", "lower")) for word in _verdicts(one)) for one in compared]
        generator = np.random.default_rng(4)
        apart = _tables(generator, folds, seeds, 0.01, tables)
        equal = [any("within" in word for word in _verdicts(one)) for one in apart]
        shown = [sum(word.startswith("higher") for word in _verdicts(one)) / _ROWS for one in apart]
        found[name] = {
            "tables": tables,
            "rows": _ROWS,
            "tables_with_a_false_difference": float(np.mean(alarms)),
            "tables_with_a_false_equality": float(np.mean(equal)),
            "rows_found_higher_at_one_point": float(np.mean(shown)),
            "most_allowed": LEVEL + 2 * math.sqrt(LEVEL * (1 - LEVEL) / tables),
        }
    return found


def _verdicts(found: Comparisons | None) -> Iterator[str]:
    return iter(()) if found is None else (one.verdict for one in found.differences["war"])


def _tables(
    generator: np.random.Generator, folds: int, seeds: int, gain: float, tables: int
) -> list[Comparisons | None]:
    with mock.patch("trainer.paired_statistics.bca_interval", return_value=None):
        return [_table(generator, folds, seeds, gain) for _ in range(tables)]


def _table(generator: np.random.Generator, folds: int, seeds: int, gain: float) -> Comparisons | None:
    """Compare rows whose true WAR is 0.7, or `gain` more in all but the base; equal margin of one point."""
    rows = [Row(name=f"row {n}", settings=(), paper=None) for n in range(_ROWS + 1)]
    names = tuple(str(fold) for fold in range(1, folds + 1))
    spec = Spec(
        title="table", dataset="", preset="default", settings=(), note="", rows=tuple(rows), margin=1.0
    )
    request = SweepRequest(
        spec=spec, dataset="drawn", preset="default", settings=(), all_folds=names, folds=names,
        seeds=tuple(range(seeds)), num_shared_clips=0,
    )  # fmt: skip
    of_fold = {name: float(generator.normal(0, 0.02)) for name in names}
    outcomes = []
    for number, row in enumerate(rows):
        for name in names:
            for seed in range(seeds):
                rate = 0.7 + of_fold[name] + (gain if number else 0.0) + generator.normal(0, _NOISE)
                right = round(_CLIPS * min(1.0, max(0.0, rate)))
                outcomes.append(_outcome(row.name, name, seed, right))
    return compare_rows(request, outcomes, lambda _: None)


def _outcome(row: str, fold: str, seed: int, right: int) -> Outcome:
    half = right // 2
    confusion = ((half, _CLIPS // 2 - half), (_CLIPS // 2 - (right - half), right - half))
    return Outcome(
        row=row, fold=fold, seed=seed, state="finished", class_names=("a", "b"), confusion=confusion
    )


def _clips_hold(
    generator: np.random.Generator, clips: int, seeds: int, group_size: int, truth: dict[str, float]
) -> dict[str, bool]:
    num_groups = clips // group_size
    label_N = generator.choice(len(SHARES), clips, p=SHARES)
    group_N = np.repeat(np.arange(num_groups), group_size)
    first, second = _pair(generator, label_N, group_N, seeds)
    found = pair_clips(first, second, label_N, group_N if group_size > 1 else None, len(SHARES))
    return {
        "war": _holds(found.war_interval, truth["war"]),
        "uar": _holds(found.uar_interval, truth["uar"]),
    }


def _pair(
    generator: np.random.Generator, label_N: Ints, group_N: Ints, seeds: int
) -> tuple[list[Ints], list[Ints]]:
    """Draw which clips both methods have right; half of a clip's luck is its group's and its own."""
    first, second = [], []
    normal = generator.standard_normal
    of_clip_N = math.sqrt(0.3) * normal(group_N.max() + 1)[group_N] + math.sqrt(0.3) * normal(len(label_N))
    gain_of_group_G = normal(group_N.max() + 1)
    for _ in range(seeds):
        shared_N = of_clip_N + math.sqrt(0.2) * normal(len(label_N))
        for column, gains, sign in ((first, 0 * GAINS, 0.0), (second, GAINS, 1.0)):
            own_N = math.sqrt(0.1) * normal(len(label_N)) + sign * math.sqrt(0.1) * gain_of_group_G[group_N]
            scale = math.sqrt(0.9 + 0.1 * sign)
            luck_N = (shared_N + own_N) / scale
            column.append((luck_N < _threshold(RECALLS + gains)[label_N]).astype(np.int64))
    return first, second


def _threshold(rates: np.ndarray) -> np.ndarray:
    return np.asarray(norm.ppf(rates))


def _holds(interval: Interval | None, truth: float) -> bool:
    return interval is not None and interval[0] <= truth <= interval[1]


def _share(values: Iterator[bool]) -> float:
    return float(np.mean(list(values)))


def main() -> None:
    """Run the simulations and write the result."""
    parser = argparse.ArgumentParser(description="Coverage and false verdicts of paired comparisons.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=2_000)
    parser.add_argument("--tables", type=int, default=1_000)
    parser.add_argument("--parts", nargs="*", default=list(_PARTS), choices=_PARTS, help="others are kept")
    args = parser.parse_args()
    about = about_this_run({}, {"draws": args.draws, "tables": args.tables})
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "coverage_over_runs": lambda: coverage_over_runs(args.draws),
        "coverage_over_clips": lambda: coverage_over_clips(args.draws),
        "false_verdicts": lambda: false_verdicts(args.tables),
    }
    result = json.loads(args.out.read_text(encoding="utf-8")) if args.out.exists() else {}
    result |= about
    for name in args.parts:
        result[name] = parts[name]()
        args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Accuracy of the runs of the grid by kind of cue, beside the bounds and the probes."""

from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from scipy import stats

from benchmarks import harder
from benchmarks.harder.design import CACHE, CONFIG, EXTRACTION, GRID, IDEAL, IDEAL_GRID, kind_of
from benchmarks.harder.probes import certain_frame_probe, choice_of_subjects, probes
from pipeline.bench.result import about_this_run
from pipeline.config import from_dict, to_dict
from pipeline.datasets.synthetic import PlannedClip, all_bounds, plan_clips
from pipeline.datasets.synthetic.cues import KINDS
from pipeline.process import ExtractConfig
from pipeline.store.reader import FeatureCache
from trainer.ablate.load_results import read_sweep
from trainer.measurement import measure

Accuracies: TypeAlias = dict[str, dict[str, dict[int, float]]]
"""Row -> kind of cue, ``all`` or ``clear`` -> seed -> accuracy."""

_BASE = "full"
_CONFIDENCE = 0.95


def report(work: Path, *, with_grid: bool = True) -> dict[str, Any]:
    """Return the whole record."""
    clips = plan_clips(CONFIG)
    planned = {clip.clip_id: clip for clip in clips}
    tests = [clip for clip in clips if clip.split == "test"]
    about = about_this_run(
        {"synthetic": CONFIG.to_stored(), **to_dict(from_dict(ExtractConfig, EXTRACTION))}, {}
    )
    result = {
        **{name: about[name] for name in ("date", "commit", "machine", "versions", "config")},
        "command": [line.strip() for line in (harder.__doc__ or "").split("\n\n")[1].splitlines()],
        "clips": {"train": len(clips) - len(tests), "test": len(tests)},
        "test_clips_by_kind": {
            kind: sum(kind_of(clip) == kind for clip in tests) for kind in ("clear", *KINDS)
        },
        "bounds": {
            kind: all_bounds([clip for clip in clips if kind in ("all", kind_of(clip))])
            for kind in ("all", "clear", *KINDS)
        },
        "subjects_chosen_without_boxes": choice_of_subjects(work, planned),
        "probes": probes(work, planned),
        "moment_by_most_certain_frame": certain_frame_probe(work, planned),
    }
    if with_grid:
        result["banners"] = list(read_sweep(work / GRID).result.banners)
        result |= compared(measured_runs(work / GRID, work / CACHE, planned))
    if with_grid and (work / IDEAL_GRID).is_dir():
        result["ideal"] = compared(measured_runs(work / IDEAL_GRID, work / IDEAL, planned))
    return result


def compared(runs: Accuracies) -> dict[str, Any]:
    """Return mean, deviation and values of every row and kind, and the difference from the row `full`.

    Seeds that some row has not finished are left out. Raises ValueError for fewer than two others.
    """
    seeds = sorted(set.intersection(*(set(kinds["all"]) for kinds in runs.values())))
    if len(seeds) < 2:
        msg = f"{len(seeds)} seeds are common to all rows; two are needed"
        raise ValueError(msg)
    kept = {
        row: {kind: {seed: by_seed[seed] for seed in seeds} for kind, by_seed in kinds.items()}
        for row, kinds in runs.items()
    }
    return {
        "rows": {
            row: {kind: statistics(by_seed) for kind, by_seed in kinds.items()} for row, kinds in kept.items()
        },
        "against_full": {
            row: {kind: difference(by_seed, kept[_BASE][kind]) for kind, by_seed in kinds.items()}
            for row, kinds in kept.items()
            if row != _BASE
        },
    }


def statistics(by_seed: dict[int, float]) -> dict[str, Any]:
    """Return mean, standard deviation over seeds, and the values."""
    values = list(by_seed.values())
    return {"mean": float(np.mean(values)), "std": float(np.std(values, ddof=1)), "seeds": by_seed}


def measured_runs(grid: Path, cache_path: Path, planned: dict[str, PlannedClip]) -> Accuracies:
    """Return the accuracies of the finished runs of a grid on the test clips of its cache."""
    found: Accuracies = {}
    with FeatureCache.open(cache_path) as cache:
        ids = [str(name) for name in cache.read("clip_id")]
    for run_dir, outcome in read_sweep(grid).outcomes.items():
        if outcome.state != "finished":
            continue
        measured = measure(run_dir, cache=cache_path, device="cpu")
        right_N = measured.scores.predicted_N == measured.scores.label_N
        kinds = np.array([kind_of(planned[ids[row]]) for row in measured.row_N.tolist()])
        row = found.setdefault(outcome.row, {})
        row.setdefault("all", {})[outcome.seed] = float(right_N.mean())
        for kind in ("clear", *KINDS):
            row.setdefault(kind, {})[outcome.seed] = float(right_N[kinds == kind].mean())
    return found


def difference(first: dict[int, float], second: dict[int, float]) -> dict[str, Any]:
    """Return first minus second over the seeds of both: values, mean, and Student's 95% interval."""
    values = np.array([first[seed] - second[seed] for seed in sorted(first.keys() & second.keys())])
    half = stats.t.ppf((1 + _CONFIDENCE) / 2, len(values) - 1) * stats.sem(values)
    mean = float(values.mean())
    return {"mean": mean, "interval": [mean - float(half), mean + float(half)], "seeds": len(values)}

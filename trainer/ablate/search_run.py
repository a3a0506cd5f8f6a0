"""Candidates of settings -> the one with the best validation clips, measured once on the test clips.

OUT/search.json     the search, its candidates, the results of each rung, and the chosen one
OUT/rung1/, ...     a sweep of each rung, measured on validation clips
OUT/chosen/         a sweep of the preset and the chosen candidate, measured on test clips
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from pipeline.display.json_values import to_json_values
from pipeline.errors import ConfigError, FileError, OusError
from pipeline.own_dir import OwnDir
from pipeline.portable import portable_values
from pipeline.store.location import LocationLike
from pipeline.strict_json import from_json, to_json
from trainer.ablate.executors import SweepExecutorOptions
from trainer.ablate.outcome import Outcome
from trainer.ablate.run import AblateReport, SweepObserver, ablate
from trainer.ablate.search_spec import PRESET_ROW, SearchSpec
from trainer.ablate.spec import Row
from trainer.ablate.sweep_plan import read_folds
from trainer.caches import open_cache
from trainer.pages.files import require_writable

SEARCH_FILE, FINAL = "search.json", "chosen"
_MOST_BYTES = 64 << 20


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A candidate with its validation results.

    Attributes:
        name: Name of its row.
        settings: ``section.key=value`` that it changes.
        values: For each rung that it reached, the mean of the metric over folds and seeds; None if a run of
            it has no finished outcome.
    """

    name: str
    settings: tuple[str, ...]
    values: tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """Result of a search.

    Attributes:
        spec: The search.
        out: Its directory.
        candidates: All candidates, those of the last rung first, each rung in the order of its metric.
        chosen: The chosen candidate.
        num_runs: Runs with an outcome, on validation clips.
        is_cut_short: Whether the time ended before all runs of the search.
        final: Sweep of the preset and the chosen candidate on test clips.
    """

    spec: SearchSpec
    out: Path
    candidates: tuple[Candidate, ...]
    chosen: Candidate
    num_runs: int
    is_cut_short: bool
    final: AblateReport


def search(
    cache: LocationLike,
    spec: SearchSpec,
    out: Path,
    observer: SweepObserver,
    *,
    folds: str = "1",
    num_seeds: int = 3,
    settings: Sequence[str] = (),
    encoder_weights: str | None = None,
    options: SweepExecutorOptions | None = None,
    allow_leak: bool = False,
) -> SearchResult:
    """Choose settings by validation clips, then train and measure the chosen ones on test clips.

    A second call with the same search resumes. No run of the search is measured on test clips.

    Args:
        cache: Location of the cache.
        spec: The search.
        out: Directory of the search.
        observer: Receives the progress of each sweep.
        folds: Folds of the final sweep.
        num_seeds: Seeds of the final sweep.
        settings: The user's ``section.key=value``, for all runs.
        encoder_weights: See `train`.
        options: Machine that does the runs.
        allow_leak: See `measure`.

    Raises:
        ConfigError: As for `plan_sweep`; the budget is too small; or `out` has another search.
        OusError: As for `ablate`, or no candidate has a finished run.
    """
    with open_cache(cache) as features:
        num_folds = len(read_folds(features.meta, spec.folds))
        read_folds(features.meta, folds)
    rows = spec.candidates(num_folds)
    spec.require_own_epochs(settings)
    folder = require_writable(out, [SEARCH_FILE])
    spent = _begin(folder, spec, settings, rows)
    began = time.monotonic()
    until = began + 60 * spec.minutes - spent if spec.minutes else None
    values: dict[str, list[float | None]] = {row.name: [] for row in rows}
    order, num_runs, is_cut_short = list(rows), 0, False
    for rung in range(1, spec.num_rungs + 1):
        epochs = [f"schedule.max_epochs={spec.rungs[rung - 1]}"] if spec.rungs else []
        title = f"{spec.title}: rung {rung} of {spec.num_rungs}, validation clips"
        made = ablate(
            cache, spec.spec(title, order, epochs), out / f"rung{rung}", observer, folds=spec.folds,
            num_seeds=spec.seeds, settings=settings, encoder_weights=encoder_weights, options=options,
            allow_leak=True, split="validation", until=until,
        )  # fmt: skip
        found = {row.name: _value(made, row.name, spec, num_folds) for row in order}
        num_runs += len(made.result.outcomes)
        is_cut_short = len(made.result.outcomes) < made.result.num_wanted
        for name, value in found.items():
            values[name].append(value)
        ranked = sorted(
            (row for row in order if found[row.name] is not None),
            key=lambda row: _rank(found[row.name], spec),
        )
        if not ranked:
            if rung == 1:
                msg = f"No candidate has a finished run in '{out / 'rung1'}'; its outcomes have the reasons."
                raise OusError(msg)
            break
        best = ranked[0]
        if is_cut_short or rung == spec.num_rungs:
            break
        order = ranked[: spec.sizes(len(rows))[rung]]
    candidates = tuple(
        Candidate(name=row.name, settings=row.settings, values=tuple(values[row.name])) for row in rows
    )
    candidates = tuple(sorted(candidates, key=lambda one: (-len(one.values), _rank(one.values[-1], spec))))
    chosen = next(one for one in candidates if one.name == best.name)
    _record(folder, candidates, chosen, spent + time.monotonic() - began)
    final = ablate(
        cache, spec.spec(f"{spec.title}: chosen settings", _final_rows(chosen)), out / FINAL, observer,
        folds=folds, num_seeds=num_seeds, settings=settings, encoder_weights=encoder_weights, options=options,
        allow_leak=allow_leak,
    )  # fmt: skip
    return SearchResult(
        spec=spec, out=out, candidates=candidates, chosen=chosen, num_runs=num_runs,
        is_cut_short=is_cut_short, final=final,
    )  # fmt: skip


def _final_rows(chosen: Candidate) -> list[Row]:
    rows = [Row(name=PRESET_ROW, settings=(), paper=None)]
    if chosen.name != PRESET_ROW:
        rows.append(Row(name=FINAL, settings=chosen.settings, paper=None))
    return rows


def _value(made: AblateReport, row: str, spec: SearchSpec, num_folds: int) -> float | None:
    """Return the mean of the metric over all runs of a candidate; None unless all have finished."""
    finished = [one for one in made.result.finished if one.row == row]
    if len(finished) < num_folds * spec.seeds:
        return None
    return fmean(_metric(one, spec.metric) for one in finished)


def _metric(outcome: Outcome, metric: str) -> float:
    if metric == "loss":
        return outcome.validation_loss
    metrics = outcome.metrics()
    return metrics.war if metric == "war" else metrics.uar


def _rank(value: float | None, spec: SearchSpec) -> float:
    """Return a number that is smaller for a better value."""
    if value is None:
        return float("inf")
    return value if spec.metric == "loss" else -value


def _begin(folder: OwnDir, spec: SearchSpec, settings: Sequence[str], rows: Sequence[Row]) -> float:
    """Store the search, and return the seconds that earlier calls took.

    Raises ConfigError if the directory has another search.
    """
    more = {"more_settings": list(settings), "candidates": [row.to_dict() for row in rows]}
    wanted = from_json(to_json(portable_values({**to_json_values(spec), **more})))
    there: Mapping[str, Any] = {}
    if folder.kind(SEARCH_FILE) is not None:
        try:
            there = from_json(folder.read_text(SEARCH_FILE, _MOST_BYTES))
            same = there["search"] == wanted
            spent = float(there["seconds"])
        except (FileError, ValueError, TypeError, KeyError, RecursionError) as error:
            msg = (
                f"'{folder.path / SEARCH_FILE}' cannot be read; give another --out, or remove the directory."
            )
            raise ConfigError(msg) from error
        if not same:
            msg = f"--out '{folder}' has another search; give another --out, or remove the directory."
            raise ConfigError(msg)
        return spent
    folder.write_together({SEARCH_FILE: to_json({"search": wanted, "seconds": 0.0}) + "\n"})
    return 0.0


def _record(folder: OwnDir, candidates: Sequence[Candidate], chosen: Candidate, seconds: float) -> None:
    """Store the results and the choice, before any test clip is measured."""
    values = from_json(folder.read_text(SEARCH_FILE, _MOST_BYTES))
    values |= {
        "seconds": seconds,
        "results": to_json_values(candidates),
        "chosen": to_json_values(chosen),
        "chosen_by": "validation clips; no candidate was measured on test clips before this choice",
    }
    folder.write_together({SEARCH_FILE: to_json(portable_values(values)) + "\n"})

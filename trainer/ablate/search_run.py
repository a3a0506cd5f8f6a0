"""Candidates of settings -> the one with the best validation clips, measured once on the test clips.

OUT/search.json     the search, its candidates, the results of each rung, and the chosen one
OUT/rung1/, ...     a sweep of each rung, measured on validation clips
OUT/chosen/         a sweep of the preset and the chosen candidate, measured on test clips
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from pipeline.display.json_values import to_json_values
from pipeline.errors import ConfigError, FileError, OusError, counted
from pipeline.own_dir import OwnDir
from pipeline.portable import portable_values
from pipeline.store.location import LocationLike
from pipeline.strict_json import from_json, to_json
from trainer.ablate.executors import SweepExecutorOptions
from trainer.ablate.outcome import Outcome
from trainer.ablate.run import AblateReport, SweepObserver, ablate
from trainer.ablate.search_page import search_section
from trainer.ablate.search_result import Candidate, SearchResult
from trainer.ablate.search_spec import PRESET_ROW, SearchSpec
from trainer.ablate.spec import Row
from trainer.ablate.sweep_directory import GRID_FILE
from trainer.ablate.sweep_plan import plan_sweep, read_folds
from trainer.caches import open_cache
from trainer.config import TrainConfig
from trainer.folds import fold_rows
from trainer.pages.files import require_writable
from trainer.pages.stored_section import SECTION_FILE, section_json

SEARCH_FILE, FINAL = "search.json", "chosen"
_MOST_BYTES = 64 << 20


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
    spec.require_own_epochs(settings)
    common: dict[str, Any] = {"settings": settings, "encoder_weights": encoder_weights, "options": options}
    rows = spec.candidates(_num_folds(cache, spec.folds))
    first = plan_sweep(
        cache, spec.spec(spec.title, rows), spec.folds, spec.seeds, None, settings, allow_leak=allow_leak
    )
    plan_sweep(
        cache, spec.spec(spec.title, rows[:1]), folds, num_seeds, None, settings, allow_leak=allow_leak
    )
    seen = _seen_test_clips(cache, spec, first.configs, folds, allow_leak=allow_leak)
    record = _Record.load(require_writable(out, [SEARCH_FILE]), spec, settings, rows)
    clock = _Clock(observer, record, spec.minutes)
    while record.chosen is None:
        rung, order = len(record.rungs) + 1, record.next_rows(rows)
        epochs = [f"schedule.max_epochs={spec.rungs[rung - 1]}"] if spec.rungs else []
        title = f"{spec.title}: rung {rung} of {spec.num_rungs}, validation clips"
        made = ablate(
            cache, spec.spec(title, order, epochs), out / f"rung{rung}", clock, folds=spec.folds,
            num_seeds=spec.seeds, allow_leak=True, split="validation", until=clock.until, **common,
        )  # fmt: skip
        record.add_rung(made, order, out / f"rung{rung}")
    candidates = record.candidates(rows)
    chosen = next(one for one in candidates if one.name == record.chosen)
    mark = f" (LEAK: {counted(seen, 'test clip')} took part in the search)" if seen else ""
    final = ablate(
        cache, spec.spec(f"{spec.title}: chosen settings{mark}", _final_rows(chosen)), out / FINAL, observer,
        folds=folds, num_seeds=num_seeds, allow_leak=allow_leak, **common,
    )  # fmt: skip
    result = SearchResult(
        spec=spec, out=out, candidates=candidates, chosen=chosen, num_runs=record.num_runs,
        is_cut_short=record.is_cut_short, final=final,
    )  # fmt: skip
    record.folder.write_together({SECTION_FILE: section_json(search_section(result))})
    return result


def _num_folds(cache: LocationLike, folds: str) -> int:
    with open_cache(cache) as features:
        return len(read_folds(features.meta, folds))


def _seen_test_clips(
    cache: LocationLike, spec: SearchSpec, configs: Mapping[str, TrainConfig], folds: str, *, allow_leak: bool
) -> int:
    """Return the number of test clips of the final folds that train or choose in the search.

    Raises ConfigError if there are any, unless `allow_leak`; and if a candidate chooses by test or training
    clips.
    """
    for name, config in configs.items():
        if config.data.validation in ("test", "train"):
            msg = (
                f"Candidate '{name}' has data.validation={config.data.validation}; a search needs validation "
                "clips of their own: auto, given or holdout."
            )
            raise ConfigError(msg)
    data = next(iter(configs.values())).data
    with open_cache(cache) as features:
        used: set[int] = set()
        for fold in read_folds(features.meta, spec.folds):
            rows = fold_rows(features, fold, data, 0)
            used |= {*rows.of("train").tolist(), *rows.of("validation").tolist()}
        final = read_folds(features.meta, folds)
        tested = {row for fold in final for row in fold_rows(features, fold, data, 0).of("test").tolist()}
    seen = len(used & tested)
    if seen and not allow_leak:
        msg = (
            f"{counted(seen, 'test clip')} of --folds {folds} train or choose in the search, whose "
            f"search.folds is '{spec.folds}', so that the choice has seen them. Search and measure one fold, "
            "or accept and mark the result with --allow-leak."
        )
        raise ConfigError(msg)
    return seen


def _final_rows(chosen: Candidate) -> list[Row]:
    rows = [Row(name=PRESET_ROW, settings=(), paper=None)]
    if chosen.name != PRESET_ROW:
        rows.append(Row(name=FINAL, settings=chosen.settings, paper=None))
    return rows


def _value(made: AblateReport, row: str, spec: SearchSpec) -> float | None:
    """Return the mean of the metric over all runs of a candidate; None unless all have finished."""
    finished = [one for one in made.result.finished if one.row == row]
    if len(finished) < len(made.result.request.folds) * spec.seeds:
        return None
    return fmean(_metric(one, spec.metric) for one in finished)


def _metric(outcome: Outcome, metric: str) -> float:
    if metric == "loss":
        return outcome.validation_loss
    metrics = outcome.metrics()
    return metrics.war if metric == "war" else metrics.uar


def _badness(value: float | None, spec: SearchSpec) -> float:
    """Return a number that is smaller for a better value."""
    if value is None:
        return float("inf")
    return value if spec.metric == "loss" else -value


@dataclass
class _Record:
    """search.json, which freezes each rung and the choice, so that a later call takes them as they are.

    Attributes:
        folder: Directory of the search.
        spec: The search.
        wanted: The search as plain values.
        seconds: Time of all calls so far.
        rungs: For each finished rung, the value of every candidate in it; None without one.
        num_runs: Runs with an outcome.
        is_cut_short: Whether the time ended before all runs.
        chosen: Name of the chosen candidate, once it is chosen.
    """

    folder: OwnDir
    spec: SearchSpec
    wanted: Any
    seconds: float = 0.0
    rungs: list[dict[str, float | None]] = field(default_factory=list)
    num_runs: int = 0
    is_cut_short: bool = False
    chosen: str | None = None

    @classmethod
    def load(
        cls, folder: OwnDir, spec: SearchSpec, settings: Sequence[str], rows: Sequence[Row]
    ) -> "_Record":
        """Return the record of a directory, a new one without. Raises ConfigError for another search."""
        more = {"more_settings": list(settings), "candidates": [row.to_dict() for row in rows]}
        wanted = from_json(to_json(portable_values({**to_json_values(spec), **more})))
        if folder.kind(SEARCH_FILE) is None:
            if folder.kind(GRID_FILE) is not None:
                msg = f"--out '{folder}' has a grid; give another directory."
                raise ConfigError(msg)
            return cls(folder, spec, wanted)
        try:
            there = from_json(folder.read_text(SEARCH_FILE, _MOST_BYTES))
            is_same = there["search"] == wanted
            record = cls(
                folder, spec, wanted, float(there["seconds"]), [dict(rung) for rung in there["rungs"]],
                int(there["num_runs"]), bool(there["is_cut_short"]), there["chosen"],
            )  # fmt: skip
            names = {row.name for row in rows}
            is_whole = all(rung.keys() <= names for rung in record.rungs) and record.chosen in {None, *names}
        except (FileError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            is_same, is_whole, record = True, False, cls(folder, spec, wanted)
        if not is_whole:
            path = folder.path / SEARCH_FILE
            msg = f"'{path}' cannot be read; give another --out, or remove the directory."
            raise ConfigError(msg)
        if not is_same:
            msg = f"--out '{folder}' has another search; give another --out, or remove the directory."
            raise ConfigError(msg)
        return record

    def store(self) -> None:
        """Store the record."""
        values = {
            "search": self.wanted,
            "seconds": self.seconds,
            "rungs": self.rungs,
            "num_runs": self.num_runs,
            "is_cut_short": self.is_cut_short,
            "chosen": self.chosen,
            "chosen_by": "validation clips; no candidate was measured on test clips before this choice",
        }
        self.folder.write_together({SEARCH_FILE: to_json(portable_values(values)) + "\n"})

    def next_rows(self, rows: tuple[Row, ...]) -> tuple[Row, ...]:
        """Return the candidates of the next rung: all of the first one, then the best of the one before."""
        if not self.rungs:
            return rows
        return tuple(self._ranked(rows)[: self.spec.sizes(len(rows))[len(self.rungs)]])

    def add_rung(self, made: AblateReport, order: Sequence[Row], where: Path) -> None:
        """Store the values of a rung, and the choice if it is the last one.

        If no candidate of a later rung has finished, the best one of the rung before is chosen.

        Raises OusError if no candidate of the first rung has finished.
        """
        values = {row.name: _value(made, row.name, self.spec) for row in order}
        has_any = any(value is not None for value in values.values())
        if not has_any and not self.rungs:
            msg = (
                f"No candidate has finished all of its runs in '{where}': the time ended, or they diverged "
                "or failed, and the outcomes there have the reasons."
            )
            raise OusError(msg)
        if not has_any:
            self.chosen = self._ranked(order)[0].name
        self.rungs.append(values)
        self.num_runs += len(made.result.outcomes)
        self.is_cut_short = len(made.result.outcomes) < made.result.num_wanted
        if has_any and (self.is_cut_short or len(self.rungs) == self.spec.num_rungs):
            self.chosen = self._ranked(order)[0].name
        self.store()

    def _ranked(self, rows: Sequence[Row]) -> list[Row]:
        """Return the candidates that finished the last rung, the best first."""
        values = self.rungs[-1]
        finished = [row for row in rows if values.get(row.name) is not None]
        return sorted(finished, key=lambda row: _badness(values[row.name], self.spec))

    def candidates(self, rows: Sequence[Row]) -> tuple[Candidate, ...]:
        """Return the candidates, those of the last rung first, each rung in the order of its metric."""
        found = [
            Candidate(
                name=row.name,
                settings=row.settings,
                values=tuple(rung[row.name] for rung in self.rungs if row.name in rung),
            )
            for row in rows
        ]
        return tuple(sorted(found, key=lambda one: (-len(one.values), _badness(one.values[-1], self.spec))))


class _Clock:
    """Observer that stores the time of a search with every outcome, for a call that continues it."""

    def __init__(self, observer: SweepObserver, record: _Record, minutes: float) -> None:
        self._observer, self._record = observer, record
        self._before, self._began = record.seconds, time.monotonic()
        self.until = self._began + 60 * minutes - record.seconds if minutes else None

    def on_start(self, num_to_do: int, num_before: int) -> None:
        """Pass it on."""
        self._record.store()
        self._observer.on_start(num_to_do, num_before)

    def on_outcome(self, outcome: Outcome) -> None:
        """Store the time, and pass the outcome on."""
        self._record.seconds = self._before + time.monotonic() - self._began
        self._record.store()
        self._observer.on_outcome(outcome)

    def on_remark(self, text: str) -> None:
        """Pass it on."""
        self._observer.on_remark(text)

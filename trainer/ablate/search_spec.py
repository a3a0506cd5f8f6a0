"""A TOML file with ranges of settings -> the candidates of a search, and its budget."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config import require_one_of, require_range
from pipeline.errors import ConfigError
from trainer.ablate.spec import Row, Spec, read_spec_text, read_values, spec_of
from trainer.ablate.typed_values import require_known_keys, settings_in, taken

SEARCH = "search"
"""Section that makes a spec file a search."""
PRESET_ROW = "preset"
"""Name of the candidate without changes, which every search has."""
METHODS, METRICS = ("random", "grid"), ("loss", "war", "uar")

_MOST_RUNS, _MOST_MINUTES, _MOST_SEEDS = 100_000, 1e6, 1_000
_FEWEST_TO_KEEP, _DIGITS = 2, 3
_EPOCHS = "schedule.max_epochs"
_FIXED = ("data.validation", "data.holdout_share")


@dataclass(frozen=True, kw_only=True)
class Range:
    """Values of a setting: a list of choices, or numbers between two ends.

    Attributes:
        key: ``section.key``.
        choices: Texts to choose from; empty for numbers.
        low, high: Ends of the numbers.
        is_log: Whether numbers are drawn uniformly in their logarithm.
        is_whole: Whether numbers are whole.
    """

    key: str
    choices: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    is_log: bool = False
    is_whole: bool = False

    def draw(self, generator: np.random.Generator) -> str:
        """Return a random value as a text of `--set`, numbers with three digits."""
        if self.choices:
            return self.choices[int(generator.integers(len(self.choices)))]
        if self.is_whole and not self.is_log:
            return str(generator.integers(math.ceil(self.low), math.floor(self.high) + 1))
        if self.is_log:
            value = math.exp(generator.uniform(math.log(self.low), math.log(self.high)))
        else:
            value = float(generator.uniform(self.low, self.high))
        if self.is_whole:
            return str(min(int(self.high), max(int(self.low), round(value))))
        return f"{min(self.high, max(self.low, float(f'{value:.{_DIGITS}g}'))):g}"


@dataclass(frozen=True, kw_only=True)
class SearchSpec:
    """A search of settings by validation clips.

    Attributes:
        title: Title of the result.
        preset: Preset of all candidates.
        settings: ``section.key=value`` for all candidates.
        note: Shown with the result.
        method: ``random`` draws candidates; ``grid`` takes all combinations of lists.
        runs: Most runs of training on validation clips, over candidates, folds, seeds and rungs.
        minutes: Time after which no further run begins; 0 for no limit.
        metric: Number of the validation clips that chooses: ``loss``, ``war`` or ``uar``.
        rungs: Most epochs of a run in each rung of successive halving; empty for one rung of whole runs.
        keep: Fraction of the candidates that the next rung keeps, above 0 and below 1.
        folds: Folds of the search, as `--folds`.
        seeds: Seeds of the search, from 0.
        seed: Seed of the random candidates.
        ranges: Values of the settings.
    """

    title: str
    preset: str
    settings: tuple[str, ...]
    note: str
    method: str
    runs: int
    minutes: float
    metric: str
    rungs: tuple[int, ...]
    keep: float
    folds: str
    seeds: int
    seed: int
    ranges: tuple[Range, ...]

    def __post_init__(self) -> None:
        require_one_of("search.method", self.method, METHODS)
        require_one_of("search.metric", self.metric, METRICS)
        require_range("search.runs", self.runs, 2, _MOST_RUNS)
        require_range("search.minutes", self.minutes, 0, _MOST_MINUTES)
        require_range("search.keep", self.keep, 0.01, 0.9)
        require_range("search.seeds", self.seeds, 1, _MOST_SEEDS)
        if any(a >= b for a, b in itertools.pairwise(self.rungs)) or min(self.rungs, default=1) < 1:
            msg = (
                f"search.rungs is {list(self.rungs)}; numbers of epochs from 1 are needed, each above the "
                "one before."
            )
            raise ConfigError(msg)
        keys = [one.key for one in self.ranges]
        if self.rungs and _EPOCHS in (*keys, *(text.partition("=")[0].strip() for text in self.settings)):
            msg = f"search.rungs sets {_EPOCHS}, and so does another line; leave out one of them."
            raise ConfigError(msg)
        fixed = [key for key in keys if key in _FIXED]
        if fixed:
            msg = f"search.ranges has {fixed[0]}, which changes the clips that choose; take it out."
            raise ConfigError(msg)
        if not self.ranges:
            msg = "search has no ranges; give [search.ranges] with a line for each setting."
            raise ConfigError(msg)
        if self.method == "grid" and (numbers := [one.key for one in self.ranges if not one.choices]):
            msg = (
                f"search.ranges.{numbers[0]} has two ends; a grid needs lists of values. Use method = "
                "'random', or give a list."
            )
            raise ConfigError(msg)

    @property
    def num_rungs(self) -> int:
        """Number of rungs."""
        return max(1, len(self.rungs))

    def require_own_epochs(self, more: Sequence[str]) -> None:
        """Raise ConfigError if one of the user's settings would replace the epochs of the rungs."""
        if self.rungs and any(text.partition("=")[0].strip() == _EPOCHS for text in more):
            msg = f"--set {_EPOCHS}: search.rungs sets it; leave it out, or change the file."
            raise ConfigError(msg)

    def sizes(self, num_candidates: int) -> list[int]:
        """Return the number of candidates of each rung, for as many in the first."""
        sizes = [num_candidates]
        while len(sizes) < self.num_rungs:
            sizes.append(max(_FEWEST_TO_KEEP, math.ceil(sizes[-1] * self.keep)))
        return [min(size, num_candidates) for size in sizes]

    def candidates(self, num_folds: int) -> tuple[Row, ...]:
        """Return the candidates of the first rung: the preset, then those of the method, each once.

        Args:
            num_folds: Number of folds of the search.

        Raises:
            ConfigError: The budget is too small, or a grid has more combinations than it allows.
        """
        each = num_folds * self.seeds
        most = next((n for n in range(self.runs, 1, -1) if sum(self.sizes(n)) * each <= self.runs), 0)
        if not most:
            msg = (
                f"search.runs is {self.runs}; two candidates in {self.num_rungs} rungs, {num_folds} folds "
                f"and {self.seeds} seeds need {sum(self.sizes(2)) * each}."
            )
            raise ConfigError(msg)
        changes = self._grid(most) if self.method == "grid" else self._drawn(most)
        width = len(str(len(changes)))
        rows = [Row(name=PRESET_ROW, settings=(), paper=None)]
        rows += [
            Row(name=f"c{number:0{width}}", settings=settings, paper=None)
            for number, settings in enumerate(changes, 1)
        ]
        return tuple(rows)

    def spec(self, title: str, rows: Sequence[Row], more: Sequence[str] = ()) -> Spec:
        """Return the table of some candidates.

        Args:
            title: Title of the table.
            rows: Its rows.
            more: Settings for all of them.
        """
        return Spec(
            title=title, dataset="", preset=self.preset, settings=(*self.settings, *more), note=self.note,
            rows=tuple(rows),
        )  # fmt: skip

    def _grid(self, most: int) -> list[tuple[str, ...]]:
        num = math.prod(len(one.choices) for one in self.ranges)
        if num + 1 > most:
            msg = f"The grid has {num} combinations; search.runs = {self.runs} allows {most - 1}: raise it."
            raise ConfigError(msg)
        texts = [[f"{one.key}={choice}" for choice in one.choices] for one in self.ranges]
        return [tuple(combination) for combination in itertools.product(*texts)]

    def _drawn(self, most: int) -> list[tuple[str, ...]]:
        generator = np.random.default_rng(self.seed)
        found: dict[tuple[str, ...], None] = {}
        for _ in range(20 * most):  # fewer if the lists have no more combinations
            found[tuple(f"{one.key}={one.draw(generator)}" for one in self.ranges)] = None
            if len(found) == most - 1:
                break
        return list(found)


def read_table_or_search(path: Path) -> Spec | SearchSpec:
    """Read a file of the user: a search if it has the section ``[search]``, else a table.

    Raises ConfigError if the file is missing or neither.
    """

    def read(values: Mapping[str, Any]) -> Spec | SearchSpec:
        return search_of(values) if SEARCH in values else spec_of(values)

    return read_values(read_spec_text(path), str(path), read)


def search_of(values: Mapping[str, Any]) -> SearchSpec:
    """Read a search from the plain values of a TOML file. Raises ConfigError."""
    require_known_keys(values, ["title", "preset", "settings", "note", SEARCH], "")
    section = taken(values, SEARCH, dict, "")
    own = [field.name for field in fields(SearchSpec)][4:]
    require_known_keys(section, own, f"{SEARCH}: ")
    ranges = taken(section, "ranges", dict, f"{SEARCH}.", {})
    rungs = taken(section, "rungs", list, f"{SEARCH}.", [])
    if not all(type(rung) is int for rung in rungs):
        msg = f"search.rungs is {rungs!r:.100}; whole numbers of epochs are needed."
        raise ConfigError(msg)
    return SearchSpec(
        title=taken(values, "title", str, ""),
        preset=taken(values, "preset", str, "", "default"),
        settings=settings_in(values, ""),
        note=taken(values, "note", str, "", ""),
        method=taken(section, "method", str, f"{SEARCH}.", "random"),
        runs=taken(section, "runs", int, f"{SEARCH}."),
        minutes=_number(section, "minutes", f"{SEARCH}.", 0.0),
        metric=taken(section, "metric", str, f"{SEARCH}.", "loss"),
        rungs=tuple(rungs),
        keep=_number(section, "keep", f"{SEARCH}.", 1 / 3),
        folds=taken(section, "folds", str, f"{SEARCH}.", "1"),
        seeds=taken(section, "seeds", int, f"{SEARCH}.", 1),
        seed=taken(section, "seed", int, f"{SEARCH}.", 0),
        ranges=tuple(_range(key, value) for key, value in _flat(ranges).items()),
    )


def _flat(ranges: Mapping[str, Any]) -> dict[str, Any]:
    """Return ranges by ``section.key``, which TOML may write as a quoted key or as a table of a section."""
    flat: dict[str, Any] = {}
    for name, value in ranges.items():
        if "." in name or not isinstance(value, dict) or {"low", "high"} & value.keys():
            flat[name] = value
        else:
            flat.update({f"{name}.{key}": inner for key, inner in value.items()})
    return flat


def _range(key: str, value: Any) -> Range:
    where = f"search.ranges.{key}"
    if isinstance(value, list) and value:
        return Range(key=key, choices=tuple(_text(one, where) for one in value))
    if not isinstance(value, dict):
        msg = f"{where} is {value!r:.100}; a list of values, or {{low = ..., high = ...}}, is needed."
        raise ConfigError(msg)
    require_known_keys(value, ["low", "high", "log", "whole"], f"{where}: ")
    low, high = _number(value, "low", f"{where}."), _number(value, "high", f"{where}.")
    found = Range(
        key=key, low=low, high=high, is_log=taken(value, "log", bool, f"{where}.", False),
        is_whole=taken(value, "whole", bool, f"{where}.", False),
    )  # fmt: skip
    if not low < high or (found.is_log and low <= 0):
        above = "0 < low < high" if found.is_log else "low < high"
        msg = f"{where} has low = {low:g} and high = {high:g}; {above} is needed."
        raise ConfigError(msg)
    return found


def _text(value: Any, where: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    msg = f"{where} has {value!r:.100}; texts, numbers, true or false are needed."
    raise ConfigError(msg)


def _number(values: Mapping[str, Any], key: str, where: str, absent: float | None = None) -> float:
    if key not in values and absent is not None:
        return absent
    kind = int if type(values.get(key)) is int else float
    return float(taken(values, key, kind, where))

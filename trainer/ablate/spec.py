"""A TOML file -> a table of settings, with the paper's numbers.

The paper's numbers are in percent, as printed. Classes have names, because the order differs among its
tables.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar, get_args

from pipeline.choices import BundledTable
from pipeline.config import override, require_one_of, require_range
from pipeline.errors import ConfigError, FileError, first_line
from pipeline.plain_file import read_given_text
from pipeline.strict_toml import from_toml_text
from trainer.ablate.typed_values import percent, require_known_keys, settings_in, taken, texts_in
from trainer.baselines.settings import METHODS, Baseline, baseline_of, is_of_baselines
from trainer.config import ModelConfig, TrainConfig
from trainer.presets import PRESETS, preset

TABLES: tuple[str, ...] = get_args(BundledTable)
METRICS = ("war", "uar")
TRAIN = "train"
"""Method of the rows that `train` trains."""

_MOST_BYTES, _LONGEST_NAME = 1 << 20, 60
R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class PaperNumbers:
    """The paper's numbers for a row, in percent. best_epoch is None if the paper gives none."""

    uar: float
    war: float
    best_epoch: int | None
    recalls: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return all fields in the form of a spec file."""
        epoch = {} if self.best_epoch is None else {"best_epoch": self.best_epoch}
        return {"uar": self.uar, "war": self.war, **epoch, "recalls": dict(self.recalls)}


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of the table.

    Attributes:
        settings: Each is ``section.key=value``.
        method: ``train``, or a baseline that is not trained by it (`trainer.baselines.settings.METHODS`).
    """

    name: str
    settings: tuple[str, ...]
    paper: PaperNumbers | None
    method: str = TRAIN

    @property
    def folder(self) -> str:
        """Name of the row's directory: `name` in letters, digits and hyphens."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")

    @property
    def is_baseline(self) -> bool:
        """Whether `method` is another one than ``train``."""
        return self.method != TRAIN

    def to_dict(self) -> dict[str, Any]:
        """Return all fields in the form of a spec file."""
        paper = {"paper": self.paper.to_dict()} if self.paper else {}
        method = {"method": self.method} if self.is_baseline else {}
        return {"name": self.name, "settings": list(self.settings), **method, **paper}


@dataclass(frozen=True, kw_only=True)
class Spec:
    """A table of settings.

    Attributes:
        dataset: Dataset of the paper's numbers.
        preset: Preset of all rows.
        settings: ``section.key=value`` for all rows.
        note: Shown with the result.
        base: Name of the row that the others are compared with; empty for the first row.
        metric: Number that verdicts are about, ``war`` or ``uar``.
        margin: Largest difference that counts as none, in points; 0 for no statement on equivalence.
        verdicts: Names of the rows to judge; empty for all but the base.
    """

    title: str
    dataset: str
    preset: str
    settings: tuple[str, ...]
    note: str
    rows: tuple[Row, ...]
    base: str = ""
    metric: str = "war"
    margin: float = 0.0
    verdicts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_one_of("preset", self.preset, tuple(PRESETS))
        if not self.rows:
            msg = f"The table '{self.title}' has no [[rows]]; give one or more."
            raise ConfigError(msg)
        seen: dict[str, Row] = {}
        for row in self.rows:
            if not row.folder or len(row.name) > _LONGEST_NAME:
                msg = (
                    f"A row's name is {row.name[:100]!r}; up to {_LONGEST_NAME} characters are needed, some "
                    "of a to z or 0 to 9."
                )
                raise ConfigError(msg)
            twin = seen.setdefault(row.folder, row)
            if twin is not row:
                msg = (
                    f"Rows '{twin.name}' and '{row.name}' would share the folder '{row.folder}'; rename one."
                )
                raise ConfigError(msg)
        require_one_of("metric", self.metric, METRICS)
        require_range("margin", self.margin, 0, 100)
        names = [row.name for row in self.rows]
        for key, name in [
            *([("base", self.base)] if self.base else []),
            *(("verdicts", n) for n in self.verdicts),
        ]:
            require_one_of(key, name, names)
        if self.base_row.name in self.verdicts:
            msg = f"verdicts has '{self.base_row.name}', which the others are compared with; leave it out."
            raise ConfigError(msg)

    @property
    def base_row(self) -> Row:
        """The row that the others are compared with."""
        return next((row for row in self.rows if row.name == self.base), self.rows[0])

    @property
    def plan(self) -> dict[str, Any]:
        """Base, metric, margin and verdicts in the form of a spec file."""
        return {
            "base": self.base,
            "metric": self.metric,
            "margin": self.margin,
            "verdicts": list(self.verdicts),
        }

    @property
    def class_names(self) -> tuple[str, ...]:
        """Every class that the paper's numbers name."""
        named = (row.paper.recalls for row in self.rows if row.paper)
        return tuple(dict.fromkeys(name for recalls in named for name in recalls))

    def to_dict(self) -> dict[str, Any]:
        """Return all fields in the form of a spec file, which `spec_of` reads."""
        return {
            "title": self.title,
            "dataset": self.dataset,
            "preset": self.preset,
            "settings": list(self.settings),
            "note": self.note,
            **self.plan,
            "rows": [row.to_dict() for row in self.rows],
        }

    def configs(self, preset_name: str | None, more: Sequence[str]) -> dict[str, TrainConfig]:
        """Return the config of each row: preset, common settings, the user's `more`, the row's settings.

        `preset_name` replaces the preset of the table. A baseline takes the settings of the data alone.
        Raises ConfigError for an unknown setting, and for one of `more` that a row sets.
        """
        common = [*self.settings, *more]
        if any(row.is_baseline for row in self.rows):
            common = [setting for setting in common if not is_of_baselines(setting)]
        base = override(preset(preset_name or self.preset), common)
        mine = {_key(setting) for setting in more}
        for row in self.rows:
            both = sorted(mine & {_key(setting) for setting in row.settings})
            if both:
                msg = f"--set {both[0]}: row '{row.name}' sets it itself; leave it out, or change the spec."
                raise ConfigError(msg)
        baselines = self.baselines(more)
        return {row.name: _row_config(base, row, baselines.get(row.name)) for row in self.rows}

    def baselines(self, more: Sequence[str]) -> dict[str, Baseline]:
        """Return the baseline of each row that has one, with the settings of the table and the user's `more`.

        Raises ConfigError for an unknown method or setting, and for a setting of a row that its method does
        not use.
        """
        common = [setting for setting in (*self.settings, *more) if is_of_baselines(setting)]
        return {row.name: _row_baseline(common, row) for row in self.rows if row.is_baseline}

    def require_classes(self, there: Sequence[str]) -> None:
        """Raise ConfigError if the paper's numbers name a class that a cache does not have."""
        missing = [name for name in self.class_names if name not in there]
        if missing:
            msg = (
                f"'{self.title}' names class '{missing[0]}'; this cache has: {', '.join(there)}. "
                "Give a --spec with classes of this cache, or without recalls."
            )
            raise ConfigError(msg)


def table(name: str | int) -> Spec:
    """Return a table of this program, by number or name. Raises ConfigError for others."""
    require_one_of("--table", str(name), TABLES)
    file = f"{table_stem(name)}.toml"
    return parsed((files("trainer.ablate") / "specs" / file).read_text(encoding="utf-8"), file)


def table_stem(name: str | int) -> str:
    """Return the name of a table's file without suffix: table5, or its name."""
    return f"table{name}" if str(name).isdigit() else str(name)


def read_spec(path: Path) -> Spec:
    """Read a table of the user. Raises ConfigError if the file is missing or not a table."""
    return parsed(read_spec_text(path), str(path))


def read_spec_text(path: Path) -> str:
    """Return the text of a user's file. Raises ConfigError if it cannot be read."""
    try:
        text = read_given_text(path, _MOST_BYTES)
    except FileError as error:
        msg = f"--spec {error} Give a TOML file."
        raise ConfigError(msg) from error
    return text


def parsed(text: str, where: str) -> Spec:
    """Read a table from a TOML text. Raises ConfigError, with `where` as the source in its message."""
    return read_values(text, where, spec_of)


def read_values(text: str, where: str, reader: Callable[[Mapping[str, Any]], R]) -> R:
    """Return what `reader` makes of the values of a TOML text. Errors name `where`."""
    try:
        values = from_toml_text(text)
    except (ValueError, RecursionError) as error:
        msg = f"{where} is not readable TOML: {first_line(error)}"
        raise ConfigError(msg) from error
    try:
        return reader(values)
    except ConfigError as error:
        msg = f"{where}: {error}"
        raise ConfigError(msg) from error


def spec_of(values: Mapping[str, Any]) -> Spec:
    """Read a table from plain values, as in TOML or of `Spec.to_dict`. Raises ConfigError."""
    require_known_keys(values, [field.name for field in fields(Spec)], "")
    rows = taken(values, "rows", list, "", [])
    if not all(isinstance(row, dict) for row in rows):
        msg = "rows is not a list of tables; write [[rows]] above each row."
        raise ConfigError(msg)
    return Spec(
        title=taken(values, "title", str, ""),
        dataset=taken(values, "dataset", str, "", ""),
        preset=taken(values, "preset", str, "", "default"),
        settings=settings_in(values, ""),
        note=taken(values, "note", str, "", ""),
        base=taken(values, "base", str, "", ""),
        metric=taken(values, "metric", str, "", "war"),
        margin=percent(values, "margin", "") if "margin" in values else 0.0,
        verdicts=texts_in(values, "", "verdicts", "each the name of a row"),
        rows=tuple(_row(row, f"rows {number}: ") for number, row in enumerate(rows, 1)),
    )


def _row(values: Mapping[str, Any], where: str) -> Row:
    require_known_keys(values, [field.name for field in fields(Row)], where)
    paper = taken(values, "paper", dict, where, {})
    name = taken(values, "name", str, where)
    return Row(
        name=name,
        settings=settings_in(values, where),
        paper=_paper(paper, where) if paper else None,
        method=taken(values, "method", str, where, TRAIN),
    )


def _paper(values: Mapping[str, Any], where: str) -> PaperNumbers:
    require_known_keys(values, [field.name for field in fields(PaperNumbers)], f"{where}paper.")
    recalls = taken(values, "recalls", dict, f"{where}paper.", {})
    return PaperNumbers(
        uar=percent(values, "uar", f"{where}paper."),
        war=percent(values, "war", f"{where}paper."),
        best_epoch=taken(values, "best_epoch", int, f"{where}paper.", None),
        recalls={name: percent(recalls, name, f"{where}paper.recalls.") for name in recalls},
    )


def _row_config(base: TrainConfig, row: Row, baseline: Baseline | None) -> TrainConfig:
    with _named(row):
        if baseline is None:
            return override(base, row.settings)
        config = override(base, [setting for setting in row.settings if not is_of_baselines(setting)])
    return TrainConfig(
        data=config.data, model=ModelConfig(scene=baseline.reads_scene, polarity=False, tfe=False)
    )


def _row_baseline(common: Sequence[str], row: Row) -> Baseline:
    with _named(row):
        require_one_of("method", row.method, (TRAIN, *METHODS))
        own = [setting for setting in row.settings if is_of_baselines(setting)]
        found = baseline_of(row.method, [*common, *own])
        found.require_used(row.settings)
        return found


@contextmanager
def _named(row: Row) -> Iterator[None]:
    """Name the row in a ConfigError."""
    try:
        yield
    except ConfigError as error:
        msg = f"Row '{row.name}': {error}"
        raise ConfigError(msg) from error


def _key(setting: str) -> str:
    return setting.partition("=")[0].strip()

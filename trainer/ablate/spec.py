"""A TOML file -> a table of settings, with the paper's numbers.

The paper's numbers are in percent, as printed. Classes have names, because the order differs among its
tables.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

from pipeline.choices import PaperTable
from pipeline.config import override, require_one_of, require_range
from pipeline.errors import ConfigError, FileError, first_line
from pipeline.plain_file import read_given
from pipeline.strict_toml import from_toml_text
from trainer.config import TrainConfig
from trainer.presets import PRESETS, preset

TABLES = tuple(map(int, get_args(PaperTable)))
METRICS = ("war", "uar")
_MOST_BYTES, _LONGEST_NAME = 1 << 20, 60


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
    """A row of the table. Each of `settings` is ``section.key=value``."""

    name: str
    settings: tuple[str, ...]
    paper: PaperNumbers | None

    @property
    def folder(self) -> str:
        """Name of the row's directory: `name` in letters, digits and hyphens."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")

    def to_dict(self) -> dict[str, Any]:
        """Return all fields in the form of a spec file."""
        paper = {"paper": self.paper.to_dict()} if self.paper else {}
        return {"name": self.name, "settings": list(self.settings), **paper}


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

        `preset_name` replaces the preset of the table. Raises ConfigError for an unknown setting, and for one
        of `more` that a row sets.
        """
        base = override(preset(preset_name or self.preset), [*self.settings, *more])
        mine = {_key(setting) for setting in more}
        for row in self.rows:
            both = sorted(mine & {_key(setting) for setting in row.settings})
            if both:
                msg = f"--set {both[0]}: row '{row.name}' sets it itself; leave it out, or change the spec."
                raise ConfigError(msg)
        return {row.name: _row_config(base, row) for row in self.rows}

    def require_classes(self, there: Sequence[str]) -> None:
        """Raise ConfigError if the paper's numbers name a class that a cache does not have."""
        missing = [name for name in self.class_names if name not in there]
        if missing:
            msg = (
                f"'{self.title}' names class '{missing[0]}'; this cache has: {', '.join(there)}. "
                "Give a --spec with classes of this cache, or without recalls."
            )
            raise ConfigError(msg)


def table(number: int) -> Spec:
    """Return a table of the paper. Raises ConfigError for a table that is not an ablation."""
    require_one_of("--table", number, TABLES)
    text = (files("trainer.ablate") / "specs" / f"table{number}.toml").read_text(encoding="utf-8")
    return parsed(text, f"table{number}.toml")


def read_spec(path: Path) -> Spec:
    """Read a table of the user. Raises ConfigError if the file is missing or not a table."""
    try:
        text = read_given(path, _MOST_BYTES).decode("utf-8")
    except FileError as error:
        msg = f"--spec {error} Give a TOML file."
        raise ConfigError(msg) from error
    except UnicodeDecodeError as error:
        msg = f"--spec '{path}' cannot be read: {first_line(error)}; give a TOML file."
        raise ConfigError(msg) from error
    return parsed(text, str(path))


def parsed(text: str, where: str) -> Spec:
    """Read a table from a TOML text. Raises ConfigError, with `where` as the source in its message."""
    try:
        values = from_toml_text(text)
    except (ValueError, RecursionError) as error:
        msg = f"{where} is not readable TOML: {first_line(error)}"
        raise ConfigError(msg) from error
    try:
        return spec_of(values)
    except ConfigError as error:
        msg = f"{where}: {error}"
        raise ConfigError(msg) from error


def spec_of(values: Mapping[str, Any]) -> Spec:
    """Read a table from plain values, as in TOML or of `Spec.to_dict`. Raises ConfigError."""
    _require_known_keys(values, [field.name for field in fields(Spec)], "")
    rows = taken(values, "rows", list, "", [])
    if not all(isinstance(row, dict) for row in rows):
        msg = "rows is not a list of tables; write [[rows]] above each row."
        raise ConfigError(msg)
    return Spec(
        title=taken(values, "title", str, ""),
        dataset=taken(values, "dataset", str, "", ""),
        preset=taken(values, "preset", str, "", "default"),
        settings=_texts(values, ""),
        note=taken(values, "note", str, "", ""),
        base=taken(values, "base", str, "", ""),
        metric=taken(values, "metric", str, "", "war"),
        margin=_percent(values, "margin", "") if "margin" in values else 0.0,
        verdicts=_texts(values, "", "verdicts"),
        rows=tuple(_row(row, f"rows {number}: ") for number, row in enumerate(rows, 1)),
    )


def _row(values: Mapping[str, Any], where: str) -> Row:
    _require_known_keys(values, [field.name for field in fields(Row)], where)
    paper = taken(values, "paper", dict, where, {})
    name = taken(values, "name", str, where)
    return Row(name=name, settings=_texts(values, where), paper=_paper(paper, where) if paper else None)


def _paper(values: Mapping[str, Any], where: str) -> PaperNumbers:
    _require_known_keys(values, [field.name for field in fields(PaperNumbers)], f"{where}paper.")
    recalls = taken(values, "recalls", dict, f"{where}paper.", {})
    return PaperNumbers(
        uar=_percent(values, "uar", f"{where}paper."),
        war=_percent(values, "war", f"{where}paper."),
        best_epoch=taken(values, "best_epoch", int, f"{where}paper.", None),
        recalls={name: _percent(recalls, name, f"{where}paper.recalls.") for name in recalls},
    )


def _require_known_keys(values: Mapping[str, Any], allowed: Sequence[str], where: str) -> None:
    for key in values:
        if key not in allowed:
            msg = f"{where}unknown key '{key}'; there are: {', '.join(allowed)}."
            raise ConfigError(msg)


_NEEDED = object()


def taken(values: Mapping[str, Any], key: str, kind: type, where: str, absent: Any = _NEEDED) -> Any:
    """Return the value of a key.

    Args:
        values: Values from a file.
        key: Its name.
        kind: Required type; subclasses are rejected.
        where: Prefix of the key in messages.
        absent: Default. Without it, the key is required.

    Raises:
        ConfigError: The key is missing, or its value has another type.
    """
    if key not in values and absent is not _NEEDED:
        return absent
    value = values.get(key)
    if type(value) is not kind:
        found = "is missing" if key not in values else f"is {value!r:.100}"
        msg = f"{where}{key} {found}; a value of type {kind.__name__} is needed."
        raise ConfigError(msg)
    return value


def _texts(values: Mapping[str, Any], where: str, key: str = "settings") -> tuple[str, ...]:
    texts = taken(values, key, list, where, [])
    if not all(isinstance(text, str) for text in texts):
        form = 'each "section.key=value"' if key == "settings" else "each the name of a row"
        msg = f"{where}{key} is {texts!r:.100}; texts are needed, {form}."
        raise ConfigError(msg)
    return tuple(texts)


def _percent(values: Mapping[str, Any], key: str, where: str) -> float:
    kind = int if type(values.get(key)) is int else float
    number = float(taken(values, key, kind, where))
    require_range(f"{where}{key}", number, 0, 100)
    return number


def _row_config(base: TrainConfig, row: Row) -> TrainConfig:
    try:
        return override(base, row.settings)
    except ConfigError as error:
        msg = f"Row '{row.name}': {error}"
        raise ConfigError(msg) from error


def _key(setting: str) -> str:
    return setting.partition("=")[0].strip()

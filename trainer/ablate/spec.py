"""A TOML file -> a table to run: its rows, what they set, and what the paper found.

The paper's numbers are percent, as printed; classes are named, since its tables order them differently.
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
_MOST_BYTES, _LONGEST_NAME = 1 << 20, 60


@dataclass(frozen=True, kw_only=True)
class PaperNumbers:
    """What the paper printed for a row, in percent. best_epoch: None where it says none."""

    uar: float
    war: float
    best_epoch: int | None
    recalls: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Everything as a spec's file tells it."""
        epoch = {} if self.best_epoch is None else {"best_epoch": self.best_epoch}
        return {"uar": self.uar, "war": self.war, **epoch, "recalls": dict(self.recalls)}


@dataclass(frozen=True, kw_only=True)
class Row:
    """A setting of the table. settings: ``section.key=value`` each. folder: its name as a folder's."""

    name: str
    settings: tuple[str, ...]
    paper: PaperNumbers | None

    @property
    def folder(self) -> str:
        """`name` in letters, digits and hyphens."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")

    def to_dict(self) -> dict[str, Any]:
        """Everything as a spec's file tells it."""
        paper = {"paper": self.paper.to_dict()} if self.paper else {}
        return {"name": self.name, "settings": list(self.settings), **paper}


@dataclass(frozen=True, kw_only=True)
class Spec:
    """A table. dataset: the one that the paper's numbers are of. settings: of all rows."""

    title: str
    dataset: str
    preset: str
    settings: tuple[str, ...]
    note: str
    rows: tuple[Row, ...]

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

    @property
    def class_names(self) -> tuple[str, ...]:
        """Every class that the paper's numbers name."""
        named = (row.paper.recalls for row in self.rows if row.paper)
        return tuple(dict.fromkeys(name for recalls in named for name in recalls))

    def to_dict(self) -> dict[str, Any]:
        """Everything as a spec's file tells it; `spec_of` reads it back."""
        return {
            "title": self.title,
            "dataset": self.dataset,
            "preset": self.preset,
            "settings": list(self.settings),
            "note": self.note,
            "rows": [row.to_dict() for row in self.rows],
        }

    def configs(self, preset_name: str | None, more: Sequence[str]) -> dict[str, TrainConfig]:
        """Each row's config: preset, common settings, the user's `more`, the row's own settings.

        preset_name: instead of the spec's. Raises ConfigError for a setting that is none, and for one of
        `more` that a row sets itself.
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
        """Raise ConfigError when the paper's numbers name a class that is not among those of a cache."""
        missing = [name for name in self.class_names if name not in there]
        if missing:
            msg = (
                f"'{self.title}' names class '{missing[0]}'; this cache has: {', '.join(there)}. "
                "Give a --spec with classes of this cache, or without recalls."
            )
            raise ConfigError(msg)


def table(number: int) -> Spec:
    """A table of the paper. Raises ConfigError for one that is no ablation."""
    require_one_of("--table", number, TABLES)
    text = (files("trainer.ablate") / "specs" / f"table{number}.toml").read_text(encoding="utf-8")
    return parsed(text, f"table{number}.toml")


def read_spec(path: Path) -> Spec:
    """A table of the user's own. Raises ConfigError for a file that is missing or no such table."""
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
    """The table that a TOML text describes; `where` it comes from is told with what is wrong."""
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
    """The table that plain values describe, as TOML and `Spec.to_dict` give them. Raises ConfigError."""
    _refuse_unknown(values, [field.name for field in fields(Spec)], "")
    rows = taken(values, "rows", list, "", [])
    if not all(isinstance(row, dict) for row in rows):
        msg = "rows holds something else than tables; write [[rows]] above each row."
        raise ConfigError(msg)
    return Spec(
        title=taken(values, "title", str, ""),
        dataset=taken(values, "dataset", str, "", ""),
        preset=taken(values, "preset", str, "", "default"),
        settings=_texts(values, ""),
        note=taken(values, "note", str, "", ""),
        rows=tuple(_row(row, f"rows {number}: ") for number, row in enumerate(rows, 1)),
    )


def _row(values: Mapping[str, Any], where: str) -> Row:
    _refuse_unknown(values, [field.name for field in fields(Row)], where)
    paper = taken(values, "paper", dict, where, {})
    name = taken(values, "name", str, where)
    return Row(name=name, settings=_texts(values, where), paper=_paper(paper, where) if paper else None)


def _paper(values: Mapping[str, Any], where: str) -> PaperNumbers:
    _refuse_unknown(values, [field.name for field in fields(PaperNumbers)], f"{where}paper.")
    recalls = taken(values, "recalls", dict, f"{where}paper.", {})
    return PaperNumbers(
        uar=_percent(values, "uar", f"{where}paper."),
        war=_percent(values, "war", f"{where}paper."),
        best_epoch=taken(values, "best_epoch", int, f"{where}paper.", None),
        recalls={name: _percent(recalls, name, f"{where}paper.recalls.") for name in recalls},
    )


def _refuse_unknown(values: Mapping[str, Any], allowed: Sequence[str], where: str) -> None:
    for key in values:
        if key not in allowed:
            msg = f"{where}unknown key '{key}'; there are: {', '.join(allowed)}."
            raise ConfigError(msg)


_NEEDED = object()


def taken(values: Mapping[str, Any], key: str, kind: type, where: str, absent: Any = _NEEDED) -> Any:
    """The value of a key, of that kind; `absent` where the key is not there."""
    if key not in values and absent is not _NEEDED:
        return absent
    value = values.get(key)
    if type(value) is not kind:
        found = "is missing" if key not in values else f"is {value!r:.100}"
        msg = f"{where}{key} {found}; a value of type {kind.__name__} is needed."
        raise ConfigError(msg)
    return value


def _texts(values: Mapping[str, Any], where: str) -> tuple[str, ...]:
    texts = taken(values, "settings", list, where, [])
    if not all(isinstance(text, str) for text in texts):
        msg = f'{where}settings is {texts!r:.100}; texts are needed, each "section.key=value".'
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

"""Frozen dataclass configs: to plain values, back again, and changed from ``section.key=value``."""

import dataclasses
import difflib
import math
import typing
from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, TypeVar

from pipeline.errors import ConfigError

C = TypeVar("C")

_CLOSE = 0.7
"""How alike a name must be to a setting's, from 0 to 1, to be taken for a slip of it."""


def require_one_of(name: str, value: object, allowed: Sequence[object]) -> None:
    """Raise ConfigError unless `value` is one of `allowed`."""
    if value not in allowed:
        shown = ", ".join(str(choice) for choice in allowed)
        msg = f"{name} is {value!r}; allowed: {shown}."
        raise ConfigError(msg)


def require_range(name: str, value: float, low: float, high: float = math.inf) -> None:
    """Raise ConfigError unless `value` is finite and low <= value <= high."""
    if not low <= value <= high or value == math.inf:
        allowed = f"a finite number, {low} or more" if value == math.inf else f"{low} or more"
        allowed = allowed if high == math.inf else f"{low} to {high}"
        msg = f"{name} is {value}; allowed: {allowed}."
        raise ConfigError(msg)


def to_dict(config: Any) -> dict[str, Any]:
    """The config as nested plain values, fit for JSON and TOML; tuples become lists."""
    return {field.name: _plain(getattr(config, field.name)) for field in dataclasses.fields(config)}


def from_dict(kind: type[C], values: Mapping[str, Any], where: str = "") -> C:
    """Build a config from nested plain values.

    Args:
        kind: Class of the config. If it has a static method ``from_older_keys``, that maps keys of earlier
            versions to those of today.
        values: Values by key; a key that is missing takes its default.
        where: Sections that hold these values, such as ``encoder.``, for messages.

    Raises:
        ConfigError: A key is unknown, or a value has another type or is out of range.
    """
    if older := getattr(kind, "from_older_keys", None):
        values = older(values)
    hints = typing.get_type_hints(kind)
    _refuse_unknown(kind, values, where)
    built = {key: _typed(hints[key], value, f"{where}{key}") for key, value in values.items()}
    try:
        return kind(**built)
    except TypeError as error:
        msg = f"{where or kind.__name__}: {error}"
        raise ConfigError(msg) from error


def override(config: C, assignments: Sequence[str]) -> C:
    """The config with ``section.key=value`` assignments applied, values read by the field's type.

    Raises ConfigError for an unknown key (naming the keys there are) or a value of another type.
    """
    values = to_dict(config)
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals:
            msg = f"--set {assignment!r} has no '='; write section.key=value."
            raise ConfigError(msg)
        *sections, key = path.strip().split(".")
        place, kind, where = values, type(config), ""
        for section in sections:
            _refuse_unknown(kind, {section: None}, where)
            kind = typing.get_type_hints(kind)[section]
            where += f"{section}."
            if not dataclasses.is_dataclass(kind):
                msg = f"{where[:-1]} is a value, not a section; write {where[:-1]}=value."
                raise ConfigError(msg)
            place = place[section]
        _refuse_unknown(kind, {key: None}, where)
        hint = typing.get_type_hints(kind)[key]
        if dataclasses.is_dataclass(hint):
            msg = f"{where}{key} is a section; set one of its keys, such as {where}{key}.{_names(hint)[0]}."
            raise ConfigError(msg)
        place[key] = _parsed(hint, text.strip(), f"{where}{key}")
    return from_dict(type(config), values)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_dict(value)
    return list(value) if isinstance(value, tuple) else value


def _names(kind: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


def _refuse_unknown(kind: Any, values: Mapping[str, Any], where: str) -> None:
    for key in values:
        if key not in _names(kind):
            own = [where + name for name in _names(kind)]
            names = [*_all_names(kind, where), *own]
            lasts = [name.rpartition(".")[2] for name in names]
            near = difflib.get_close_matches(key, lasts, n=1, cutoff=_CLOSE)
            alike = dict.fromkeys(name for name, last in zip(names, lasts, strict=True) if last in near)
            meant = f" (is it {' or '.join(alike)}?)" if alike else ""
            msg = f"Unknown setting '{where}{key}'{meant}; there are: {', '.join(own)}."
            raise ConfigError(msg)


def _all_names(kind: Any, where: str) -> list[str]:
    """The settings of a section, and those of its sections, by their whole names."""
    names, hints = [], typing.get_type_hints(kind)
    for name in _names(kind):
        hint = hints[name]
        nested = _all_names(hint, f"{where}{name}.") if dataclasses.is_dataclass(hint) else [where + name]
        names += nested
    return names


def _typed(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            msg = f"{where} is {value!r}; a section with keys {', '.join(_names(hint))} is needed."
            raise ConfigError(msg)
        return from_dict(typing.cast(type[Any], hint), value, f"{where}.")
    allowed = _members(hint)
    if value is None and NoneType in allowed:
        return None
    if float in allowed and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if tuple in allowed and isinstance(value, list | tuple):
        return tuple(value)
    if type(value) not in allowed:
        names = " or ".join(kind.__name__ for kind in allowed)
        msg = f"{where} is {value!r}; a value of type {names} is needed."
        raise ConfigError(msg)
    return value


def _parsed(hint: Any, text: str, where: str) -> Any:
    allowed = _members(hint)
    if NoneType in allowed and text.lower() in ("none", ""):
        return None
    if bool in allowed:
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        msg = f"{where} is {text!r}; allowed: true, false."
        raise ConfigError(msg)
    for kind in (int, float):
        if kind in allowed:
            try:
                return kind(text)
            except ValueError:
                continue
    if str in allowed:
        return text
    if tuple in allowed:
        parts = [part.strip() for part in text.split(",") if part.strip()]
        return _numbers(parts, text, where) if _holds_numbers(hint) else tuple(parts)
    names = " or ".join(kind.__name__ for kind in allowed)
    msg = f"{where} is {text!r}; a value of type {names} is needed."
    raise ConfigError(msg)


def _holds_numbers(hint: Any) -> bool:
    """Whether a field's tuple holds floats."""
    return any(float in typing.get_args(kind) for kind in (hint, *typing.get_args(hint)))


def _numbers(parts: list[str], text: str, where: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in parts)
    except ValueError:
        msg = f"{where} is {text!r}; numbers separated by commas are needed, such as 0.5,0.5,0.5."
        raise ConfigError(msg) from None


def _members(hint: Any) -> list[type]:
    """The plain classes that a field's annotation admits (Literal counts as its values' class)."""
    origin = typing.get_origin(hint)
    if origin is typing.Literal:
        return sorted({type(value) for value in typing.get_args(hint)}, key=lambda k: k.__name__)
    if origin in (typing.Union, UnionType):
        return [kind for member in typing.get_args(hint) for kind in _members(member)]
    return [origin or hint]

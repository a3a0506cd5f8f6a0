"""Frozen dataclass configs: conversion to and from plain values, and changes by ``section.key=value``."""

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
"""Least similarity, 0 to 1, of a setting's name to an unknown one for which it is suggested."""


def require_one_of(name: str, value: object, allowed: Sequence[object]) -> None:
    """Check a setting that has a fixed set of values.

    Args:
        name: The setting, as ``section.key`` or as an option, for the message.
        value: Its value.
        allowed: All its values.

    Raises:
        ConfigError: The value is another one.
    """
    if value not in allowed:
        shown = ", ".join(str(choice) for choice in allowed)
        msg = f"{name} is {value!r}; allowed: {shown}."
        raise ConfigError(msg)


def require_range(name: str, value: float, low: float, high: float = math.inf) -> None:
    """Check a setting that is a number.

    Args:
        name: The setting, as ``section.key`` or as an option, for the message.
        value: Its value.
        low: The smallest value.
        high: The largest value; infinity for any finite number.

    Raises:
        ConfigError: The value is below `low`, above `high` or not finite.
    """
    if not low <= value <= high or value == math.inf:
        allowed = f"a finite number, {low} or more" if value == math.inf else f"{low} or more"
        allowed = allowed if high == math.inf else f"{low} to {high}"
        msg = f"{name} is {value}; allowed: {allowed}."
        raise ConfigError(msg)


def to_dict(config: Any) -> dict[str, Any]:
    """Return the config as nested plain values, as JSON and TOML have them; tuples become lists."""
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
    """Return the config with ``section.key=value`` assignments applied, in order.

    Raises:
        ConfigError: A key is unknown, or a value is not of the field's type or is out of range.
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
    """Return the names of all settings of a section and of its sections, with their sections."""
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
    """Return whether a field's tuple contains floats."""
    return any(float in typing.get_args(kind) for kind in (hint, *typing.get_args(hint)))


def _numbers(parts: list[str], text: str, where: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in parts)
    except ValueError:
        msg = f"{where} is {text!r}; numbers separated by commas are needed, such as 0.5,0.5,0.5."
        raise ConfigError(msg) from None


def _members(hint: Any) -> list[type]:
    """Return the classes that a field's annotation allows; for a Literal, those of its values."""
    origin = typing.get_origin(hint)
    if origin is typing.Literal:
        return sorted({type(value) for value in typing.get_args(hint)}, key=lambda k: k.__name__)
    if origin in (typing.Union, UnionType):
        return [kind for member in typing.get_args(hint) for kind in _members(member)]
    return [origin or hint]

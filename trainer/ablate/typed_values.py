"""Values of TOML and JSON files -> checked values. Errors name the key, after the prefix `where`."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.config import require_range
from pipeline.errors import ConfigError

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


def require_known_keys(values: Mapping[str, Any], allowed: Sequence[str], where: str) -> None:
    """Raise ConfigError for a key that is not allowed."""
    for key in values:
        if key not in allowed:
            msg = f"{where}unknown key '{key}'; there are: {', '.join(allowed)}."
            raise ConfigError(msg)


def settings_in(values: Mapping[str, Any], where: str) -> tuple[str, ...]:
    """Return the texts of the key ``settings``, none without it. Raises ConfigError for other values."""
    return texts_in(values, where, "settings", 'each "section.key=value"')


def texts_in(values: Mapping[str, Any], where: str, key: str, form: str) -> tuple[str, ...]:
    """Return the texts of a key, none without it. Raises ConfigError, with the `form` of each, for others."""
    texts = taken(values, key, list, where, [])
    if not all(isinstance(text, str) for text in texts):
        msg = f"{where}{key} is {texts!r:.100}; texts are needed, {form}."
        raise ConfigError(msg)
    return tuple(texts)


def percent(values: Mapping[str, Any], key: str, where: str) -> float:
    """Return a number from 0 to 100. Raises ConfigError for another value."""
    kind = int if type(values.get(key)) is int else float
    number = float(taken(values, key, kind, where))
    require_range(f"{where}{key}", number, 0, 100)
    return number

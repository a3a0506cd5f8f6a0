"""JSON without NaN and infinity, both in results that are written and in files that are read."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from pipeline.errors import OusError


class NonFiniteError(OusError):
    """A result that contains a number which is not finite."""


def to_json(value: Any, *, indent: int | None = 2) -> str:
    """Return a value as JSON, without a line end.

    Args:
        value: Plain JSON values; tuples become lists.
        indent: Spaces for each level; None for a single line.

    Raises:
        NonFiniteError: A number is NaN or infinite. The message contains its keys.
    """
    found = next(_non_finite(value, ""), None)
    if found is not None:
        where, number = found
        msg = (
            f"The result '{where}' is {number}; a finite number is needed, and nothing was written. Check "
            "the features with `cache verify`; train again if they are intact."
        )
        raise NonFiniteError(msg)
    return json.dumps(value, indent=indent, allow_nan=False)


def from_json(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: The text is not JSON, or contains NaN, infinity, or a number beyond the range of a float.
        RecursionError: It is nested too deeply.
    """
    return json.loads(text, parse_constant=_refuse, parse_float=_finite)


def depth(value: Any, most: int) -> int:
    """Return the depth of nested objects and lists in a JSON value, counted up to one more than `most`."""
    level, levels = [value], 0
    while level and levels <= most:
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        levels += 1
    return levels


def _refuse(name: str) -> NoReturn:
    msg = f"{name} is no finite number"
    raise ValueError(msg)


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text[:20])


def _non_finite(value: Any, where: str) -> Iterator[tuple[str, float]]:
    """Yield every number that is not finite, after its path of keys and positions."""
    if isinstance(value, float):
        if not math.isfinite(value):
            yield where, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _non_finite(inner, f"{where}.{key}" if where else str(key))
    elif isinstance(value, list | tuple):
        for place, inner in enumerate(value):
            yield from _non_finite(inner, f"{where}[{place}]")

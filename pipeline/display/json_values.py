"""Conversion of a result to plain values for a JSON document.

The keys of a dataclass are its fields. A type whose document differs registers its own form, often
`field_values` with derived keys, which also applies to nested values of the type.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import singledispatch
from pathlib import PurePath
from typing import Any

import numpy as np

from pipeline.display.subjects import registered
from pipeline.store.location import Location


@singledispatch
def to_json_values(result: Any) -> Any:
    """Return a result as dicts, lists, texts, numbers, booleans and None.

    Args:
        result: A dataclass, mapping, list or tuple, nested to any depth, of plain values, enumerations,
            paths, cache locations, numpy numbers and arrays.

    Raises:
        TypeError: A value has no JSON form.
    """
    if (form := registered(to_json_values, type(result))) is not None:
        return form(result)
    if is_dataclass(result) and not isinstance(result, type):
        return field_values(result)
    msg = f"{type(result).__name__} has no JSON form; register one with `to_json_values.register`."
    raise TypeError(msg)


def field_values(result: Any, *names: str) -> dict[str, Any]:
    """Return the fields of a dataclass as plain JSON values, in their order.

    Args:
        result: The dataclass.
        names: Attributes to include, also properties; none for all fields.
    """
    return {
        name: to_json_values(getattr(result, name))
        for name in names or [field.name for field in fields(result)]
    }


@to_json_values.register(str)
@to_json_values.register(int)
@to_json_values.register(float)
@to_json_values.register(type(None))
def _(value: Any) -> Any:
    return value


@to_json_values.register
def _(value: Mapping) -> dict[str, Any]:  # type: ignore[type-arg]
    return {str(to_json_values(key)): to_json_values(inner) for key, inner in value.items()}


@to_json_values.register(list)
@to_json_values.register(tuple)
def _(value: Any) -> list[Any]:
    return [to_json_values(inner) for inner in value]


@to_json_values.register
def _(value: Enum) -> Any:
    return to_json_values(value.value)


@to_json_values.register(PurePath)
@to_json_values.register(Location)
def _(value: Any) -> str:
    return str(value)


@to_json_values.register(np.generic)
@to_json_values.register(np.ndarray)
def _(value: Any) -> Any:
    return value.tolist()

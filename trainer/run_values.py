"""Values of run.json -> an error for a value of another type, or out of its range."""

import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from pipeline.strict_json import NonFiniteError, depth, to_json
from trainer.added_cache import AddedCache, require_added
from trainer.calibration import HIGHEST, LOWEST
from trainer.clips_without_face import NOT_RECORDED
from trainer.run_info import LARGEST_SIZE, RunInfo

_SHOWN = 100
_MOST_DEPTH, _MOST_CHARACTERS = 20, 1 << 20
"""Limits for the values that describe an extraction."""

_NUM_QUARTILES = 3
_NUMBERS = ("loss", "war", "uar")
_Check = Callable[[Any], bool]
_KINDS: Mapping[Any, tuple[_Check, str]] = {
    str: (lambda value: type(value) is str, "str"),
    int: (lambda value: type(value) is int, "int"),
    bool: (lambda value: type(value) is bool, "bool"),
    float: (lambda value: type(value) in (float, int), "float"),
    tuple[str, ...]: (lambda value: _is_list(value, (str,)), "a list of texts"),
    tuple[float, ...]: (lambda value: _is_list(value, (float, int)), "a list of numbers"),
    Mapping[str, int]: (lambda value: _is_counts(value), "an object of counts"),
    tuple[AddedCache, ...]: (lambda value: type(value) in (list, tuple), "a list of caches"),
    Mapping[str, Any]: (lambda value: _is_small(value), "an object of at most 1 MB in 20 levels"),
}
"""Annotations of `RunInfo` -> whether a JSON value is of this type, and its description."""


def require_types(info: RunInfo) -> None:
    """Raise ValueError for a value of an undeclared type, or a number out of its range."""
    for part in fields(info):
        value, (is_right, wanted) = getattr(info, part.name), _KINDS[part.type]
        if not is_right(value):
            msg = f"{part.name} is {repr(value)[:_SHOWN]}; {wanted} is needed"
            raise ValueError(msg)
    require_added(info.added_caches)
    if not math.isfinite(info.best_loss):
        msg = f"best_loss is {info.best_loss}; a finite number is needed"
        raise ValueError(msg)
    for name in ("num_frames", "embed_width", "encoder_width"):
        _require_within(info, name, 1, LARGEST_SIZE)
    for name in ("num_tokens", "seed", "num_train", "num_validation", "validation_leak"):
        if getattr(info, name) < 0:
            msg = f"{name} is {repr(getattr(info, name))[:_SHOWN]}; allowed: 0 or more"
            raise ValueError(msg)
    if info.num_without_face < NOT_RECORDED:
        msg = f"num_without_face is {repr(info.num_without_face)[:_SHOWN]}; allowed: 0 or more, -1 if unknown"
        raise ValueError(msg)
    if info.selected_by not in _NUMBERS:
        msg = f"selected_by is {repr(info.selected_by)[:_SHOWN]}; allowed: {', '.join(_NUMBERS)}"
        raise ValueError(msg)
    for name in ("ece_before", "ece_after"):
        _require_within(info, name, 0, 1)
    if info.temperature != 0:
        _require_within(info, "temperature", LOWEST, HIGHEST)
    seconds = list(info.clip_seconds)
    if seconds and not (
        len(seconds) == _NUM_QUARTILES
        and seconds == sorted(seconds)
        and seconds[0] > 0
        and math.isfinite(seconds[-1])
    ):
        msg = f"clip_seconds is {repr(seconds)[:_SHOWN]}; three rising numbers above 0 are needed, or none"
        raise ValueError(msg)


def _require_within(info: RunInfo, name: str, low: float, high: float) -> None:
    value = getattr(info, name)
    if not low <= value <= high:
        msg = f"{name} is {repr(value)[:_SHOWN]}; allowed: {low} to {high}"
        raise ValueError(msg)


def _is_list(value: Any, kinds: tuple[type, ...]) -> bool:
    return type(value) in (list, tuple) and all(type(item) in kinds for item in value)


def _is_counts(value: Any) -> bool:
    return type(value) is dict and all(type(number) is int and number >= 0 for number in value.values())


def _is_small(value: Any) -> bool:
    """Return whether a value is an object of plain JSON values within the limits."""
    if type(value) is not dict or depth(value, _MOST_DEPTH) > _MOST_DEPTH:
        return False
    try:
        return len(to_json(value, indent=None)) <= _MOST_CHARACTERS
    except (TypeError, ValueError, NonFiniteError):
        return False

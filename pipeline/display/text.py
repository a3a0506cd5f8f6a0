"""Conversion of a result to lines for a terminal. The display module of each subject registers its types."""

from functools import singledispatch
from typing import Any

from pipeline.display.subjects import registered


@singledispatch
def lines(result: Any) -> list[str]:
    """Return a result as lines for a terminal, without line ends.

    Args:
        result: Result of a type that a display module has registered with ``@lines.register``.

    Raises:
        TypeError: No display module has registered the type.
    """
    if (form := registered(lines, type(result))) is not None:
        found: list[str] = form(result)
        return found
    msg = f"{type(result).__name__} has no form for a terminal; register one with `lines.register`."
    raise TypeError(msg)

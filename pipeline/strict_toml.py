"""TOML without long dotted keys, on which Python's reader takes a time that grows with their square."""

import tomllib
from typing import Any

_MOST_DOTS = 256
"""In a line: a key of 100,000 parts takes half a minute."""


def from_toml_text(text: str) -> dict[str, Any]:
    """Return the values of a TOML text.

    Raises:
        ValueError: The text is no TOML, or a line of it has more than 256 dots.
        RecursionError: Its values are nested too deeply.
    """
    for number, line in enumerate(text.split("\n"), 1):
        if (dots := line.count(".")) > _MOST_DOTS:
            msg = f"line {number} has {dots} dots; allowed: {_MOST_DOTS}"
            raise ValueError(msg)
    return tomllib.loads(text)

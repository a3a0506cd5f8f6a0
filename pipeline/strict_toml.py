"""TOML without long dotted keys, for which Python's parser takes time quadratic in their length."""

import tomllib
from typing import Any

_MOST_DOTS = 256
"""Most dots in a line. A key of 100,000 parts takes half a minute."""


def from_toml_text(text: str) -> dict[str, Any]:
    """Return the values of a TOML text.

    Raises:
        ValueError: The text is not TOML, or a line of it has more than 256 dots.
        RecursionError: Its values are nested too deeply.
    """
    for number, line in enumerate(text.split("\n"), 1):
        if (dots := line.count(".")) > _MOST_DOTS:
            msg = f"line {number} has {dots} dots; allowed: {_MOST_DOTS}"
            raise ValueError(msg)
    return tomllib.loads(text)

"""The version of each step's algorithm, and how those of a stored identity differ (docs/decisions/0007).

Without any of the steps, so that a note on a cache does not import their libraries.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pipeline.fingerprint import format_value

VERSIONS: Mapping[str, int] = MappingProxyType(
    {"frames": 2, "faces": 1, "tracks": 1, "streams": 1, "features": 1}
)
"""Raise a step's number when any of its outputs changes at unchanged settings."""

SECTIONS: Mapping[str, str] = MappingProxyType(
    {"frames": "frames", "detector": "faces", "track": "tracks", "streams": "streams", "features": "features"}
)
"""Section of the config, and of an identity -> name of its step."""

VERSION, _FIRST = "version", 1


def stored_version(section: Any) -> Any:
    """Return the version that a stored section names, 1 where it names none; attributes are not trusted."""
    return section.get(VERSION, _FIRST) if isinstance(section, Mapping) else _FIRST


def is_same_version(here: int, there: Any) -> bool:
    """Return whether a stored version is this one, as a whole number."""
    return type(here) is type(there) and here == there


def version_note(theirs: Mapping[str, Any]) -> str:
    """Return which algorithms of a stored identity have other versions than this program's, for a reader.

    Such as ``tracks version 1; this program makes tracks version 2``; empty where all are the same.
    """
    stored = [(step, stored_version(theirs.get(section))) for section, step in SECTIONS.items()]
    other = [(step, there) for step, there in stored if not is_same_version(VERSIONS[step], there)]
    if not other:
        return ""
    made = ", ".join(f"{step} version {format_value(there)}" for step, there in other)
    return f"{made}; this program makes {', '.join(f'{step} version {VERSIONS[step]}' for step, _ in other)}"

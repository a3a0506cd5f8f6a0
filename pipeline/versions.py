"""Versions of each step's algorithm, and their differences from a stored identity (docs/decisions/0007).

It imports none of the steps, so that a note on a cache does not import their libraries.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pipeline.fingerprint import format_value

VERSIONS: Mapping[str, int] = MappingProxyType(
    {"frames": 2, "shots": 1, "faces": 1, "people": 1, "tracks": 1, "streams": 1, "features": 1}
)
"""Raise a step's number when any of its outputs changes at unchanged settings."""

SECTIONS: Mapping[str, str] = MappingProxyType(
    {
        "frames": "frames",
        "shots": "shots",
        "detector": "faces",
        "people": "people",
        "track": "tracks",
        "streams": "streams",
        "features": "features",
    }
)
"""Section of the config, and of an identity -> name of its step."""
OF_MOTION = ("shots", "people")
"""Sections of steps that ``track.method=motion`` alone uses: other identities do not contain them."""

VERSION, _FIRST = "version", 1


def stored_version(section: Any) -> Any:
    """Return the version in a stored section, 1 if it has none; stored attributes are not trusted."""
    return section.get(VERSION, _FIRST) if isinstance(section, Mapping) else _FIRST


def is_same_version(here: int, there: Any) -> bool:
    """Return whether a stored version is an integer equal to this one."""
    return type(here) is type(there) and here == there


def stored_versions(theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the section and version of each step that a stored identity is of.

    An identity without the steps of ``track.method=motion`` has no version of them.
    """
    return {
        section: stored_version(theirs.get(section))
        for section in SECTIONS
        if section in theirs or section not in OF_MOTION
    }


def version_note(theirs: Mapping[str, Any]) -> str:
    """Return the differences between the versions of a stored identity and this program's, in words.

    An example is ``tracks version 1; this program makes tracks version 2``. It is empty if all are equal.
    """
    stored = [(SECTIONS[section], there) for section, there in stored_versions(theirs).items()]
    other = [(step, there) for step, there in stored if not is_same_version(VERSIONS[step], there)]
    if not other:
        return ""
    made = ", ".join(f"{step} version {format_value(there)}" for step, there in other)
    return f"{made}; this program makes {', '.join(f'{step} version {VERSIONS[step]}' for step, _ in other)}"

"""Content hashes, settings that identify a step, and the differences between two configs in words."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pipeline.plain_file import open_given

MAX_HASHED_BYTES = 64 << 30
"""Size of the largest file that is hashed: hours of camera video, of which a hash takes about a minute."""
_READ_BYTES = 1 << 20
_SHOWN = 200
_IN_IDENTITY, _VERSION_DEFAULT = "in_identity", "version_default"

OUTSIDE_IDENTITY: Mapping[str, Any] = MappingProxyType({_IN_IDENTITY: False})
"""Metadata of a field that identities omit, because it changes no feature (a path, a batch size) or because
identities contain its resolved value (a precision)."""


def version_default(value: Any) -> Mapping[str, Any]:
    """Return the metadata of a field whose default changed while the step's algorithm version stayed.

    Args:
        value: The default when that version was introduced. Identities leave the field out if it has
            this value, so that the identities of existing caches stay valid.
    """
    return MappingProxyType({_VERSION_DEFAULT: value})


def sha256_file(path: Path) -> str:
    """Return the sha256 of a file's bytes, as 64 hex digits.

    Raises:
        FileError: It is not a regular file, or has more than `MAX_HASHED_BYTES`, which would take hours.
    """
    digest = hashlib.sha256()
    with open_given(path, MAX_HASHED_BYTES) as file:
        while chunk := file.read(_READ_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def sha256_json(value: Any) -> str:
    """Return the sha256 of a JSON value in canonical form (sorted keys, no blanks)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def default_settings(kind: Any) -> dict[str, Any]:
    """Return the settings of a step that identify features, with the defaults of its algorithm version.

    Args:
        kind: The step's config, a dataclass in which every field has a default.
    """
    return {
        field.name: field.metadata.get(_VERSION_DEFAULT, field.default)
        for field in dataclasses.fields(kind)
        if field.metadata.get(_IN_IDENTITY, True)
    }


def changed_settings(config: Any) -> dict[str, Any]:
    """Return the settings that identify features and differ from the defaults of the algorithm version.

    A new setting whose default is the old behaviour is therefore absent unless it is changed.
    """
    defaults = default_settings(type(config))
    return {name: getattr(config, name) for name in defaults if getattr(config, name) != defaults[name]}


def differences(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """Return a line for every leaf in which two nested mappings differ: ``a.b: 1 here, 2 there``."""
    here, there = dict(_leaves(mine, "")), dict(_leaves(theirs, ""))
    return [
        f"{format_value(key)[1:-1]}: {_shown(here, key)} here, {_shown(there, key)} there"
        for key in sorted(here.keys() | there.keys())
        if (key in here) != (key in there) or not _is_same(here[key], there[key])
    ]


def format_value(value: Any) -> str:
    """Return a value as JSON for a message, cut if it is long, because stored values are not trusted."""
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _is_same(one: Any, other: Any) -> bool:
    """Return whether two leaves are equal, and both or neither a truth value."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _leaves(value: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{prefix}.{key}" if prefix else str(key))
    elif prefix:
        yield prefix, list(value) if isinstance(value, tuple) else value


def _shown(leaves: Mapping[str, Any], key: str) -> str:
    return format_value(leaves[key]) if key in leaves else "absent"

"""Content hashes, and the difference between two configs named in words."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_READ_BYTES = 1 << 20


def sha256_file(path: Path) -> str:
    """The sha256 of a file's bytes, as 64 hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_READ_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def sha256_json(value: Any) -> str:
    """The sha256 of a JSON value in its canonical spelling (sorted keys, no blanks)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def differences(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """Every leaf in which two nested mappings differ, as ``a.b: 1 here, 2 there`` lines."""
    here, there = dict(_leaves(mine, "")), dict(_leaves(theirs, ""))
    return [
        f"{key}: {_shown(here, key)} here, {_shown(there, key)} there"
        for key in sorted(here.keys() | there.keys())
        if here.get(key) != there.get(key) or (key in here) != (key in there)
    ]


def _leaves(value: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, list(value) if isinstance(value, tuple) else value


def _shown(leaves: Mapping[str, Any], key: str) -> str:
    return json.dumps(leaves[key]) if key in leaves else "absent"

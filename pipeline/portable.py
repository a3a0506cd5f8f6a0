"""Stored paths, which do not contain the user's name.

Caches, runs and pages are shared with other people. A path in them contains ``~`` for the home directory of
the user who made them, and ``$USER`` for a directory that is named after that user, such as
``/scratch/$USER/DFEW``. Both are replaced by the values of the user who opens the cache. For another user,
such a path may not exist; every command that opens one has an option to give another path.
"""

import getpass
import os
import re
from functools import lru_cache
from typing import Any

HOME, USER = "~", "$USER"
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_ROOT = "root"
"""User name that identifies no person."""

_BEFORE, _AFTER = r"(?<![\w.~$/-])", r"(?![^/\s'\"`:;,)\]])"
"""Patterns around a path in a text, so that it is not part of a longer path or name."""


def portable(text: str) -> str:
    """Return a text, such as a path or a message, without the user's name and home directory in its paths.

    An address, such as ``s3://bucket/prefix``, is returned unchanged.
    """
    if "/" not in text or _ADDRESS.match(text):
        return text
    for pattern, replacement in _replacements(_environment()):
        text = pattern.sub(replacement, text)
    return text


def portable_values(value: Any) -> Any:
    """Return plain JSON values with `portable` applied to every text in them, but not to keys."""
    if isinstance(value, str):
        return portable(value)
    if isinstance(value, dict):
        return {key: portable_values(inner) for key, inner in value.items()}
    return [portable_values(inner) for inner in value] if isinstance(value, list | tuple) else value


def located(path: str) -> str:
    """Return the path of this user for a path from `portable`; another path is returned unchanged."""
    if _ADDRESS.match(path):
        return path
    parts = path.split("/")
    if USER in parts and (user := _user()):
        parts = [user if part == USER else part for part in parts]
    if parts[0] == HOME and (homes := _homes()):
        parts[0] = homes[0]
    return "/".join(parts)


def _environment() -> tuple[str | None, ...]:
    """Return the variables on which the home directory and the user's name depend."""
    return tuple(os.environ.get(name) for name in ("HOME", "LOGNAME", "USER", "LNAME", "USERNAME"))


@lru_cache(maxsize=4)
def _replacements(environment: tuple[str | None, ...]) -> list[tuple[re.Pattern[str], str]]:
    """Return the patterns that `portable` replaces, in order, with their replacements."""
    del environment
    found = [(re.compile(_BEFORE + re.escape(home) + _AFTER), HOME) for home in _homes()]
    user = _user()
    if user not in ("", _ROOT):
        found.append((re.compile(f"(?<=/){re.escape(user)}{_AFTER}"), USER))
    return found


def _homes() -> list[str]:
    """Return the home directory as in the environment, and without links; nothing if there is none."""
    named = os.path.expanduser(HOME)  # noqa: PTH111 - pathlib raises if there is no home
    if not named.startswith("/"):
        return []
    homes = dict.fromkeys((named.rstrip("/"), os.path.realpath(named)))
    return [home for home in homes if home not in ("", "/")]


def _user() -> str:
    """Return the user's name; empty if there is none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a number without a name, as in containers
        return ""

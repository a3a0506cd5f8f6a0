"""Paths as they are stored: without the user's name, and found by the same user.

Caches, runs and pages are passed on. A path in them holds ``~`` for the home directory of the user who made
them, and ``$USER`` for a directory that is named like that user, such as ``/scratch/$USER/DFEW``. Both are
replaced back for whoever opens the cache: for the same user they name the same place, for another user their
own, which may not exist; every command that opens such a path has an option to give another one.
"""

import getpass
import os
import re
from functools import lru_cache
from typing import Any

HOME, USER = "~", "$USER"
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_ROOT = "root"
"""A user's name that identifies nobody."""

_BEFORE, _AFTER = r"(?<![\w.~$/-])", r"(?![^/\s'\"`:;,)\]])"
"""Around a path in a text: no part of a longer path before it, no part of a longer name after it."""


def portable(text: str) -> str:
    """Return a text, such as a path or a message, in which no path names the user or the home directory.

    An address, such as ``s3://bucket/prefix``, stays as it is.
    """
    if "/" not in text or _ADDRESS.match(text):
        return text
    for pattern, replacement in _replacements(_environment()):
        text = pattern.sub(replacement, text)
    return text


def portable_values(value: Any) -> Any:
    """Return plain JSON values with `portable` applied to every text among them; keys stay as they are."""
    if isinstance(value, str):
        return portable(value)
    if isinstance(value, dict):
        return {key: portable_values(inner) for key, inner in value.items()}
    return [portable_values(inner) for inner in value] if isinstance(value, list | tuple) else value


def located(path: str) -> str:
    """Return a path that `portable` has made, for this user; another path is returned as it is."""
    if _ADDRESS.match(path):
        return path
    parts = path.split("/")
    if USER in parts and (user := _user()):
        parts = [user if part == USER else part for part in parts]
    if parts[0] == HOME and (homes := _homes()):
        parts[0] = homes[0]
    return "/".join(parts)


def _environment() -> tuple[str | None, ...]:
    """The variables on which the home directory and the user's name depend."""
    return tuple(os.environ.get(name) for name in ("HOME", "LOGNAME", "USER", "LNAME", "USERNAME"))


@lru_cache(maxsize=4)
def _replacements(environment: tuple[str | None, ...]) -> list[tuple[re.Pattern[str], str]]:
    """What `portable` replaces, in order."""
    del environment
    found = [(re.compile(_BEFORE + re.escape(home) + _AFTER), HOME) for home in _homes()]
    user = _user()
    if user not in ("", _ROOT):
        found.append((re.compile(f"(?<=/){re.escape(user)}{_AFTER}"), USER))
    return found


def _homes() -> list[str]:
    """The home directory as the environment names it, and without links; none where there is no home."""
    named = os.path.expanduser(HOME)  # noqa: PTH111 - pathlib raises where there is no home
    if not named.startswith("/"):
        return []
    homes = dict.fromkeys((named.rstrip("/"), os.path.realpath(named)))
    return [home for home in homes if home not in ("", "/")]


def _user() -> str:
    """The user's name; empty where there is none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a number without a name, as in containers
        return ""

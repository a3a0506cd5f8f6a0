r"""Paths of a manifest, as any system writes them, found in the manifest's directory.

A path is taken as written if something is there. Else it is read with ``/`` for ``\``, without the part
that leads to the directory (``C:\data\clips\``), and in another Unicode form or case, if exactly one file
fits. Nothing outside the directory is examined.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from heapq import nsmallest
from pathlib import PurePosixPath
from typing import NamedTuple

from pipeline.datasets.limits import Folder
from pipeline.datasets.names import fits_one_line, folded
from pipeline.datasets.rows import Row
from pipeline.errors import counted, printable, some

PATH_COLUMNS = ("path", "boxes", "faces")
_ABSOLUTE = re.compile(r"[A-Za-z]:[\\/]|[\\/]")
"""How an absolute path starts: with a drive, a backslash (of a drive, or two of a server) or a '/'."""

_UP = re.compile(r"(^|[\\/])\.\.([\\/]|$)")
_UNTIDY = re.compile(r"(^|/)\.?(/|$)")
"""Empty parts, parts of one dot, and a '/' at the end, which `PurePosixPath` removes."""

_ALLOWED = "a path inside the manifest's directory, without '..'"
_LONGEST = 4095
"""Characters of a path. Linux opens no path of more bytes."""

_SAMPLE = 100
"""Number of absolute paths that determine the directory that they start from."""


_SHOWN = 3
"""Paths that a note names."""

_Walked = tuple[str, frozenset[str]]
"""Existing path, and how it differs from the text, in words."""

_TOP: _Walked = "", frozenset()
"""The manifest's directory."""


class Found(NamedTuple):
    """Path in the manifest's directory.

    Attributes:
        path: Path that exists, or the path as written if nothing is there.
        given: Path as written, made relative and with '/' between its parts.
        changes: Changes of the text, in words.
        is_there: Whether anything is at the path.
    """

    path: str
    given: str
    changes: tuple[str, ...] = ()
    is_there: bool = True


class ManifestPaths:
    """Paths of a manifest, each found once.

    Args:
        folder: The manifest's directory.
        rows: Its rows. All absolute paths of a column have to start from one directory.
    """

    def __init__(self, folder: Folder, rows: Iterable[Row]) -> None:
        self.folder = folder
        self._found: dict[str, dict[str, Found]] = {column: {} for column in PATH_COLUMNS}
        self._walked: dict[str, _Walked | None] = {"": _TOP}
        self._listings: dict[str, tuple[dict[str, list[str]], dict[str, list[str]]]] = {}
        foreign: dict[str, set[str]] = {column: set() for column in PATH_COLUMNS}
        for row in rows:
            for column, texts in foreign.items():
                text = row.get(column)
                if len(text) <= _LONGEST and _ABSOLUTE.match(text) and self._is_foreign(text):
                    texts.add(text)
        self._starts = {c: self._common_starts(sorted(texts)[:_SAMPLE]) for c, texts in foreign.items()}

    def find(self, row: Row, column: str) -> Found:
        """Find the path in a cell. Raises DatasetError for a path outside the directory."""
        text, known = row.get(column), self._found[column]
        found = known.get(text)
        if found is None:
            found = known[text] = self._find(row, column, text)
        return found

    def notes(self) -> tuple[str, ...]:
        """Return notes on paths that were read in another form, and on paths where nothing is."""
        changes: dict[str, list[str]] = defaultdict(list)
        all_found = [one for of_column in self._found.values() for one in of_column.items()]
        for text, found in all_found:
            for change in found.changes:
                changes[change].append(text)
        notes = [
            f"{counted(len(texts), 'path')} read {change}: {_quoted(texts)}"
            for change, texts in sorted(changes.items())
        ]
        missing = [text for text, found in all_found if not found.is_there]
        if missing:
            root = printable(str(self.folder.root))
            notes.append(
                f"nothing is at {len(missing)} of {counted(len(all_found), 'path')} ({_quoted(missing)}); "
                f"tried in '{root}': as written, with '/' for '\\', in another case and Unicode form where "
                "one name fits"
            )
        return tuple(notes)

    def _find(self, row: Row, column: str, text: str) -> Found:
        if not text or "\0" in text or (".." in text and _UP.search(text)):
            raise row.wrong(column, _ALLOWED)
        if len(text) > _LONGEST:
            raise row.wrong(column, f"{_ALLOWED}, of at most {_LONGEST} characters; it has {len(text)}")
        plain = PurePosixPath(text).as_posix() if _UNTIDY.search(text) else text
        is_there, elsewhere = (False, None) if plain.startswith("/") else self.folder.find(plain)
        if is_there:
            found = Found(plain, text)
        elif plain == text and "\\" not in text and not _ABSOLUTE.match(text):
            found = self._nearest(text, text, ())
        else:
            found = self._other_form(row, column, text)
        if found.path != plain:
            elsewhere = self.folder.way_out(found.path)
        if elsewhere is not None:
            link = f"but this is a link to '{printable(elsewhere)}'"
            allowed = f"a file inside the manifest's directory, {link}"
            raise row.wrong(column, f"{allowed}; move the manifest to a directory that holds both")
        return found

    def _other_form(self, row: Row, column: str, text: str) -> Found:
        """Find a path that does not exist as it is written."""
        changes = []
        path = _slashed(text)
        if "\\" in text:
            changes.append("with '/' for '\\'")
        if (relative := self.folder.relative(path)) is not None:
            path = relative
            changes.append("relative to the manifest's directory")
        elif self._is_foreign(text):
            start, path = self._without_start(row, column, text)
            changes.append(f"without the '{start}' of another place")
        given = path if changes else text
        if self.folder.holds(path):
            return Found(path, given, tuple(changes))
        return self._nearest(path, given, tuple(changes))

    def _nearest(self, path: str, given: str, changes: tuple[str, ...]) -> Found:
        """Find a path at which nothing is in another Unicode form or case."""
        walked = None if path.startswith("/") else self._walk(path)
        if walked is None:
            return Found(path, given, changes, is_there=False)
        there, more = walked
        return Found(there, given, (*changes, " and ".join(sorted(more))) if more else changes)

    def _is_foreign(self, text: str) -> bool:
        """Return whether a path is absolute, on any system, and its text is not inside the directory."""
        return _ABSOLUTE.match(text) is not None and self.folder.relative(_slashed(text)) is None

    def _common_starts(self, texts: list[str]) -> set[str]:
        """Return the leading parts after which the rest of every path exists in the directory."""
        common: set[str] | None = None
        for text in texts:
            parts = _parts(text)
            starts = {_start(parts, n) for n in range(1, len(parts)) if self._holds("/".join(parts[n:]))}
            if starts:
                common = starts if common is None else common & starts
        return common or set()

    def _without_start(self, row: Row, column: str, text: str) -> tuple[str, str]:
        """Split an absolute path of another system into its start and the rest. Raises DatasetError."""
        parts = _parts(text)
        starts = self._starts[column]
        fits = [n for n in range(1, len(parts)) if _start(parts, n) in starts]
        if len(fits) == 1:
            return "/".join(parts[: fits[0]]) or "/", "/".join(parts[fits[0] :])
        if fits:
            both = " and ".join(f"'{'/'.join(parts[n:])}'" for n in fits)
            raise row.wrong(column, f"{_ALLOWED}; {both} are there, so write it relative to the directory")
        ends = f"another start than those of the list ({some(sorted(starts))})" if starts else ""
        raise row.wrong(column, f"{_ALLOWED}; {ends or 'the ends of this path were tried, none is there'}")

    def _holds(self, path: str) -> bool:
        """Return whether something is at a path, if needed in another Unicode form or case."""
        return all(map(self.folder.holds, _beginnings(path))) or self._walk(path) is not None

    def _walk(self, path: str) -> "_Walked | None":
        """Return the existing path that differs only in form or case, and the changes; None without one."""
        parent, _, part = path.rpartition("/")
        walked = self._walked.get(parent)
        if walked is None:
            walked = _TOP
            for here in _beginnings(parent):
                if here not in self._walked:
                    self._walked[here] = self._step(walked, here.rpartition("/")[2])
                walked = self._walked[here]
                if walked is None:
                    return None
        return self._step(walked, part)

    def _step(self, walked: "_Walked", part: str) -> "_Walked | None":
        """Return the path, found as in `_walk`, of a name in a directory that exists."""
        here, changes = walked
        by_form, by_look = self._listing(here)
        same = by_form.get(unicodedata.normalize("NFC", part), [])
        if part in same:
            name = part
        elif len(same) == 1:
            name = same[0]
            changes |= {"in another Unicode form"}
        elif len(same := by_look.get(folded(part), [])) == 1:
            name = same[0]
            changes |= {"in another case or with invisible characters"}
        else:
            return None
        return f"{here}/{name}" if here else name, changes

    def _listing(self, path: str) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
        """Return the names in a directory by their composed form, and by their visible characters."""
        if path not in self._listings:
            by_form: dict[str, list[str]] = defaultdict(list)
            by_look: dict[str, list[str]] = defaultdict(list)
            for name in self.folder.names(path):
                if fits_one_line(name):
                    by_form[unicodedata.normalize("NFC", name)].append(name)
                    by_look[folded(name)].append(name)
            self._listings[path] = dict(by_form), dict(by_look)
        return self._listings[path]


def _slashed(text: str) -> str:
    """Return the path with '/' between its parts, without empty parts and '.'."""
    path = text.replace("\\", "/")
    return PurePosixPath(path).as_posix() if _UNTIDY.search(path) else path


def _parts(text: str) -> list[str]:
    """Return the parts of an absolute path. The first is the drive, or empty before the first '/'."""
    first, *others = _slashed(text).split("/")
    return [first, *(part for part in others if part)]


def _beginnings(path: str) -> Iterator[str]:
    """Yield the first part of a path with '/' between its parts, the first two, and so on; none if empty."""
    end = path.find("/")
    while end >= 0:
        yield path[:end]
        end = path.find("/", end + 1)
    if path:
        yield path


def _start(parts: list[str], number: int) -> str:
    """Return the first parts as one text, in lower case if it begins with a drive."""
    start = "/".join(parts[:number])
    return start.lower() if parts[0] else start


def _quoted(texts: list[str]) -> str:
    return some([f"'{printable(text)}'" for text in nsmallest(_SHOWN, texts)], _SHOWN, total=len(texts))

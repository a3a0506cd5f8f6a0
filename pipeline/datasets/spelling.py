"""Spellings of the names of classes and folds, and texts that cannot be a name.

Two texts mean one name if they differ only in case, blanks, Unicode form (NFKC) or invisible characters,
or if the field uses both for one emotion ("Happy", "joy": happiness). Decision 0009 explains which
spelling becomes the name.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from pipeline.datasets.emotions import class_of
from pipeline.datasets.names import folded, is_invisible
from pipeline.datasets.near_names import near_names
from pipeline.errors import some

_SHOWN = 10
"""Names that a note shows in full."""

_NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)(e[+-]?\d+)?")
_MISSING = frozenset(
    ("nan", "none", "null", "nil", "na", "n/a", "<na>", "nat", "undefined", "-", ".", "?",
     "#n/a", "#ref!", "#value!", "#name?", "#null!", "#div/0!", "#num!")
)  # fmt: skip
"""Texts for a missing value in pandas, R, SPSS, Python, JavaScript, databases and spreadsheets."""

_OTHER_VALUES = frozenset(("true", "false", "inf", "-inf", "infinity", "-infinity"))

_WHOLE = re.compile(r"(\d+)(?:[.,]0*)?")

_FOLD = re.compile(r"(?:fold|set|split)[ _.-]*(\d+)")
"""A fold by its number with a word before it, case folded."""

_LATIN = str.maketrans(
    "\u0430\u0435\u0456\u0458\u043e\u0440\u0441\u0443\u0445\u0455\u04bb\u0501\u051b\u051d"  # Cyrillic
    "\u0432\u043a\u043c\u043d\u0442"  # Cyrillic, whose capitals look like B, K, M, H, T
    "\u03b1\u03b5\u03b9\u03ba\u03bd\u03bf\u03c1\u03c4\u03c5\u03c7"  # Greek
    "\u0131\u2019",  # dotless i, apostrophe
    "aeijopcyxshdqwbkmhtaeikvoptyxi'",
    " _-\u2010\u2012\u2013\u2014\u2212",  # separators of words
)
"""Characters, case folded, that look like another one (a part of the confusables of Unicode, UTS 39)."""


@dataclass(frozen=True, kw_only=True)
class Spelling:
    """Names of a list. name_of: text as written -> name, empty for an empty text. notes: for the user."""

    name_of: Mapping[str, str]
    notes: tuple[str, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Each name once, sorted."""
        return tuple(sorted(set(self.name_of.values()) - {""}))


def meaning_of(text: str) -> str:
    """Return the common form of all spellings of a name: the emotion's name, else the text in lower case."""
    return class_of(text) or folded(text)


def fold_meaning_of(text: str) -> str:
    """Return the common form of all spellings of a fold's name: 1, 01, 1.0, fold1 and Set_1 are one fold.

    Only the number counts if the name is a number, or a number after the word fold, set or split.
    """
    plain = folded(text)
    whole = _WHOLE.fullmatch(plain) or _FOLD.fullmatch(plain)
    return (whole[1].lstrip("0") or "0") if whole else plain


def one_spelling(
    texts: Iterable[str] | Mapping[str, int], kind: str = "class", meaning: Callable[[str], str] = meaning_of
) -> Spelling:
    """Choose one spelling for every name of a list, independently of the order of the list.

    Args:
        texts: The names as written, one per clip or row, or the number of rows by name; empty ones stay
            empty.
        kind: ``class``, ``fold`` or ``group``, for the notes.
        meaning: Returns one text for all spellings of a name, and an empty text for no name.

    Returns:
        The name for each text. A single spelling stays as written. Of several spellings, those without
        invisible characters come first, then the most frequent, then the one that equals its meaning (the
        field's name of an emotion, else lower case), then the first by code points. Notes list merged
        spellings, names with invisible characters, names that look alike, and class names that are probably
        misspelt.
    """
    counts = Counter(texts)
    spellings: dict[str, list[str]] = defaultdict(list)
    for text in counts:
        spellings[meaning(text)].append(text)
    name_of = dict.fromkeys(spellings.pop("", []), "")
    joined = []
    for same in spellings.values():
        if same[1:]:
            same.sort(key=lambda text: (not _is_clean(text), -counts[text], meaning(text) != text, text))
        name_of.update(dict.fromkeys(same, same[0]))
        if same[1:]:
            joined.append(f"{some([shown(text) for text in same[1:]], _SHOWN)} as {shown(same[0])}")
    names = tuple(sorted(set(name_of.values()) - {""}))
    hidden = [shown(name) for name in names if not _is_plain(name) and any(map(_is_hidden, name))]
    notes = [f"spellings of one {kind} are read as one: {some(sorted(joined), _SHOWN)}"] if joined else []
    notes += [f"{kind} names with invisible characters: {some(hidden, _SHOWN)}"] if hidden else []
    alike = _look_alikes(names, kind, meaning)
    notes += [f"names that look alike and differ: {some(list(alike.values()), _SHOWN)}"] if alike else []
    noted = {name for same in alike for name in same}
    pairs = [pair for pair in near_names(names) if pair[0] not in noted] if kind == "class" else []
    if near := [f"{shown(name)} is near {shown(other)}" for name, other in pairs]:
        own = "each a class of its own" if near[1:] else "a class of its own"
        notes.append(f"{some(near, _SHOWN)}: {own}; correct the names if they are one")
    return Spelling(name_of=name_of, notes=tuple(notes))


def why_no_name(text: str) -> str | None:
    """Return the allowed names and why a text is none of them; None for a text that can name a class."""
    plain = folded(text)
    if _NUMBER.fullmatch(plain):
        return "a class name, because numbers mean other classes in other datasets"
    if is_no_value(text):
        return (
            "a class name; for a clip without a label leave it empty, because programs write this for a "
            "missing value"
        )
    if plain in _OTHER_VALUES:
        return "a class name, because this is a value of a program"
    return None


def is_no_value(text: str) -> bool:
    """Return whether a text is a program's text for a missing value (nan, NULL, N/A)."""
    return folded(text) in _MISSING


def whole_number(text: str) -> str:
    """Return ``1`` for ``1.0``, which tables with a column of floats hold; any other text unchanged."""
    whole = _WHOLE.fullmatch(text.strip())
    return whole[1] if whole else text


def shown(text: str) -> str:
    """Return the text in quotes, with code points for invisible characters."""
    if unicodedata.is_normalized("NFC", text):
        return "'" + "".join(f"<U+{ord(c):04X}>" if _is_hidden(c) else c for c in text) + "'"
    return "'" + "".join(c if c.isascii() else f"<U+{ord(c):04X}>" for c in text) + "'"


def _is_plain(text: str) -> bool:
    """Return whether a text has only characters of ASCII that print, none of which is hidden."""
    return text.isascii() and text.isprintable()


def _is_hidden(character: str) -> bool:
    """Return whether a character is invisible, or looks like a plain blank."""
    return is_invisible(character) or (character.isspace() and character != " ")


def _is_clean(text: str) -> bool:
    is_plain = text == " ".join(text.split(" ")).strip() and not any(map(_is_hidden, text))
    return is_plain and unicodedata.is_normalized("NFC", text)


def _look_alikes(
    names: tuple[str, ...], kind: str, meaning: Callable[[str], str]
) -> dict[tuple[str, ...], str]:
    """Return texts on names that look alike, or look like an emotion and are none, by these names."""
    looks: dict[str, list[str]] = defaultdict(list)
    for name in names:
        looks[meaning(folded(name).translate(_LATIN))].append(name)
    found = {}
    for look, same in looks.items():
        if same[1:]:
            found[tuple(same)] = f"{' and '.join(map(_by_code_point, same))} are {len(same)} {kind} names"
        elif class_of(look) and meaning(same[0]) != look:
            found[tuple(same)] = f"{_by_code_point(same[0])} is not '{look}'"
    return found


def _by_code_point(name: str) -> str:
    foreign = dict.fromkeys(c for c in name if not c.isascii())
    if not foreign:
        return shown(name)
    points = [f"U+{ord(c):04X} {unicodedata.name(c, 'unnamed')}" for c in foreign]
    return f"{shown(name)} (with {some(points)})"

"""Class names that are probably misspelt: near an emotion's name, or near another class of the list.

Such names are reported, never merged. Only the user knows whether "happines" and "happiness" are one class.
"""

import re
import string
from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from os.path import commonprefix

from pipeline.datasets.emotions import SPELLINGS, class_of
from pipeline.datasets.names import folded

_COPY = re.compile(r"\s*\(\d+\)$|[\s_-]+(copy|kopie|copie|copia)(\s*\(?\d+\)?)?$|^(copy of|kopie von)\s+")
"""Texts that Windows, macOS and Linux add to the name of a copy, in English, German, French and Spanish."""

_WORDS = re.compile(r"[^\W_]+")
_DIGITS = re.compile(r"\d+")

_SHORTEST_EMOTION = 4
"""Fewest letters of the longer word for a comparison with an emotion: "sadd" is near "sad", "sat" is not."""

_SHORTEST_OTHER = 6
"""The same for other classes, because shorter words differ in one letter by chance (calm, call)."""

_SHORTEST_OF_TWO_EDITS = 9
"""Fewest letters of the longer word for two typing errors: "content" and "contempt" (8) are two emotions.

Two errors are allowed for emotions only: "admiration" and "adoration" are two classes of some lists."""


def near_names(names: Sequence[str]) -> list[tuple[str, str]]:
    """Return pairs of similar names, as (class name, the name that it is near).

    names: the class names of a list, each once. An emotion in a usual spelling is near no other name.
    """
    others = [name for name in names if class_of(name) is None]
    found = {name: near for name in others if (near := _near_emotion(name))}
    words_of = {name: _WORDS.findall(_bare(name)) for name in others if name not in found}
    groups: dict[tuple[int, str, tuple[str, ...]], list[str]] = defaultdict(list)
    for name, words in words_of.items():
        if words:
            groups[len(words), words[0][0], tuple(_DIGITS.findall(_bare(name)))].append(name)
    for group in groups.values():
        for first, second in combinations(
            sorted(group, key=lambda name: (_bare(name) != folded(name), name)), 2
        ):
            if second not in found and _are_near_words(words_of[first], words_of[second], first, second):
                found[second] = first
    return sorted(found.items())


def _bare(name: str) -> str:
    """Return the name without marks of a copy, and without punctuation at its ends."""
    plain, before = folded(name), ""
    while plain != before:
        before, plain = plain, _COPY.sub("", plain).strip(string.punctuation + " ")
    return plain


def _near_emotion(name: str) -> str:
    """Return the spelling of an emotion that the name is near; empty if there is none."""
    bare = _bare(name)
    if class_of(bare) is not None:
        return bare
    return next((word for word in SPELLINGS if _is_slip(bare, word, _SHORTEST_EMOTION)), "")


def _are_near_words(words: Sequence[str], others: Sequence[str], first: str, second: str) -> bool:
    """Return whether names differ in marks of copies, or in words that may be typing errors."""
    different = [(a, b) for a, b in zip(words, others, strict=True) if a != b]
    if not different:  # "not angry" and "not_angry" look alike, which `spelling` reports
        return bool(_bare(first) != folded(first) or _bare(second) != folded(second))
    return all(_is_slip(a, b, _SHORTEST_OTHER) for a, b in different)


def _is_slip(word: str, other: str, shortest: int) -> bool:
    """Return whether one word may be the other with a typing error.

    Errors are rare in the first letter (Pollock and Zamora 1984, doi 10.1145/358027.358048), and other first
    letters make other words: fearful and tearful, happy and unhappy. Different digits and longer endings
    (bored, boredom) are not errors.
    """
    short, long = sorted((word, other), key=len)
    if len(long) < shortest or len(long) - len(short) > 2 or short[:1] != long[:1]:
        return False
    most = 2 if shortest == _SHORTEST_EMOTION and len(long) >= _SHORTEST_OF_TWO_EDITS else 1
    if long.startswith(short) and len(long) - len(short) > 1:
        return False
    same = len(commonprefix((short, long)))
    if most == 1 and short[same + 2 :] != long[len(long) - len(short) + same + 2 :]:
        return False  # one edit changes at most two letters; this test is fast for a thousand classes
    return _edits(short, long) <= most and _DIGITS.findall(short) == _DIGITS.findall(long)


def _edits(word: str, other: str) -> int:
    """Return the edit distance: insertions, deletions, substitutions and transpositions of neighbours.

    Optimal string alignment.
    """
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(word):
        above = row
        row = [i + 1]
        for j, wanted in enumerate(other):
            best = min(above[j] + (letter != wanted), above[j + 1] + 1, row[j] + 1)
            if i and j and letter == other[j - 1] and word[i - 1] == wanted:
                best = min(best, before[j - 1] + 1)
            row.append(best)
        before = above
    return row[-1]

"""Texts that name a clip, a class or a file: tests for control characters, and one form for comparison."""

import re
import unicodedata
from collections.abc import Sequence

from pipeline.errors import counted, some

_UNFIT = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")


def fits_one_line(text: str) -> bool:
    """Return whether a text has no control characters, line ends or bytes that were not UTF-8."""
    return _UNFIT.search(text) is None


def folded(text: str) -> str:
    """Return the text in lower case and one Unicode form (NFKC), without invisible characters."""
    if not text.isascii():
        text = "".join(c for c in unicodedata.normalize("NFKC", text) if not is_invisible(c))
        text = unicodedata.normalize("NFKC", text.casefold()).replace(
            "i\u0307", "i"
        )  # of the Turkish capital
    return " ".join(text.lower().split())


def is_invisible(character: str) -> bool:
    """Return whether a character has no width: byte order mark, soft hyphen, direction or variation mark."""
    return unicodedata.category(character) == "Cf" or "\ufe00" <= character <= "\ufe0f"


def ignored_note(names: Sequence[str], thing: str, things: str) -> str:
    """Return the note on files among the clips whose names are not those of clips.

    Args:
        names: Their printable paths, at least one.
        thing: Noun for one of them.
        things: Its plural.
    """
    why = "is ignored, because its name is not that of a clip"
    if len(names) > 1:
        why = "are ignored, because their names are not those of clips"
    return f"{counted(len(names), thing, things)} among the clips {why}: {some(names)}"

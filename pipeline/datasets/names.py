"""Texts that name a clip, a class or a file: which fit on one line of a report, and which are one text."""

import re
import unicodedata

_UNFIT = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")


def fits_one_line(text: str) -> bool:
    """False where there are control characters, line ends, or bytes that were no UTF-8."""
    return _UNFIT.search(text) is None


def folded(text: str) -> str:
    """Return the text in lower case and one Unicode form (NFKC), without what no reader sees."""
    if not text.isascii():
        text = "".join(c for c in unicodedata.normalize("NFKC", text) if not is_invisible(c))
        text = unicodedata.normalize("NFKC", text.casefold()).replace(
            "i\u0307", "i"
        )  # of the Turkish capital
    return " ".join(text.lower().split())


def is_invisible(character: str) -> bool:
    """Whether a character takes no place: zero width, byte order mark, soft hyphen, direction, variation."""
    return unicodedata.category(character) == "Cf" or "\ufe00" <= character <= "\ufe0f"

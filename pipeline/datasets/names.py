"""Which texts can name a clip, a class or a file: those that fit on one line of any report."""

import re

_UNFIT = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")


def fits_one_line(text: str) -> bool:
    """False where there are control characters, line ends, or bytes that were no UTF-8."""
    return _UNFIT.search(text) is None


def on_one_line(text: str) -> str:
    """The text, each character that does not fit replaced by a question mark."""
    return _UNFIT.sub("?", text)

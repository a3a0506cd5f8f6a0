"""Warnings of runs -> lines above a page, labels of a table's rows."""

from collections import Counter
from collections.abc import Iterable, Sequence

_MARKED = ("test", "train")


def counted_banners(warnings: Sequence[Iterable[str]]) -> tuple[str, ...]:
    """Return each warning once, with its number of runs unless all have it.

    `warnings` are those of each run.
    """
    counts = Counter(banner for banners in warnings for banner in dict.fromkeys(banners))
    num_runs = len(warnings)
    return tuple(
        banner if count == num_runs else f"{banner} ({count} of {num_runs} runs)"
        for banner, count in counts.items()
    )


def label_text(name: str, selections: Iterable[str], *, has_leak: bool, is_unfinished: bool = False) -> str:
    """Return the name of a row, with marks for numbers that need care.

    Args:
        name: Name of the row.
        selections: Rules that chose the checkpoints; ``test`` and ``train`` are marked.
        has_leak: Whether training saw footage of the test clips.
        is_unfinished: Whether clips had no features yet.
    """
    named = [rule for rule in dict.fromkeys(selections) if rule in _MARKED]
    marks = [
        *([f"selected on {' and '.join(named)}"] if named else []),
        *(["LEAK"] if has_leak else []),
        *(["unfinished cache"] if is_unfinished else []),
    ]
    return f"{name} ({', '.join(marks)})" if marks else name

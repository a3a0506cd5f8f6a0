"""What must be known of runs beside their numbers -> lines above a page, labels of a table's rows."""

from collections import Counter
from collections.abc import Iterable, Sequence

_TOLD = ("test", "train")


def counted_banners(said: Sequence[Iterable[str]]) -> tuple[str, ...]:
    """Each warning once, with how many of the runs it is of unless of all. said: each run's warnings."""
    counts = Counter(banner for banners in said for banner in dict.fromkeys(banners))
    num_runs = len(said)
    return tuple(
        banner if count == num_runs else f"{banner} ({count} of {num_runs} runs)"
        for banner, count in counts.items()
    )


def label_text(name: str, selections: Iterable[str], *, has_leak: bool, is_unfinished: bool = False) -> str:
    """The name of a row, with what degrades its numbers.

    selections: the rules that chose its checkpoints; test and training clips are named. has_leak: whether
    footage of its test clips has been seen in training. is_unfinished: whether clips had no features yet.
    """
    named = [rule for rule in dict.fromkeys(selections) if rule in _TOLD]
    marks = [
        *([f"selected on {' and '.join(named)}"] if named else []),
        *(["LEAK"] if has_leak else []),
        *(["unfinished cache"] if is_unfinished else []),
    ]
    return f"{name} ({', '.join(marks)})" if marks else name

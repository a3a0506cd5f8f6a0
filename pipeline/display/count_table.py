"""Table of clips by fold, split and class, in columns of text."""

from collections.abc import Sequence

from pipeline.doctor.split_counts import Count, by_number

WIDTH = 110
"""Width of a report, in characters."""

_MOST_CLASSES = 30
"""With more classes, clips by class are in the JSON document only."""

_HEADS = ("fold", "split", "clips", "published")

_NUM_NAMES = 2
"""Columns of a table with names, not numbers: fold and split."""


def count_lines(counts: Sequence[Count], class_names: Sequence[str]) -> list[str]:
    """Return the counts as a table with whole class names, or as several tables if one is too wide.

    Published counts are below counts that differ from them. Lists whose order of labels is unknown have a
    table of their own, with integers.
    """
    named = [count for count in counts if count.classes is not None]
    lines = _table(named, class_names) if named else []
    open_ = [count for count in counts if count.classes is None]
    if open_:
        labels = list(dict.fromkeys(label for count in open_ for label in count.labels))
        labels.sort(key=lambda label: by_number((label, 0)))
        lines += ["", "labels as written, because their order is not known:"][not lines :]
        lines += _table(open_, labels)
    return lines


def _table(counts: Sequence[Count], names: Sequence[str]) -> list[str]:
    """Return a table, or several with some of the names each if one is too wide."""
    names = names if len(names) <= _MOST_CLASSES else ()
    is_published = any(count.published is not None for count in counts)
    rows = [[*_HEADS[: len(_HEADS) if is_published else -1], *names]]
    for count in counts:
        first = [count.fold, count.split.name.lower(), str(count.num_clips)]
        if is_published:
            first.append("-" if count.published is None else str(count.published))
        cells = [count.labels.get(name, 0) for name in names] if count.classes is None else count.classes
        rows.append([*first, *map(str, cells[: len(names)])])
        if count.classes is not None and count.published_classes not in (None, count.classes):
            rows.append(["", "", "", "classes:", *map(str, count.published_classes or ())])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    parts = _parts(widths, len(rows[0]) - len(names))
    return [
        line
        for part in parts
        for line in (*([""] if part is not parts[0] else []), *_lines(rows, widths, part))
    ]


def _parts(widths: Sequence[int], num_first: int) -> list[list[int]]:
    """Return the columns of each table: the first ones, and an equal part of the others, in few tables."""
    first, others = list(range(num_first)), list(range(num_first, len(widths)))
    for size in range(len(others), 0, -1):
        parts = [[*first, *others[start : start + size]] for start in range(0, len(others), size)]
        is_even = len(parts) == 1 or size == -(-len(others) // len(parts))
        if is_even and all(sum(widths[one] + 2 for one in part) - 2 <= WIDTH for part in parts):
            return parts
    return [[*first, one] for one in others] or [first]


def _lines(rows: Sequence[Sequence[str]], widths: Sequence[int], columns: Sequence[int]) -> list[str]:
    return [
        "  ".join(
            row[one].ljust(widths[one]) if one < _NUM_NAMES else row[one].rjust(widths[one])
            for one in columns
        ).rstrip()
        for row in rows
    ]

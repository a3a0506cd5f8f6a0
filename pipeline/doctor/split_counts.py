"""Numbers of clips by fold, split and class."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.doctor.counts import class_counts, num_clips, published_classes
from pipeline.doctor.inputs import Inputs
from pipeline.types import Split


@dataclass(frozen=True, kw_only=True)
class Count:
    """Number of clips of a split of a fold, in all, by class, and as published. None if it is not known.

    labels: clips by label as written, for lists of integers of unknown order, whose `classes` are None.
    """

    fold: str
    split: Split
    num_clips: int
    classes: tuple[int, ...] | None
    published: int | None
    published_classes: tuple[int, ...] | None
    labels: Mapping[str, int] = field(default_factory=dict)


def count_clips(inputs: Inputs) -> tuple[Count, ...]:
    """Return one count for each split of each fold that has a list."""
    published = inputs.published
    rows = []
    for (fold, split), lists in sorted(inputs.lists_by_split.items()):
        known = None if published is None else published.splits.get(fold)
        place = {Split.TRAIN: 0, Split.TEST: 1}.get(split)
        classes = None if published is None else published_classes(published, fold, split)
        is_open = any(each.is_open for each in lists)
        written = {entry.clip_id or entry.written: entry.label for each in lists for entry in each.entries}
        rows.append(
            Count(
                fold=fold,
                split=split,
                num_clips=num_clips(lists),
                classes=None if is_open else tuple(class_counts(lists, inputs.class_names)),
                published=None if known is None or place is None else known[place],
                published_classes=None if classes is None else tuple(classes),
                labels=dict(sorted(Counter(written.values()).items(), key=by_number)) if is_open else {},
            )
        )
    return tuple(rows)


def by_number(item: tuple[str, int]) -> tuple[int, str]:
    """Return the sort key of a label and its count, which puts numbers in their order before names."""
    label = item[0]
    return (int(label) if label.isdecimal() and len(label) < 10 else 10**9, label)

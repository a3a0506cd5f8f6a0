"""Comparison of the counts of lists with the published counts, in every label order."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import permutations

from pipeline.datasets.label_counts import CLOSE
from pipeline.datasets.official_counts import Published
from pipeline.datasets.official_reader import ClipList
from pipeline.doctor.finding import Finding
from pipeline.doctor.inputs import SPLITS, Inputs, quoted
from pipeline.errors import counted
from pipeline.types import Split


def check_counts(inputs: Inputs) -> Iterator[Finding]:
    """Compare every list's clips with the published counts, by split and by class; one finding per kind."""
    published = inputs.published
    if published is None:
        return
    yield from _check_presence(inputs, published)
    found: dict[tuple[str, str], list[str]] = {}
    for fold in published.fold_names:
        for place, split in enumerate(SPLITS):
            lists = inputs.lists_by_split.get((fold, split), ())
            if lists and fold in published.splits:
                where = quoted(" and ".join(map(inputs.where, lists)))
                for kind, what, detail in _check_list(lists, published, published.splits[fold][place]):
                    found.setdefault((kind, what), []).append(where + detail)
    for (kind, what), cases in found.items():
        yield Finding(kind=kind, what=f"{counted(len(cases), 'list')} {what}", cases=tuple(cases))


def num_clips(lists: Sequence[ClipList]) -> int:
    """Return the number of different clips in lists. A line that names no clip counts by its text."""
    return len({entry.clip_id or entry.written for each in lists for entry in each.entries})


def class_counts(lists: Sequence[ClipList], class_names: Sequence[str]) -> list[int]:
    """Return the number of different clips of each class, in the order of `class_names`."""
    found = Counter(
        {
            entry.clip_id or entry.written: entry.class_name for each in lists for entry in each.entries
        }.values()
    )
    return [found[name] for name in class_names]


def published_classes(published: Published, fold: str, split: Split) -> list[int] | None:
    """Return the published numbers of clips of each class.

    Args:
        published: Published facts of the dataset.
        fold: Name of the fold.
        split: Split of the fold.

    Returns:
        One number per class, in the order of `published.class_names`; None if they are not known.
    """
    known = published.classes.get((fold, split.name.lower()))
    return None if known is None else list(known)


def _check_presence(inputs: Inputs, published: Published) -> Iterator[Finding]:
    if not inputs.lists:
        return
    there = {
        fold: [split for split in SPLITS if (fold, split) in inputs.lists_by_split]
        for fold in published.fold_names
    }
    half = [
        f"fold {fold} ({SPLITS[found[0] == SPLITS[0]].name.lower()})"
        for fold, found in there.items()
        if len(found) == 1
    ]
    none = [fold for fold, found in there.items() if not found]
    if half:
        yield Finding(
            kind="list-missing",
            what=f"{counted(len(half), 'fold')} with a list for one split only; missing",
            cases=tuple(half),
        )
    if none:
        what = f"{len(none)} of {counted(len(there), 'fold')} without lists"
        yield Finding(kind="fold-missing", what=what, cases=tuple(f"fold {fold}" for fold in none))


def _check_list(
    lists: Sequence[ClipList], published: Published, expected: int
) -> Iterator[tuple[str, str, str]]:
    """Yield findings on the lists of one split as (kind, text for all such lists, details of these)."""
    found = num_clips(lists)
    classes = published_classes(published, lists[0].fold, lists[0].split)
    difference = f" {found} for {expected}"
    if found == expected - 1 and not any(each.has_header for each in lists):
        yield "first-line-lost", "one clip short of the published count, and without a header", difference
    elif found != expected:
        yield "split-count", "with more or fewer clips than published", difference
    if classes is None or _has_doubts(lists):
        return
    mine = class_counts(lists, published.class_names)
    exchanged = None if any(each.order for each in lists) else _exchanged_names(mine, classes, published)
    if exchanged is not None:
        yield "label-order", *exchanged
    elif found == expected and mine != classes:
        yield "class-count", "with other class counts than published", _differences(mine, classes, published)


def _has_doubts(lists: Sequence[ClipList]) -> bool:
    """Return whether labels are unknown or contradict each other, so that counts by class have no meaning."""
    labels: dict[str, str] = {}
    for each in lists:
        for entry in each.entries:
            key = entry.clip_id or entry.written
            if not entry.class_name or labels.setdefault(key, entry.class_name) != entry.class_name:
                return True
    return False


def _exchanged_names(
    mine: Sequence[int], classes: Sequence[int], published: Published
) -> tuple[str, str] | None:
    """Return the label orders by which class names were exchanged, and the difference left, in words.

    Such a list was made from integers in one order with the names of another order. None without such orders.
    """
    by_name = dict(zip(published.class_names, mine, strict=True))
    nearest, best = None, _distance(mine, classes)
    for read_as, meant in permutations(published.orders, 2):
        names = dict(zip(published.orders[meant], published.orders[read_as], strict=True))
        counts = [by_name[names[name]] for name in published.class_names]
        if (away := _distance(counts, classes)) < best:
            nearest, best = (read_as, meant), away
    if nearest is None or best > CLOSE * sum(classes):
        return None
    read_as, meant = nearest
    what = (
        f"of class names that fit the published class counts only if names in the order '{read_as}' are "
        f"replaced by those in the order '{meant}'"
    )
    return what, "" if best == 0 else f" (except for {counted(best, 'clip')})"


def _distance(counts: Sequence[int], classes: Sequence[int]) -> int:
    """Return how many clips would have to change their class, or be added, to turn one count into another."""
    return max(
        sum(max(a - b, 0) for a, b in zip(counts, classes, strict=True)),
        sum(max(b - a, 0) for a, b in zip(counts, classes, strict=True)),
    )


def _differences(mine: Sequence[int], classes: Sequence[int], published: Published) -> str:
    rows = zip(published.class_names, mine, classes, strict=True)
    texts = [f"{name} {found} for {expected}" for name, found, expected in rows if found != expected]
    return f" ({', '.join(texts)})"

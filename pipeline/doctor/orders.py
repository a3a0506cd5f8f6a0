"""Lists whose labels cannot be read as they are: the order that they are most likely in."""

from collections import Counter
from collections.abc import Mapping, Sequence

from pipeline.datasets.emotions import class_of, class_of_folder
from pipeline.datasets.lists import ListFile
from pipeline.datasets.official import ClipList, Entry, OfficialSet
from pipeline.datasets.orders import Order, Placed, orders_of
from pipeline.datasets.published import Published
from pipeline.doctor.kinds import Finding
from pipeline.errors import DatasetError
from pipeline.types import Split

_MOST_DOUBT = 0.1
"""Of a list's clips: more that do not fit, and the order does not."""


def read_in_some_order(
    official: OfficialSet, file: ListFile, fold: str, split: Split, asked: str | None
) -> tuple[ClipList, list[Finding]]:
    """A list with its labels read in the order that fits best, and a finding unless that is beyond doubt.

    asked: the order that the user names.
    """
    published = official.published
    findings: list[Finding] = []
    try:
        placed = [Placed(file=file, fold=fold, split=split)]
        (order,) = orders_of(placed, published, asked, official.owner_header)
    except DatasetError:
        order, findings = _likeliest(file, published, split, asked)
    entries = [
        Entry(
            clip_id=official.clip_id_of(line.clip),
            written=line.clip,
            label=line.label,
            class_name=_named(order.class_name(line.label) if order else class_of(line.label), published),
            line=line.number,
            num_frames=line.num_frames,
        )
        for line in file.lines
    ]
    clip_list = ClipList(
        path=file.path,
        fold=fold,
        split=split,
        kind=file.kind,
        entries=tuple(entries),
        order=order.name if order else "",
        first=order.first if order else 0,
        has_header=bool(file.header),
        has_crlf=file.has_crlf,
    )
    return clip_list, findings


def _named(class_name: str | None, published: Published) -> str:
    return class_name if class_name is not None and class_name in published.class_names else ""


def _likeliest(
    file: ListFile, published: Published, split: Split, asked: str | None
) -> tuple[Order, list[Finding]]:
    """The order that contradicts fewest folder names, or comes nearest to published class counts."""
    orders = [
        Order(name=name, class_names=names, first=first)
        for name, names in published.orders.items()
        for first in (0, 1)
    ]
    known = [dict(zip(published.class_names, counts, strict=True)) for counts in _counts_of(published, split)]
    with_folder = [(line.label, folder) for line in file.lines if (folder := class_of_folder(line.clip))]
    if with_folder:
        misfits = [
            sum(order.class_name(label) != folder for label, folder in with_folder) for order in orders
        ]
        total, told_by = len(with_folder), "the names of the folders"
    else:
        misfits = [
            min((_distance(file, order, counts) for counts in known), default=len(file.lines))
            for order in orders
        ]
        total, told_by = len(file.lines), "the published class counts"
    best = min(range(len(orders)), key=lambda number: misfits[number])
    order, away = orders[best], misfits[best]
    if asked in (None, order.name) and away <= (_MOST_DOUBT * total if with_folder else 0):
        return order, []  # the lines that contradict their folders are findings of their own
    fits = "fits exactly" if away == 0 else f"comes nearest, {away} clips away"
    if away > _MOST_DOUBT * total:
        verdict = f"no known order fits ({', '.join(published.orders)})"
    else:
        verdict = f"order '{order.name}', counted from {order.first}, {fits} by {told_by}"
    wrong = f", not '{asked}'" if asked not in (None, order.name) else ""
    return order, [Finding(kind="label-order", what=f"'{file.path}' holds integers; {verdict}{wrong}")]


def _counts_of(published: Published, split: Split) -> list[Sequence[int]]:
    """What is published of this split's classes, in any fold."""
    return [counts for (_, name), counts in published.classes.items() if name == split.name.lower()]


def _distance(file: ListFile, order: Order, counts: Mapping[str, int]) -> int:
    mine = Counter(order.class_name(line.label) for line in file.lines)
    return sum(abs(mine[name] - counts.get(name, 0)) for name in {*mine, *counts})

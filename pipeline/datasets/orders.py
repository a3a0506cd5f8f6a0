"""What the integers of a list mean: the order of the classes that they count, and from 0 or 1.

The same data circulate with several orders, and a wrong one trains without complaint. So an order is
never assumed: it is named by the user, told by folder names, by class counts, or by the owner's own
form of list; and what folder names or class counts contradict is refused.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.datasets.emotions import class_of_folder
from pipeline.datasets.lists import Line, ListFile
from pipeline.datasets.published import Published
from pipeline.errors import ConfigError, DatasetError, counted
from pipeline.types import Split

_SHOWN = 100
"""Characters of a wrong value that a message shows."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """How a list's integers count. first: the first class's number, 0 or 1. told_by: in words."""

    name: str
    class_names: tuple[str, ...]
    first: int
    told_by: str = ""

    def class_name(self, label: str) -> str:
        """The class that a label means; empty where it means none."""
        place = int(label) - self.first if label.isdecimal() and len(label) < 10 else -1
        return self.class_names[place] if 0 <= place < len(self.class_names) else ""


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A list and what it is a list of."""

    file: ListFile
    fold: str
    split: Split


def orders_of(
    lists: Sequence[Placed], published: Published, asked: str | None, owner_header: tuple[str, ...]
) -> list[Order | None]:
    """By list, the order of its integers; None for a list of names.

    asked: the user's --label-order. owner_header: header of the owner's lists, whose integers count
    the owner's order from 1. Raises ConfigError for an order that is not known, DatasetError where
    nothing tells the order or where what is there contradicts it.
    """
    if asked is not None and asked not in published.orders:
        msg = f"--label-order is '{asked}'; allowed for {published.title}: {', '.join(published.orders)}."
        raise ConfigError(msg)
    by_kind: dict[str, list[Placed]] = {}
    for placed in lists:
        if _has_integers(placed.file):
            by_kind.setdefault(placed.file.kind, []).append(placed)
    found: dict[int, Order] = {}
    for alike in by_kind.values():
        found.update(_orders_of_alike(alike, published, asked, owner_header))
    return [found.get(id(placed)) for placed in lists]


def _has_integers(file: ListFile) -> bool:
    return 2 * sum(line.label.isdecimal() for line in file.lines) > len(file.lines)


def _orders_of_alike(
    lists: list[Placed], published: Published, asked: str | None, owner_header: tuple[str, ...]
) -> dict[int, Order]:
    """Lists of one form: what one does not tell, the others do if they agree."""
    firsts = _firsts(lists, len(published.class_names))
    candidates = [
        Order(name=name, class_names=names, first=first)
        for name, names in published.orders.items()
        for first in firsts
        if asked in (None, name)
    ]
    found: dict[int, Order] = {}
    open_: list[Placed] = []
    for placed in lists:
        order = _told(placed, candidates, published, asked)
        if order is None:
            open_.append(placed)
        else:
            found[id(placed)] = order
    told = {(order.name, order.first) for order in found.values()}
    for placed in open_:
        if len(told) == 1:
            order = next(iter(found.values()))
            found[id(placed)] = _by(order, "the other lists of this form")
        elif owner_header and placed.file.header == owner_header and 1 in firsts and asked is None:
            name, names = next(iter(published.orders.items()))
            form = f"the owner's form, '{','.join(owner_header)}' and integers from 1"
            found[id(placed)] = Order(name=name, class_names=names, first=1, told_by=form)
        else:
            raise _untold(placed, published, asked)
    return found


def _firsts(lists: list[Placed], num_classes: int) -> tuple[int, ...]:
    """From what the integers may count: a 0 tells 0, the number of classes tells 1."""
    zero = one = None
    for placed in lists:
        for line in placed.file.lines:
            if line.label.isdecimal() and len(line.label) < 10:
                zero = zero or (_where(placed, line) if int(line.label) == 0 else None)
                one = one or (_where(placed, line) if int(line.label) == num_classes else None)
    if zero and one:
        msg = (
            f"{one}: label {num_classes} beside label 0 at {zero}; {num_classes} classes count from 0 or "
            "from 1. Mend the lists, or give only those of one kind."
        )
        raise DatasetError(msg)
    return (0,) if zero else (1,) if one else (0, 1)


def _told(placed: Placed, candidates: list[Order], published: Published, asked: str | None) -> Order | None:
    """The order that folder names or class counts tell, or that was asked for."""
    agreeing = _by_folders(placed, candidates, asked)
    has_folders = any(class_of_folder(line.clip) for line in placed.file.lines)
    if has_folders and len(agreeing) == 1:
        return _by(agreeing[0], "the names of the folders")
    counts = published.classes.get((placed.fold, placed.split.name.lower()))
    if counts is not None:
        everything = [
            Order(name=name, class_names=names, first=order_first)
            for name, names in published.orders.items()
            for order_first in {order.first for order in candidates}
        ]
        equal = [
            o
            for o in everything
            if _counts(placed.file, o) == dict(zip(published.class_names, counts, strict=True))
        ]
        if len(equal) == 1 and equal[0] in agreeing:
            return _by(equal[0], "the class counts, which are the published ones")
        if len(equal) == 1 and asked is not None:
            msg = (
                f"'{placed.file.path}' is not in the label order '{asked}': in the order '{equal[0].name}' "
                f"its class counts are the published ones. Give --label-order {equal[0].name}, or none."
            )
            raise DatasetError(msg)
    return _by(agreeing[0], "--label-order") if asked is not None and len(agreeing) == 1 else None


def _by_folders(placed: Placed, candidates: list[Order], asked: str | None) -> list[Order]:
    """The candidates that no folder name contradicts."""
    against: Mapping[int, list[Line]] = {
        number: [line for line in placed.file.lines if _is_against(line, order)]
        for number, order in enumerate(candidates)
    }
    agreeing = [order for number, order in enumerate(candidates) if not against[number]]
    if agreeing:
        return agreeing
    best = min(against, key=lambda number: len(against[number]))
    order, line = candidates[best], against[best][0]
    means = order.class_name(line.label) or "no class"
    many = counted(len(against[best]), "line contradicts", "lines contradict")
    remedy = (
        "give another --label-order, or mend the list" if asked else "no known order agrees; mend the list"
    )
    msg = (
        f"{_where(placed, line)}: label {line.label[:_SHOWN]} means {means} in the label order "
        f"'{order.name}', but the clip is '{line.clip[-_SHOWN:]}'; {many} the folder's name: {remedy}."
    )
    raise DatasetError(msg)


def _is_against(line: Line, order: Order) -> bool:
    folder = class_of_folder(line.clip)
    return folder is not None and order.class_name(line.label) != folder


def _counts(file: ListFile, order: Order) -> dict[str, int]:
    counts = Counter(order.class_name(line.label) for line in file.lines)
    return {name: counts[name] for name in order.class_names} | ({"": counts[""]} if counts[""] else {})


def _by(order: Order, told_by: str) -> Order:
    return Order(name=order.name, class_names=order.class_names, first=order.first, told_by=told_by)


def _where(placed: Placed, line: Line) -> str:
    return f"{placed.file.path}, line {line.number}"


def _untold(placed: Placed, published: Published, asked: str | None) -> DatasetError:
    known = "; ".join(f"{name} ({', '.join(names)})" for name, names in published.orders.items())
    if asked is not None:
        return DatasetError(
            f"'{placed.file.path}' labels its clips with integers that may count from 0 or from 1: neither 0 "
            f"nor {len(published.class_names)} occurs. Give it beside a list of its kind that holds either."
        )
    return DatasetError(
        f"'{placed.file.path}' labels its clips with integers, and neither folder names nor class counts "
        f"tell their order; known: {known}. Give --label-order NAME."
    )

"""Label order of a list of integers: the order of the classes, and whether they count from 0 or 1.

The same data circulate with several orders, and training with a wrong one raises no error. Therefore an
order is never assumed. The user names it, or it is determined by names of directories, by class counts (of
the list, or of all lists of its fold), or by the authors' own form of list. An order that contradicts names
of directories or class counts is rejected.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.datasets.emotions import class_of_folder
from pipeline.datasets.label_counts import LabelCounts
from pipeline.datasets.list_parser import Line, ListFile
from pipeline.datasets.official_counts import Published
from pipeline.errors import ConfigError, DatasetError, counted
from pipeline.types import Split

_MOST_STRAY = 0.1
"""Fraction of lines that may contradict their directory before the order, not the lines, is wrong."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """Label order. first: number of the first class, 0 or 1. evidence: what determined it, in words."""

    name: str
    class_names: tuple[str, ...]
    first: int
    evidence: str = ""

    def class_name(self, label: str) -> str:
        """Return the class that a label means; empty if it means none."""
        place = int(label) - self.first if label.isdecimal() and len(label) < 10 else -1
        return self.class_names[place] if 0 <= place < len(self.class_names) else ""

    def __str__(self) -> str:
        return f"'{self.name}' from {self.first}"


@dataclass(frozen=True, kw_only=True)
class ListInSplit:
    """List with its fold and split."""

    file: ListFile
    fold: str
    split: Split


@dataclass(frozen=True, kw_only=True)
class OrderDecision:
    """Result of the search for the label order of one list.

    Attributes:
        order: None if nothing determines it.
        problem: Why extraction rejects the list, in words that follow the list's name; empty if it does not.
        detail: Details of the problem that differ between lists.
        remedy: What to do about it, one sentence.
    """

    order: Order | None
    problem: str = ""
    detail: str = ""
    remedy: str = ""


def determine_orders(
    lists: Sequence[ListInSplit], published: Published, asked: str | None, owner_header: tuple[str, ...]
) -> list[OrderDecision | None]:
    """Determine the order of each list's integers; None for a list of names.

    Args:
        lists: All lists that are read.
        published: Published counts and orders of the dataset.
        asked: The user's --label-order; None without one.
        owner_header: Header of the authors' lists whose integers count the authors' order from 1.

    Raises:
        ConfigError: `asked` is no known order.
    """
    if asked is not None and asked not in published.orders:
        msg = f"--label-order is '{asked}'; allowed for {published.title}: {', '.join(published.orders)}."
        raise ConfigError(msg)
    by_kind: dict[str, list[ListInSplit]] = {}
    for split_list in lists:
        if _has_integers(split_list.file):
            by_kind.setdefault(split_list.file.kind, []).append(split_list)
    found: dict[int, OrderDecision] = {}
    for alike in by_kind.values():
        found.update(_determine_alike(alike, published, asked, owner_header))
    return [found.get(id(split_list)) for split_list in lists]


def require_orders(lists: Sequence[ListInSplit], decisions: Sequence[OrderDecision | None]) -> None:
    """Raise DatasetError for the first list of integers whose order has a problem."""
    for split_list, decision in zip(lists, decisions, strict=True):
        if decision is not None and decision.problem:
            msg = f"'{split_list.file.path}' {decision.problem}{decision.detail}. {decision.remedy}"
            raise DatasetError(msg)


def _has_integers(file: ListFile) -> bool:
    """Return whether most of a list's labels are integers."""
    return 2 * sum(line.label.isdecimal() for line in file.lines) > len(file.lines)


def _determine_alike(
    lists: list[ListInSplit], published: Published, asked: str | None, owner_header: tuple[str, ...]
) -> dict[int, OrderDecision]:
    """Determine the orders of lists of one form. An undetermined list takes the order of the others."""
    firsts, clash = _firsts(lists, len(published.class_names))
    if clash:
        remedy = "Correct the lists, or give only those of one kind."
        return {
            id(split_list): OrderDecision(order=None, problem=clash, remedy=remedy) for split_list in lists
        }
    orders = [
        Order(name=name, class_names=names, first=first)
        for name, names in published.orders.items()
        for first in firsts
    ]
    lines_of_fold: dict[str, list[Line]] = {}
    for split_list in lists:
        lines_of_fold.setdefault(split_list.fold, []).extend(split_list.file.lines)
    counts = {
        id(one): LabelCounts.of(one.file.lines, lines_of_fold[one.fold], (one.fold, one.split), published)
        for one in lists
    }
    found = {
        id(split_list): _determine(split_list, orders, counts[id(split_list)], asked) for split_list in lists
    }
    settled = {(one.order.name, one.order.first): one.order for one in found.values() if one and one.order}
    decisions = {}
    for split_list in lists:
        decision = found[id(split_list)]
        if decision is None and len(settled) == 1:
            order = replace(next(iter(settled.values())), evidence="the other lists of this form")
            decision = _unless_contradicted(order, orders, counts[id(split_list)])
        elif decision is None and owner_header and split_list.file.header == owner_header:
            form = f"the authors' form, '{','.join(owner_header)}' and integers from 1"
            authors = next((replace(one, evidence=form) for one in orders if one.first == 1), None)
            if authors is not None and asked in (None, authors.name):
                decision = _unless_contradicted(authors, orders, counts[id(split_list)])
        decisions[id(split_list)] = decision or _undetermined(orders, counts[id(split_list)], asked)
    return decisions


def _firsts(lists: list[ListInSplit], num_classes: int) -> tuple[tuple[int, ...], str]:
    """Return the possible numbers of the first class, 0 and 1, and a problem if neither is possible."""
    zero = one = ""
    for split_list in lists:
        for line in split_list.file.lines:
            if line.label.isdecimal() and len(line.label) < 10:
                zero = zero or (_where(split_list, line) if int(line.label) == 0 else "")
                one = one or (_where(split_list, line) if int(line.label) == num_classes else "")
    if zero and one:
        return (), (
            f"has integers that count neither from 0 nor from 1: label {num_classes} at {one}, label 0 at "
            f"{zero}, of {num_classes} classes"
        )
    return ((0,) if zero else (1,) if one else (0, 1)), ""


def _determine(
    split_list: ListInSplit, orders: list[Order], counts: LabelCounts, asked: str | None
) -> OrderDecision | None:
    """Return the order that directories or counts determine, or the requested one; None if there is none."""
    agreeing, problem = _by_folders(split_list, orders)
    if problem:
        return OrderDecision(
            order=None, problem=problem, remedy="Correct the list, or take the authors' list."
        )
    equal = [order for order in agreeing if counts.are_published(order.class_name)]
    has_folders = any(class_of_folder(line.clip) for line in split_list.file.lines)
    sure: Order | None = None
    if has_folders and len(agreeing) == 1:
        sure = replace(agreeing[0], evidence="the names of the directories")
    elif len(equal) == 1:
        sure = replace(equal[0], evidence="the published class counts")
    if sure is not None and asked not in (None, sure.name):
        problem = f"is not in the label order '{asked}': {sure.evidence} determine {sure}"
        return OrderDecision(order=sure, problem=problem, remedy=f"Give --label-order {sure.name}, or none.")
    if sure is not None:
        return OrderDecision(order=sure)
    named = [order for order in agreeing if order.name == asked]
    if len(named) == 1:
        return _unless_contradicted(replace(named[0], evidence="--label-order"), orders, counts)
    return None


def _by_folders(split_list: ListInSplit, orders: list[Order]) -> tuple[list[Order], str]:
    """Return the orders that no directory contradicts, else the one that few lines contradict, or a problem.

    The readers reject these few lines one by one.
    """
    with_folder = [(line, folder) for line in split_list.file.lines if (folder := class_of_folder(line.clip))]
    if not with_folder:
        return orders, ""
    against = [
        [line for line, folder in with_folder if order.class_name(line.label) != folder] for order in orders
    ]
    agreeing = [order for order, lines in zip(orders, against, strict=True) if not lines]
    if agreeing:
        return agreeing, ""
    fewest = min(range(len(orders)), key=lambda number: len(against[number]))
    if len(against[fewest]) <= _MOST_STRAY * len(with_folder):
        return [orders[fewest]], ""
    line = against[fewest][0]
    means = orders[fewest].class_name(line.label) or "no class"
    return [], (
        f"has integers that the names of its clips' directories contradict in every known order; in the "
        f"nearest, {orders[fewest]}, at {len(against[fewest])} of {len(with_folder)} lines (line "
        f"{line.number}: label {line.label} means {means}, the clip is '{line.clip[-100:]}')"
    )


def _unless_contradicted(order: Order, orders: list[Order], counts: LabelCounts) -> OrderDecision:
    """Return an order that no count determines. Reject it if its counts are impossible or fit another."""
    impossible = counts.contradiction(order.class_name)
    if not impossible and counts.are_close(order.class_name):
        return OrderDecision(order=order)
    possible = _possible(orders, counts)
    close = [one for one in possible if counts.are_close(one.class_name)]
    if close:
        fault, detail = f"fit {close[0]}", _away(close[0], counts)
        remedy = f"Give --label-order {close[0].name}, or a list of class names."
    elif impossible or counts.do_not_fit(order.class_name):
        fault, detail = "do not fit it", impossible or _away(order, counts)
        remedy = _another_of(possible)
    else:
        return OrderDecision(order=order)
    problem = f"is in the label order {order} by {order.evidence}, but its class counts {fault}"
    return OrderDecision(order=None, problem=problem, detail=f" ({detail})", remedy=remedy)


def _possible(orders: list[Order], counts: LabelCounts) -> list[Order]:
    """Return the orders that the class counts allow, so that --label-order could name them."""
    return [
        order
        for order in orders
        if not counts.contradiction(order.class_name) and not counts.do_not_fit(order.class_name)
    ]


def _another_of(possible: list[Order]) -> str:
    """Return the remedy for a contradicted order: a possible order, or class names if there is none."""
    if possible:
        return f"Give another of {_known(possible)}, or a list of class names."
    return "Give a list of class names in place of integers: no known order is possible."


def _undetermined(orders: list[Order], counts: LabelCounts, asked: str | None) -> OrderDecision:
    """Return why there is no order: several fit, one is only close, none fits, or counts show nothing."""
    named = [order for order in orders if order.name == asked]
    possible = _possible(named or orders, counts)
    close = [one for one in possible if counts.are_close(one.class_name)]
    close.sort(key=lambda one: counts.clips_away(one.class_name))
    detail, remedy = "", f"Give --label-order NAME, or a list of class names; known: {_known(possible)}."
    if len(close) > 1:
        problem = f"has integers whose class counts fit several orders, {' and '.join(map(str, close))}"
    elif close:
        problem = (
            f"has integers whose class counts are only close to the published ones, in the order {close[0]}"
        )
        detail = f" ({_away(close[0], counts)})"
        remedy = f"Give --label-order {close[0].name} if that is right, or a list of class names."
    elif named and possible:
        num_classes = len(named[0].class_names)
        problem = f"has integers that may count from 0 or from 1: neither 0 nor {num_classes} occurs"
        remedy = "Give another list of its form that holds one of them, too, or a list of class names."
    elif counts.is_whole or not possible:
        nearest = min(orders, key=lambda one: counts.clips_away(one.class_name))
        problem = f"has integers, and no known order fits the published class counts ({_names(orders)})"
        why = counts.contradiction(nearest.class_name) or _away(nearest, counts)
        detail = f" (nearest: {nearest}, {why})"
        remedy = remedy if possible else _another_of(possible)
    else:
        problem = "has integers whose order neither directory names nor class counts determine"
    return OrderDecision(order=None, problem=problem, detail=detail, remedy=remedy)


def _names(orders: list[Order]) -> str:
    return ", ".join(dict.fromkeys(order.name for order in orders))


def _known(orders: list[Order]) -> str:
    return "; ".join(dict.fromkeys(f"{order.name} ({', '.join(order.class_names)})" for order in orders))


def _away(order: Order, counts: LabelCounts) -> str:
    return f"{counts.clips_away(order.class_name)} of {counted(counts.num_clips, 'clip')} away"


def _where(split_list: ListInSplit, line: Line) -> str:
    return f"{split_list.file.path}, line {line.number}"

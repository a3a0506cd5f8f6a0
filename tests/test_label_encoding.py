"""The order of a list's integers: what determines it, what contradicts it, what leaves it open."""

import dataclasses
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import pytest

from pipeline.datasets import dfew, ferv39k, mafw
from pipeline.datasets.label_counts import LabelCounts
from pipeline.datasets.label_encoding import ListInSplit, Order, determine_orders, require_orders
from pipeline.datasets.list_parser import Line, ListFile
from pipeline.errors import ConfigError, DatasetError
from pipeline.types import Split

DFEW, MAFW = dfew.SET.published, mafw.SET.published
SPLITS = {"train": Split.TRAIN, "test": Split.TEST}


def listed(labels: Sequence[str], fold: str = "1", split: str = "train", **form: object) -> ListInSplit:
    """A list with these labels, in order, of clips that no other list has."""
    names = [f"{split}{fold}-{number}" for number in range(len(labels))]
    lines = [
        Line(number=number, clip=name, clip_id=name, label=label)
        for number, (name, label) in enumerate(zip(names, labels, strict=True), start=1)
    ]
    given = {"path": Path(f"{split}_{fold}.csv"), "kind": "a form", "header": (), "has_crlf": False, **form}
    return ListInSplit(file=ListFile(lines=tuple(lines), **given), fold=fold, split=SPLITS[split])  # type: ignore[arg-type]


def numbers(counts: Sequence[int], published=DFEW, order: str = "dfew", first: int = 0) -> list[str]:
    """Integers of so many clips per class, in an order."""
    places = published.orders[order]
    pairs = zip(published.class_names, counts, strict=True)
    return [str(places.index(name) + first) for name, many in pairs for _ in range(many)]


def ruled(*lists: ListInSplit, published=DFEW, asked: str | None = None, header: tuple[str, ...] = ()):
    return determine_orders(lists, published, asked, header)


def found(decision) -> tuple[str, int, str]:
    assert decision.problem == ""
    return decision.order.name, decision.order.first, decision.order.evidence


COUNTS = "the published class counts"


@pytest.mark.parametrize("official", [dfew.SET, mafw.SET], ids=lambda official: official.name)
@pytest.mark.parametrize("first", [0, 1])
def test_one_list_of_any_fold_determines_every_known_order(official, first):
    published = official.published
    for fold, split, name in product("15", SPLITS, published.orders):
        labels = numbers(published.classes[fold, split], published, name, first)
        (decision,) = ruled(listed(labels, fold, split), published=published)
        assert found(decision) == (name, first, COUNTS)


def test_train_and_test_of_a_fold_together_determine_the_order_however_they_are_divided():
    test = (400, 400, 500, 500, 300, 20, 190)
    train = [all_ - one for all_, one in zip(DFEW.class_totals, test, strict=True)]
    for name in DFEW.orders:
        both = [
            listed(numbers(counts, order=name), "4", split)
            for split, counts in (("train", train), ("test", test))
        ]
        assert [found(decision) for decision in ruled(*both)] == [(name, 0, COUNTS)] * 2
    (alone,) = ruled(listed(numbers(train), "4", "train"))
    assert alone.order is None


def test_lists_of_one_form_determine_each_others_order_only_when_they_agree():
    odd = listed(["0", "6", "3"], "3", "test")
    known = listed(numbers(DFEW.classes["1", "train"]))
    assert found(ruled(known, odd)[1]) == ("dfew", 0, "the other lists of this form")
    other = listed(numbers(DFEW.classes["1", "test"], order="alphabetical"), "1", "test")
    decisions = ruled(known, other, odd)
    assert [decision.order and decision.order.name for decision in decisions] == [
        "dfew",
        "alphabetical",
        None,
    ]
    (alone,) = ruled(odd)
    assert alone.problem == "has integers whose order neither directory names nor class counts determine"
    assert (
        "known: dfew (happiness, sadness, neutral, anger, surprise, disgust, fear); alphabetical"
        in alone.remedy
    )


def test_a_clip_in_two_lists_of_a_fold_counts_once():
    counts = DFEW.classes["2", "train"]
    train, test = listed(numbers(counts), "2"), listed(numbers(DFEW.classes["2", "test"]), "2", "test")
    again = ListInSplit(file=test.file, fold="2", split=Split.VALIDATION)
    assert [found(decision)[0] for decision in ruled(train, test, again)] == ["dfew"] * 3


def lacking(counts: Sequence[int], **missing: int) -> list[int]:
    """Counts, with fewer clips of some classes."""
    return [many - missing.get(name, 0) for name, many in zip(DFEW.class_names, counts, strict=True)]


def test_a_list_that_lacks_a_few_clips_is_only_close_and_its_order_is_asked_for():
    counts = lacking(DFEW.classes["3", "train"], fear=9, anger=4)
    (decision,) = ruled(listed(numbers(counts, order="alphabetical"), "3"))
    assert decision.order is None
    assert decision.problem == (
        "has integers whose class counts are only close to the published ones, in the order 'alphabetical' "
        "from 0"
    )
    assert decision.detail == " (10 of 9344 clips away)"
    assert decision.remedy.startswith("Give --label-order alphabetical if that is right")
    (decision,) = ruled(listed(numbers(counts, order="alphabetical"), "3"), asked="alphabetical")
    assert found(decision) == ("alphabetical", 0, "--label-order")


@pytest.mark.parametrize("asked", [None, "dfew"])
def test_counts_that_are_close_to_another_order_contradict(asked):
    counts = lacking(DFEW.classes["3", "train"], fear=9)
    header = ("video_name", "label")
    split_list = listed(numbers(counts, order="alphabetical", first=1), "3", header=header)
    (decision,) = ruled(split_list, asked=asked, header=header)
    by = "--label-order" if asked else "the authors' form, 'video_name,label' and integers from 1"
    assert decision.order is None
    assert decision.problem == (
        f"is in the label order 'dfew' from 1 by {by}, but its class counts fit 'alphabetical' from 1"
    )
    with pytest.raises(
        DatasetError, match=r"^'train_3.csv' is in .* \(8 of 9348 clips away\)\. Give --label-o"
    ):
        require_orders([split_list], [decision])


def test_counts_that_are_the_published_ones_in_another_order_contradict_what_is_asked():
    split_list = listed(numbers(MAFW.classes["1", "test"], MAFW, "dfer-clip"), "1", "test")
    (decision,) = ruled(split_list, published=MAFW, asked="mafw")
    assert decision.order.name == "dfer-clip"
    assert decision.problem == f"is not in the label order 'mafw': {COUNTS} determine 'dfer-clip' from 0"
    assert decision.remedy == "Give --label-order dfer-clip, or none."


NO_ORDER = "Give a list of class names in place of integers: no known order is possible."


def test_no_order_fits_only_where_none_does():
    labels = [str((int(label) + 1) % 7) for label in numbers(DFEW.classes["1", "test"])]
    (decision,) = ruled(listed(labels, "1", "test"))
    assert (
        decision.problem
        == "has integers, and no known order fits the published class counts (dfew, alphabetical)"
    )
    assert decision.remedy == NO_ORDER
    moved = DFEW.classes["1", "test"]
    labels = numbers((moved[6], *moved[:5], 0))
    labels = [{"5": "6"}.get(label, label) for label in labels] + ["5"] * moved[5]
    (decision,) = ruled(listed(labels, "1", "test"), asked="dfew")
    assert (decision.order, decision.detail) == (None, " (463 of 2341 clips away)")
    assert decision.problem == (
        "is in the label order 'dfew' from 0 by --label-order, but its class counts do not fit it"
    )
    assert decision.remedy == NO_ORDER
    (decision,) = ruled(listed(labels[::9], "1", "test"), asked="dfew")
    assert found(decision) == ("dfew", 0, "--label-order")  # of another length: it is the user's own
    (part,) = ruled(listed(labels[:300], "1", "test"))
    assert part.problem == "has integers whose order neither directory names nor class counts determine"


def without(left_out: str, published=DFEW, split: str = "train") -> ListInSplit:
    """A list without one class, whose others keep the authors' order and are counted from 0 without a gap."""
    pairs = zip(published.class_names, published.classes["1", split], strict=True)
    kept = [many for name, many in pairs if name != left_out]
    return listed([str(place) for place, many in enumerate(kept) for _ in range(many)], "1", split)


@pytest.mark.parametrize("asked", ["dfew", "alphabetical"])
@pytest.mark.parametrize("part", [1, 4])
def test_more_clips_of_a_class_than_there_are_contradict_a_list_of_any_length(asked, part):
    split_list = without("disgust")
    lines = [line for line in split_list.file.lines if line.label == "5" or not line.number % part]
    file = dataclasses.replace(split_list.file, lines=tuple(lines))
    (decision,) = ruled(dataclasses.replace(split_list, file=file), asked=asked)
    assert decision.order is None
    assert decision.problem == (
        f"is in the label order '{asked}' from 0 by --label-order, but its class counts do not fit it"
    )
    if asked == "dfew":
        assert decision.detail == " (721 clips would be disgust, of which train and test have 145 in all)"
    assert decision.remedy == NO_ORDER
    (decision,) = ruled(dataclasses.replace(split_list, file=file))
    assert decision.problem.startswith("has integers, and no known order fits the published class counts")
    assert decision.remedy == NO_ORDER


def test_a_whole_list_without_a_class_contradicts_an_order_although_its_counts_are_close():
    split_list = without("helplessness", MAFW)
    lines = split_list.file.lines
    meant = Order(name="mafw", class_names=MAFW.class_names, first=0).class_name
    assert LabelCounts.of(lines, lines, ("1", Split.TRAIN), MAFW).are_close(meant)
    for asked in ("mafw", "dfer-clip"):
        (decision,) = ruled(split_list, published=MAFW, asked=asked)
        assert (decision.order, decision.remedy) == (None, NO_ORDER)
        if asked == "mafw":
            assert decision.detail == " (no clip would be disappointment (145 published))"


def test_a_whole_list_without_its_last_class_keeps_its_order():
    (decision,) = ruled(without("disappointment", MAFW), published=MAFW, asked="mafw")
    assert found(decision) == ("mafw", 0, "--label-order")


def test_an_impossible_order_gives_way_to_the_one_that_is_close():
    counts = lacking(DFEW.classes["3", "train"], fear=9)
    (decision,) = ruled(listed(numbers(counts, order="alphabetical"), "3"), asked="dfew")
    assert decision.problem.endswith("its class counts fit 'alphabetical' from 0")
    assert decision.remedy == "Give --label-order alphabetical, or a list of class names."


def test_orders_that_fit_alike_are_all_named():
    even = {("1", "train"): [100] * 7, ("1", "test"): [20] * 7}
    published = replaced(DFEW, classes=even, splits={"1": (700, 140)}, fold_names=("1",))
    (decision,) = ruled(listed(numbers([100] * 7)), published=published)
    assert (
        decision.problem
        == "has integers whose class counts fit several orders, 'dfew' from 0 and 'alphabetical' from 0"
    )


def replaced(published, **changes):
    return dataclasses.replace(published, **changes)


def test_integers_from_0_and_from_1_in_one_form_leave_all_of_it_open():
    decisions = ruled(listed(["0", "1"]), listed(["7", "1"], "1", "test"))
    assert [decision.order for decision in decisions] == [None, None]
    assert decisions[0].problem.startswith(
        "has integers that count neither from 0 nor from 1: label 7 at test_1.csv"
    )


def test_lists_of_names_have_no_ruling_and_unknown_orders_are_refused():
    assert ruled(listed(["happy", "sad"])) == [None]
    with pytest.raises(
        ConfigError, match="--label-order is 'x'; allowed for MAFW: mafw, dfer-clip, alphabetical"
    ):
        ruled(listed(["0"]), published=MAFW, asked="x")


@pytest.mark.parametrize("official", [dfew.SET, ferv39k.SET, mafw.SET], ids=lambda official: official.name)
def test_no_known_order_is_close_to_another(official):
    published = official.published
    for split, true in product(SPLITS, published.orders):
        lines = listed(numbers(published.classes["1", split], published, true), "1", split).file.lines
        seen = LabelCounts.of(lines, lines, ("1", SPLITS[split]), published)
        for other, first in product(published.orders, (0, 1)):
            meant = Order(name=other, class_names=published.orders[other], first=first).class_name
            is_same = (other, first) == (true, 0)
            assert (seen.are_close(meant), seen.are_published(meant)) == (is_same, is_same)


def test_counts_without_published_ones_are_close_to_none():
    published = replaced(DFEW, classes={}, splits={})
    lines = listed(["0", "1"]).file.lines
    seen = LabelCounts.of(lines, lines, ("1", Split.TRAIN), published)
    assert (seen.clips_away(str), seen.are_close(str), seen.are_published(str), seen.is_whole) == (
        2,
        False,
        False,
        False,
    )

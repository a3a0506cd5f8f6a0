"""What owners publish of their data sets: class counts, orders of labels, and how clips are numbered."""

import dataclasses

import pytest

from pipeline.datasets import dfew, ferv39k, mafw
from pipeline.datasets.official_counts import class_counts_of_folds

SETS = [dfew.SET, ferv39k.SET, mafw.SET]


@pytest.mark.parametrize("official", SETS, ids=lambda official: official.name)
def test_every_fold_has_class_counts_that_sum_to_its_splits(official):
    published = official.published
    assert set(published.splits) == set(published.fold_names)
    for fold, both in published.splits.items():
        for split, many in zip(("train", "test"), both, strict=True):
            assert sum(published.classes[fold, split]) == many


def test_totals_of_a_fold_are_the_published_ones():
    assert mafw.SET.published.class_totals == (1390, 639, 625, 1242, 1138, 1470, 1072, 236, 916, 262, 182)
    assert dfew.SET.published.class_totals == (2445, 1894, 2669, 2173, 1469, 145, 902)
    assert sum(dfew.SET.published.class_totals) == 11_697
    assert sum(ferv39k.SET.published.class_totals) == 38_935


@pytest.mark.parametrize("official", SETS, ids=lambda official: official.name)
def test_the_order_of_the_alphabet_is_known_wherever_there_are_names(official):
    published = official.published
    assert published.orders["alphabetical"] == tuple(sorted(published.class_names))
    assert next(iter(published.orders.values())) == published.class_names


def test_orders_that_circulate_for_mafw():
    orders = mafw.SET.published.orders
    assert list(orders) == ["mafw", "dfer-clip", "alphabetical"]
    assert orders["alphabetical"][::10] == ("anger", "surprise")
    assert orders["dfer-clip"][:4] == ("happiness", "sadness", "neutral", "anger")


def test_facts_that_contradict_each_other_are_refused():
    published = dfew.SET.published
    with pytest.raises(ValueError, match="order 'dfew' does not hold the class names"):
        dataclasses.replace(published, orders={"dfew": ("anger",)})
    counts = {**published.classes, ("3", "test"): (1, 2, 3, 4, 5, 6, 7)}
    with pytest.raises(ValueError, match="class counts of test in fold 3 sum to 28"):
        dataclasses.replace(published, classes=counts)
    first, second, *others = published.classes["3", "test"]
    counts = {**published.classes, ("3", "test"): (first - 1, second + 1, *others)}
    with pytest.raises(ValueError, match="do not have the same classes in all"):
        dataclasses.replace(published, classes=counts)
    assert dataclasses.replace(published, classes={}, splits={}).class_totals is None


def test_training_has_what_the_test_list_leaves():
    assert class_counts_of_folds((5, 3), {"1": (2, 1), "2": (3, 2)}) == {
        ("1", "train"): (3, 2), ("1", "test"): (2, 1), ("2", "train"): (2, 1), ("2", "test"): (3, 2),
    }  # fmt: skip


@pytest.mark.parametrize("official", [dfew.SET, mafw.SET], ids=lambda official: official.name)
def test_no_number_is_too_high_to_be_a_clip(official):
    assert official.published.num_clips < 20_098
    for text in ("20098", "20098.mp4", "/any/where/20098", "D:\\clips\\20098\\", "20098/"):
        assert official.clip_id_of(text) == "20098"
    assert official.clip_id_of("123456") == "123456"
    assert [official.clip_id_of(text) for text in ("7", "007", "00007")] == ["00007"] * 3
    assert [official.clip_id_of(text) for text in ("", "x7", "7x.mp4", "1.tar.part")] == [None] * 4


def test_numbers_of_ferv39k_have_no_bound_either():
    assert ferv39k.clip_id_of("/data/Action/Happy/12345.mp4") == "Action/Happy/12345"
    assert ferv39k.clip_id_of("Action/Happy/7/") == "Action/Happy/0007"

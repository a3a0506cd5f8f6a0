"""Clips counted in columns of text: class names whole, labels of unknown order as integers."""

from pipeline.datasets import dfew, mafw
from pipeline.display.count_table import WIDTH, count_lines
from pipeline.display.json_values import to_json_values
from pipeline.doctor.split_counts import Count
from pipeline.types import Split


def count(fold="1", split=Split.TRAIN, **values):
    given = {"num_clips": 0, "classes": None, "published": None, "published_classes": None, **values}
    return Count(fold=fold, split=split, **given)


def test_a_row_for_each_list_and_published_counts_below_those_that_differ():
    names = ("anger", "joy")
    lines = count_lines(
        [
            count(num_clips=5, classes=(2, 3), published=5, published_classes=(2, 3)),
            count(split=Split.TEST, num_clips=4, classes=(1, 3), published=2, published_classes=(1, 1)),
        ],
        names,
    )
    assert lines == [
        "fold  split  clips  published  anger  joy",
        "1     train      5          5      2    3",
        "1     test       4          2      1    3",
        "                     classes:      1    1",
    ]


def test_class_names_are_whole_and_equally_divided_where_a_table_is_too_wide():
    official = mafw.SET.published
    classes = official.classes["1", "train"]
    lines = count_lines(
        [count(num_clips=7333, classes=classes, published=7333, published_classes=classes)],
        official.class_names,
    )
    assert max(map(len, lines)) <= WIDTH
    heads = [line.split()[4:] for line in lines if line.startswith("fold")]
    assert [len(head) for head in heads] == [6, 5]
    assert [name for head in heads for name in head] == list(official.class_names)
    numbers = [number for line in lines if line.startswith("1 ") for number in line.split()[4:]]
    assert numbers == [str(many) for many in classes]
    seven = dfew.SET.published.class_names
    assert len(count_lines([count(classes=(0,) * 7)], seven)) == 2


def test_a_name_wider_than_a_table_has_a_table_of_its_own():
    name = "x" * 2 * WIDTH
    lines = count_lines([count(classes=(1, 2, 3))], ("a", name, "b"))
    assert [line.split()[3:] for line in lines if line.startswith("fold")] == [["a"], [name], ["b"]]


def test_labels_of_an_unknown_order_are_integers_in_a_table_of_their_own():
    lines = count_lines(
        [
            count(num_clips=3, classes=(1, 2)),
            count(fold="2", num_clips=12, labels={"0": 2, "2": 3, "10": 7}),
            count(fold="2", split=Split.TEST, num_clips=1, labels={"1": 1}),
        ],
        ("anger", "joy"),
    )
    assert lines == [
        "fold  split  clips  anger  joy",
        "1     train      3      1    2",
        "",
        "labels as written, because their order is not known:",
        "fold  split  clips  0  1  2  10",
        "2     train     12  2  0  3   7",
        "2     test       1  0  1  0   0",
    ]
    assert count_lines([count(labels={"3": 1})], ("anger", "joy"))[0].startswith("labels as written")


def test_of_many_classes_only_the_numbers_of_clips_are_shown():
    names = tuple(f"class {number}" for number in range(200))
    assert count_lines([count(num_clips=9, classes=(0,) * 200)], names) == [
        "fold  split  clips",
        "1     train      9",
    ]
    assert count_lines([], names) == []


def test_a_count_as_json():
    document = to_json_values(count(num_clips=3, labels={"0": 3}, published=4, published_classes=(1, 3)))
    assert document == {
        "fold": "1", "split": "train", "clips": 3, "classes": None, "labels": {"0": 3}, "published": 4,
        "published_classes": [1, 3],
    }  # fmt: skip

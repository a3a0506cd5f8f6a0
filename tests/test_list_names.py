"""The fold and the split that the names of a list show."""

from pathlib import Path

import pytest

from pipeline.datasets.list_names import NO_FOLD, list_name, needed_names
from pipeline.types import Split

FOLDS = ("1", "2", "3", "4", "5")
OTHER = "fold {} in the name, which is not published"


@pytest.mark.parametrize(
    ("path", "fold"),
    [
        ("set_1/train.csv", "1"),
        ("fold2/train.csv", "2"),
        ("split03/train.csv", "3"),
        ("dfew_fold4_train.csv", "4"),
        ("train_5.csv", "5"),
        ("train1.txt", "1"),
        ("train-02.csv", "2"),
        ("dfew_train_03_16f.csv", "3"),
        ("DFEW_train_labels_4.csv", "4"),
        ("set_1/train_2.csv", "1"),
    ],
)
def test_a_fold_is_a_named_number_or_a_bare_one_of_the_file(path, fold):
    found = list_name(Path("/lists") / path, 2, FOLDS)
    assert (found.fold, found.split, found.problem) == (fold, Split.TRAIN, "")


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("train.csv", NO_FOLD),
        ("run_1/train.csv", NO_FOLD),
        ("train_16.csv", NO_FOLD),
        ("train_v2.csv", NO_FOLD),
        ("train (1).csv", NO_FOLD),
        ("set_6/train_1.csv", OTHER.format(6)),
        ("dfew_fold1.csv", "no train or test in the name"),
        ("set_1/train_test.csv", "no train or test in the name"),
    ],
)
def test_names_that_show_no_published_fold_or_no_split_have_a_problem(path, problem):
    found = list_name(Path("/lists") / path, 2, FOLDS)
    assert (found.fold, found.problem) == (None, problem)


def test_a_data_set_of_one_fold_needs_no_number():
    found = list_name(Path("/lists/train_2.csv"), 1, ("1",))
    assert (found.fold, found.split) == ("1", Split.TRAIN)
    assert needed_names(("1",)) == "Name the split, one list for each, as in train.csv."
    assert needed_names(FOLDS).endswith("as in set_1/train.csv or train_1.csv; folds: 1, 2, 3, 4, 5.")

"""Families of lists of the same folds: one is to be given."""

import re

import pytest

from pipeline.datasets.dfew import SET as DFEW
from pipeline.datasets.mafw import SET as MAFW
from pipeline.datasets.official_reader import read_lists
from pipeline.errors import DatasetError
from pipeline.types import ReadOptions
from tests.official_trees import dfew_tree, mafw_tree, write_lines


@pytest.fixture
def mafw(tmp_path):
    """MAFW's tree with the authors' lists of both families."""
    root = mafw_tree(tmp_path)
    compound = root / "Train & Test Set/compound/no_caption"
    for split in ("train", "test"):
        write_lines(compound / f"set_1/{split}.txt", ["00001.mp4 anger_disgust", "00002.mp4 fear"])
    return root


def test_the_family_that_is_read_of_a_tree_is_the_one_to_give(mafw):
    given = mafw / "Train & Test Set"
    message = (
        f"--lists '{given}' holds families of lists of the same folds: '{given}/compound', "
        f"'{given}/single'. Give '{given}/single', as the authors' lists of MAFW are read."
    )
    with pytest.raises(DatasetError, match=f"^{re.escape(message)}$"):
        read_lists(MAFW, mafw, ReadOptions(lists=(str(given),)))
    lists, _ = read_lists(MAFW, mafw, ReadOptions(lists=(str(given / "single"),)))
    assert sorted(lists, key=str) == sorted(read_lists(MAFW, mafw, ReadOptions())[0], key=str)


def test_families_that_the_owner_does_not_have_are_named(tmp_path):
    root = dfew_tree(tmp_path / "tree")
    for name in ("ours", "theirs"):
        write_lines(tmp_path / f"l/{name}/set_1/train.csv", ["1 happy"])
    with pytest.raises(DatasetError, match=r"'.*/l/ours', '.*/l/theirs'\. Give one of them\.$"):
        read_lists(DFEW, root, ReadOptions(lists=(str(tmp_path / "l"),)))
    both = tuple(str(tmp_path / f"l/{name}") for name in ("ours", "theirs"))
    assert len(read_lists(DFEW, root, ReadOptions(lists=both))[0]) == 2


def test_lists_under_other_names_or_of_other_folds_are_no_families(tmp_path):
    root = dfew_tree(tmp_path / "tree")
    for name in ("set_1/train.csv", "set_2/train.csv", "set_1/test.csv", "set_1/train_all.csv"):
        write_lines(tmp_path / "l" / name, [f"{int('2' in name) + 1} happy" if "train" in name else "3 sad"])
    assert len(read_lists(DFEW, root, ReadOptions(lists=(str(tmp_path / "l"),)))[0]) == 4

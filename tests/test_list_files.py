"""Lists that the user names: which are read, of which fold, and why others are not."""

from pathlib import Path

import pytest

from pipeline.datasets.dfew import SET as DFEW
from pipeline.datasets.list_files import given_lists
from pipeline.datasets.mafw import SET as MAFW
from pipeline.errors import DatasetError
from pipeline.types import Split
from tests.official_trees import write_lines


def write_pair(folder: Path, official, train_fold: str, test_fold: str, order: str = "alphabetical") -> None:
    """``train.csv`` and ``test.csv`` with the published class counts of folds, as integers in an order."""
    published = official.published
    start = 1
    for split, fold in (("train", train_fold), ("test", test_fold)):
        counts = zip(published.class_names, published.classes[fold, split], strict=True)
        labels = [published.orders[order].index(name) for name, many in counts for _ in range(many)]
        lines = [f"D:\\clips\\{number}.mp4 {label}" for number, label in enumerate(labels, start)]
        write_lines(folder / f"{split}.csv", lines)
        start += len(labels)


def read(official, *lists: Path):
    return given_lists([str(path) for path in lists], official.published, official.clip_id_of)


def refused(official, *lists: Path) -> str:
    with pytest.raises(DatasetError) as caught:
        read(official, *lists)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(("official", "fold"), [(DFEW, "4"), (MAFW, "2")], ids=["dfew", "mafw"])
def test_a_pair_without_a_fold_is_of_the_one_fold_that_its_counts_fit(tmp_path, official, fold):
    folder = tmp_path / "lists"
    write_pair(folder, official, fold, fold)
    write_lines(folder / "val.csv", ["1.mp4 0"])
    test, train = (folder / "test.csv", fold, Split.TEST), (folder / "train.csv", fold, Split.TRAIN)
    found, notes = read(official, folder)
    assert found == [test, train]
    assert notes[0].startswith(f"'{train[0]}' is read as fold {fold}: no name shows its fold, and only that")
    assert notes[2:] == ["files in --lists left alone: val.csv (no fold in the name)"]
    assert read(official, train[0], test[0])[0] == [train, test]


@pytest.mark.parametrize(
    ("train", "test", "fits"), [("1", "2", "folds 1 and 2"), ("3", "4", "no published fold")]
)
def test_a_pair_whose_counts_fit_several_folds_or_none_is_not_read(tmp_path, train, test, fits):
    folder = tmp_path / "lists"
    write_pair(folder, DFEW, train, test)
    assert refused(DFEW, folder) == (
        f"--lists '{folder}': no list there is read: test.csv, train.csv (no fold in the name, and the class "
        f"counts fit {fits}). Name the split and the fold, one list for each, as in set_1/train.csv or "
        "train_1.csv; folds: 1, 2, 3, 4, 5."
    )


def test_pairs_of_a_fold_in_two_directories_are_not_chosen_between(tmp_path):
    for name in ("a", "b"):
        write_pair(tmp_path / "lists" / name, DFEW, "4", "4")
    assert "and lists in several directories have the class counts" in refused(DFEW, tmp_path / "lists")


def test_half_a_pair_and_a_pair_that_cannot_be_read_are_named(tmp_path):
    lone = write_lines(tmp_path / "lists/train.csv", ["1.mp4 0"])
    missing = "no fold in the name, and 1 train and 0 test lists there"
    assert f": train.csv ({missing})." in refused(DFEW, tmp_path / "lists")
    assert refused(DFEW, lone).startswith(f"--lists '{lone}': {missing}. Name the split and the fold")
    write_lines(tmp_path / "lists/test.csv", ["hello"])
    assert "no fold in the name, and its counts cannot be read: " in refused(DFEW, tmp_path / "lists")


def test_a_list_of_a_fold_that_is_not_published_is_no_half_of_a_pair(tmp_path):
    folder = tmp_path / "lists"
    write_pair(folder, DFEW, "4", "4")
    (folder / "test.csv").rename(folder / "test_set_6.csv")
    message = refused(DFEW, folder)
    assert "test_set_6.csv (fold 6 in the name, which is not published)" in message
    assert "train.csv (no fold in the name, and 1 train and 0 test lists there" in message


def test_lists_that_show_their_fold_leave_others_alone_with_the_reason(tmp_path):
    folder = tmp_path / "lists"
    write_pair(folder / "other", DFEW, "4", "4")
    for name in ("train_1.csv", "a.json", "b.JSONL", "dfew_fold1.csv", "note.md"):
        write_lines(folder / name, ["1.mp4 0"])
    found, notes = read(DFEW, folder)
    assert found == [(folder / "train_1.csv", "1", Split.TRAIN)]
    assert notes == [
        "files in --lists left alone: a.json (.json is not read; allowed: .csv, .txt, .tsv), b.JSONL (.JSONL "
        "is not read; allowed: .csv, .txt, .tsv), dfew_fold1.csv (no train or test in the name), "
        "other/test.csv, other/train.csv (no fold in the name)"
    ]


def test_files_of_other_kinds_alone_are_named_as_not_read(tmp_path):
    for name in ("train_1.json", "test_1.json"):
        write_lines(tmp_path / "lists" / name, ["{}"])
    not_read = ".json is not read; allowed: .csv, .txt, .tsv"
    assert f": test_1.json, train_1.json ({not_read}). Name" in refused(DFEW, tmp_path / "lists")
    named = tmp_path / "lists/train_1.json"
    assert refused(DFEW, named).startswith(f"--lists '{named}': {not_read}. Name")


def test_a_list_that_is_given_twice_is_one_of_a_pair(tmp_path):
    write_pair(tmp_path / "lists", DFEW, "4", "4")
    found, _ = read(DFEW, tmp_path / "lists", tmp_path / "lists/train.csv")
    assert {(path.name, fold) for path, fold, _ in found} == {("train.csv", "4"), ("test.csv", "4")}

"""One table of the words for splits, wherever they are read."""

import pytest

from pipeline.datasets import read_dataset
from pipeline.datasets.ferv39k import SET
from pipeline.datasets.folder.levels import split_of
from pipeline.datasets.list_files import given_lists
from pipeline.datasets.splits import SPLIT_OF
from pipeline.types import Split


@pytest.mark.parametrize("word", SPLIT_OF)
def test_manifests_and_directories_know_the_same_words(tmp_path, word):
    (tmp_path / "manifest.csv").write_text(f"path,label,split\na.mp4,joy,{word.upper()}\n")
    (clip,) = read_dataset("manifest", tmp_path).clips
    assert clip.splits == (SPLIT_OF[word],)
    assert split_of(f"{word}_set") is SPLIT_OF[word]


def test_a_list_below_a_directory_of_development_is_of_no_split_by_that(tmp_path):
    for name, split in (("dev/lists/train.csv", Split.TRAIN), ("devel/x/val.txt", Split.VALIDATION)):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.touch()
        assert given_lists([str(path)], SET.published, SET.clip_id_of)[0] == [(path, "1", split)]
    root = tmp_path / "mine"  # the name of a test's own directory holds "test"
    (root / "dev").mkdir(parents=True)
    (root / "dev/set_1.csv").touch()
    (root / "train.csv").touch()
    left = given_lists([str(root)], SET.published, SET.clip_id_of)[1]
    assert left == ["files in --lists left alone: dev/set_1.csv (no train or test in the name)"]

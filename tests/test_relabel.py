import dataclasses
from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets.polarities import read_polarities
from pipeline.display.text import lines
from pipeline.errors import CacheError, DatasetError
from pipeline.relabel import relabel
from pipeline.store.reader import FeatureCache
from pipeline.types import ClipRef, DatasetIndex, Polarity, Split
from tests.small_cache import small_cache


def index_of(**changes) -> DatasetIndex:
    """The dataset of the small cache: clips 0.mp4 to 5.mp4, fear and joy in turn, all in training."""
    clips = tuple(
        ClipRef(
            clip_id=f"{n}.mp4",
            path=f"{n}.mp4",
            label=n % 2,
            splits=(Split.TRAIN,),
            polarity=Polarity.NEGATIVE,
        )
        for n in range(6)
    )
    values = {"name": "manifest", "root": Path("clips"), "class_names": ("fear", "joy"), "fold_names": ("1",)}
    return DatasetIndex(**{**values, "clips": clips, **changes})


def with_clip(index: DatasetIndex, row: int, **changes) -> DatasetIndex:
    clips = list(index.clips)
    clips[row] = dataclasses.replace(clips[row], **changes)
    return dataclasses.replace(index, clips=tuple(clips))


@pytest.fixture
def cache(tmp_path):
    return small_cache(tmp_path / "feats.zarr")


def read(path, *names):
    with FeatureCache.open(path) as opened:
        return [opened.read(name) for name in names]


def features(path) -> dict[Path, bytes]:
    """The files of all that is written by block."""
    return {p: p.read_bytes() for p in path.rglob("c/*") if p.is_file() and "clips-" not in str(p)}


def test_nothing_to_change_writes_nothing(cache):
    before = {p: p.stat().st_mtime_ns for p in cache.rglob("*") if p.is_file()}
    found = relabel(cache, index_of())
    assert not found.any
    assert lines(found) == [f"{cache}: nothing to change"]
    assert {p: p.stat().st_mtime_ns for p in cache.rglob("*") if p.is_file()} == before


def test_labels_folds_polarities_and_votes_come_in_and_features_stay(cache):
    before = features(cache)
    index = with_clip(index_of(), 2, label=1, splits=(Split.TEST,), polarity=Polarity.POSITIVE, votes=(2, 8))
    found = relabel(cache, index)
    assert found.is_written
    assert found.lines_of_change == (
        "label: 1 clips  fear -> joy",
        "fold 1: 1 clips  train -> test",
        "polarity: 1 clips  negative -> positive",
        "votes: of 1 clips",
    )
    assert found.num_changed == {"label": 1, "polarity": 1, "votes": 1, "group": 0}
    label, membership, polarity, votes = read(cache, "label", "membership", "polarity", "votes")
    assert (label[2], membership[2, 0], polarity[2]) == (1, Split.TEST, Polarity.POSITIVE)
    np.testing.assert_allclose(votes[2], [0.2, 0.8])
    assert np.isnan(votes[[0, 1, 3, 4, 5]]).all()
    assert before
    assert features(cache) == before
    assert not relabel(cache, index).any


def test_a_dry_run_says_the_same_and_writes_nothing(cache):
    index = with_clip(index_of(), 2, label=1)
    found = relabel(cache, index, dry_run=True)
    assert lines(found)[-1] == f"{cache}: would change; nothing was written"
    assert relabel(cache, index).lines_of_change == found.lines_of_change


def test_class_names_may_be_others_and_stand_in_another_order(cache):
    index = index_of(class_names=("anger", "joy", "fear"))
    index = dataclasses.replace(
        index, clips=tuple(dataclasses.replace(c, label=(2, 1)[c.label]) for c in index.clips)
    )
    found = relabel(cache, index)
    assert found.lines_of_change == ("classes: fear, joy  ->  anger, joy, fear",)
    with FeatureCache.open(cache) as opened:
        assert opened.meta.class_names == ("anger", "joy", "fear")
        assert opened.read("label").tolist() == [2, 1, 2, 1, 2, 1]
        assert opened.read("votes").shape == (6, 3)


def test_another_spelling_renames_no_class_so_that_runs_go_on_fitting(cache):
    full = index_of(class_names=("fear", "happiness"))
    found = relabel(cache, dataclasses.replace(full, clips=full.clips[:4]))
    assert not any("classes" in line or "label" in line for line in found.lines_of_change)
    assert lines(found)[-3] == "note: the cache keeps its class names: 'happiness' is 'joy' there"
    assert read(cache, "label")[0].tolist() == [0, 1] * 3
    more = relabel(cache, index_of(class_names=("Fear", "anger", "happiness")))
    assert more.lines_of_change[0] == "classes: fear, joy  ->  fear, anger, joy"
    assert (
        "note: the cache keeps its class names: 'Fear' is 'fear' there, 'happiness' is 'joy' there"
        in lines(more)
    )


def test_folds_may_be_others(cache):
    clips = tuple(dataclasses.replace(c, splits=(Split.TRAIN, Split.TEST)) for c in index_of().clips)
    found = relabel(cache, index_of(fold_names=("1", "2"), clips=clips))
    assert found.lines_of_change == (
        "folds: 1  ->  1, 2",
        "fold 2 is new: 0 train, 0 validation, 6 test",
    )
    assert read(cache, "membership")[0].tolist() == [[1, 3]] * 6


def test_clips_that_the_data_set_lacks_keep_their_label_and_leave_the_folds(cache):
    full = index_of()
    found = relabel(cache, dataclasses.replace(full, clips=full.clips[:4]))
    assert found.left_out == ("4.mp4", "5.mp4")
    assert "2 clips of the cache are not in the dataset (4.mp4, 5.mp4): in no fold" in lines(found)[-2]
    label, membership = read(cache, "label", "membership")
    assert label.tolist() == [0, 1] * 3
    assert membership[:, 0].tolist() == [1, 1, 1, 1, 0, 0]


def test_clips_that_the_data_set_lacks_keep_their_votes_by_class(cache):
    full = index_of()
    relabel(cache, with_clip(full, 5, votes=(2, 8)))
    turned = tuple(dataclasses.replace(clip, label=1 - clip.label) for clip in full.clips[:4])
    relabel(cache, index_of(class_names=("joy", "fear"), clips=turned))
    np.testing.assert_allclose(read(cache, "votes")[0][5], (0.2, 0.8))
    assert read(cache, "label")[0][:4].tolist() == [0, 1, 0, 1]


def test_a_cache_that_another_data_set_relabels_is_then_of_that_one(cache):
    found = relabel(cache, index_of(name="folder", root=Path("other")))
    assert found.lines_of_change == ("dataset: manifest  ->  folder",)
    with FeatureCache.open(cache) as opened:
        assert (opened.meta.dataset, opened.meta.config["dataset"]["name"]) == ("folder", "folder")


def test_a_data_set_without_any_clip_of_the_cache_is_refused(cache):
    clip = ClipRef(clip_id="other", path="other", label=0, splits=(Split.TRAIN,))
    with pytest.raises(CacheError, match=r"its first is '0\.mp4', the dataset's 'other'"):
        relabel(cache, index_of(clips=(clip,)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("class,polarity\njoy,positive\n", [0, 2] * 3),
        ("Class;Polarity\nHAPPINESS;Positive\njoyful;positive\n", [0, 2] * 3),
        ("clip_id,polarity\n3.mp4,unknown\n0.mp4,neutral\n", [1, 0, 0, -1, 0, 0]),
    ],
)
def test_a_map_of_polarities_changes_those_alone(cache, tmp_path, text, expected):
    path = tmp_path / "map.csv"
    path.write_text(text)
    found = relabel(cache, None, read_polarities(path))
    assert found.is_written
    assert read(cache, "polarity")[0].tolist() == expected
    assert read(cache, "label")[0].tolist() == [0, 1] * 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "class,polarity\nanger,negative\n",
            r"names classes that the cache .* \(anger\); there are: fear, joy",
        ),
        ("clip_id,polarity\n9.mp4,neutral\n", r"names clips that the cache does not have \(9\.mp4\)"),
        ("class,polarity\njoy,good\n", "line 2: polarity is 'good'; allowed: unknown, negative"),
        ("class,polarity\njoy,neutral\njoy,positive\n", "line 3: 'joy' has two polarities"),
        ("class,polarity\njoy,neutral\nHappy,positive\n", "line 3: 'Happy' has two polarities"),
        ("class,polarity\n\u200b,neutral\n", "line 2: class is .*; allowed: the name of a class"),
        ("name,polarity\njoy,neutral\n", "needs the columns class,polarity or clip_id,polarity"),
        ("class,sign\njoy,neutral\n", "no column polarity"),
    ],
)
def test_a_wrong_map_is_one_line(cache, tmp_path, text, message):
    path = tmp_path / "map.csv"
    path.write_text(text)
    with pytest.raises(DatasetError, match=message):
        relabel(cache, None, read_polarities(path))


def test_an_hdf5_file_is_not_relabelled(tmp_path):
    with pytest.raises(CacheError, match="is an HDF5 file; relabel the Zarr cache"):
        relabel(tmp_path / "feats.h5", index_of())


def with_groups(index: DatasetIndex, *names: str) -> DatasetIndex:
    for row, name in enumerate(names):
        index = with_clip(index, row, group=name)
    return index


def test_groups_come_into_a_cache_without_any_and_go_again(cache):
    before = features(cache)
    index = with_groups(index_of(), "anna", "anna", "bert")
    found = relabel(cache, index)
    assert found.lines_of_change == ("group: of 3 clips  (0 groups -> 2 groups)",)
    assert found.num_changed["group"] == 3
    with FeatureCache.open(cache) as opened:
        assert opened.meta.num_groups == 2
        assert opened.read("group").tolist() == ["anna", "anna", "bert", "", "", ""]
        assert opened.read("group", 1, 3).tolist() == ["anna", "bert"]
    assert not relabel(cache, index).any
    assert relabel(cache, index_of()).lines_of_change == ("group: of 3 clips  (2 groups -> 0 groups)",)
    with FeatureCache.open(cache) as opened:
        assert (opened.meta.num_groups, opened.read("group", 1, 3).tolist()) == (0, ["", ""])
    assert features(cache) == before


def test_clips_that_the_data_set_lacks_keep_their_group(cache):
    relabel(cache, with_groups(index_of(), "anna", "anna", "bert"))
    part = index_of()
    relabel(cache, dataclasses.replace(part, clips=part.clips[1:]))
    with FeatureCache.open(cache) as opened:
        assert opened.read("group").tolist() == ["anna", "", "", "", "", ""]
        assert opened.meta.num_groups == 1


def test_groups_do_not_change_which_clips_a_cache_has(cache):
    with FeatureCache.open(cache) as opened:
        before = opened.clips_sha256()
    relabel(cache, with_groups(index_of(), "anna", "anna"))
    with FeatureCache.open(cache) as opened:
        assert opened.clips_sha256() == before

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.datasets.manifest import read
from pipeline.errors import ConfigError
from pipeline.store.clip_table import num_groups, table_of
from pipeline.store.reader import FeatureCache
from tests.manifests import manifest
from tests.tiny_cache import tiny_cache, tiny_meta
from trainer.config import DataConfig
from trainer.folds import fold_rows
from trainer.holdout import CLIPS, GROUPS, hold_out, hold_out_groups

GOLDEN = [13, 17, 27]
"""Rows that the holdout of earlier versions takes of the tiny cache with seed 3."""


def held(labels, groups, share=0.1, seed=0):
    rows = np.arange(len(labels))
    return hold_out_groups(rows, np.array(labels), np.array(groups), share, seed)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), min_size=1, max_size=60),
    st.floats(0.01, 0.5),
    st.integers(0, 5),
)
def test_whole_groups_are_held_out_and_every_class_keeps_training_clips(clips, share, seed):
    label, group = (np.array(column) for column in zip(*clips, strict=True))
    train, validation = held(label, group, share, seed)
    assert sorted([*train, *validation]) == list(range(len(label)))
    counts = np.array([np.bincount(label[group == one], minlength=4) for one in np.unique(group)])
    has_all = ((counts == counts.sum(axis=0)) & (counts > 0)).any(axis=1)
    assert bool(len(validation)) == (not has_all.all())
    assert not set(group[train]) & set(group[validation])
    assert set(label[train]) == set(label)
    again = held(label, group, share, seed)
    assert np.array_equal(again[1], validation)


def test_the_share_is_near_in_every_class_where_groups_are_small():
    generator = np.random.default_rng(1)
    label, group = generator.choice(3, size=3000, p=[0.7, 0.25, 0.05]), np.arange(3000) // 5
    for seed in range(5):
        _, validation = held(label, group, 0.1, seed)
        shares = np.bincount(label[validation], minlength=3) / np.bincount(label, minlength=3)
        assert shares == pytest.approx([0.1] * 3, abs=0.02)


def test_the_seed_draws_the_groups():
    label, group = np.arange(240) % 3, np.arange(240) // 12
    drawn = {tuple(np.unique(group[held(label, group, 0.1, seed)[1]])) for seed in range(6)}
    assert len(drawn) > 3
    assert all(len(groups) == 2 for groups in drawn)


def test_a_class_of_few_groups_is_held_out_too_where_that_is_possible():
    # happiness is in 20 groups of 3 clips, fear in 2 groups of 6: one of these validates
    label = [0] * 60 + [1] * 12
    group = [n // 3 for n in range(60)] + [20] * 6 + [21] * 6
    _, validation = held(label, group)
    counts = np.bincount(np.array(label)[validation]).tolist()
    assert counts == [6, 6]


def test_a_group_with_all_clips_of_a_class_trains():
    label, group = [0, 0, 0, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 1, 1, 1]
    train, validation = held(label, group)
    assert (train.tolist(), validation.tolist()) == ([0, 1, 2, 3, 4], [5, 6, 7])


@pytest.mark.parametrize(("label", "group"), [([0, 1, 0, 1], [7, 7, 7, 7]), ([0, 0, 1, 1], [1, 1, 2, 2])])
def test_nothing_is_held_out_where_each_group_has_all_clips_of_a_class(label, group):
    train, validation = held(label, group)
    assert (train.tolist(), validation.tolist()) == ([0, 1, 2, 3], [])


def test_one_group_for_all_is_refused_with_three_ways_out_and_leaves_the_test_clips(tmp_path):
    names = np.full(48, "anna", dtype=object)
    with FeatureCache.open(tiny_cache(tmp_path / "c.zarr", tiny_meta(num_groups=1), group=names)) as cache:
        rows = fold_rows(cache, 1, DataConfig(), seed=0)
    assert len(rows.of("test")) == 16
    with pytest.raises(
        ConfigError, match=r"no usable clips in split 'validation'.* takes whole groups"
    ) as caught:
        rows.of("validation")
    for way in ("Mark validation clips", "column group", "--set data.validation=train"):
        assert way in str(caught.value)


def test_no_training_clips_are_no_matter_of_groups():
    train, validation = held(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))
    assert (len(train), len(validation)) == (0, 0)


def cached(tmp_path, index, name):
    """The tiny cache with the clips of an index of 48 clips and the classes happiness, neutral, sadness."""
    table = table_of(index.clips, index)
    return FeatureCache.open(tiny_cache(tmp_path / name, tiny_meta(num_groups=num_groups(table)), **table))


def subjects(tmp_path, column):
    """A manifest of 12 subjects with four clips each, all in training."""
    emotions = ("happiness", "neutral", "sadness")
    rows = [f"s{n // 4:02d}_{n % 4}.mp4,{emotions[n % 3]},train,s{n // 4:02d}" for n in range(48)]
    return read(manifest(tmp_path, "\n".join([f"path,label,split,{column}", *rows])))


def test_a_holdout_by_clip_puts_one_subject_on_both_sides_and_one_by_group_does_not(tmp_path):
    """The scenario of issue 13, point 7: the same clips without the column, and with it."""
    subject_N = np.arange(48) // 4
    with cached(tmp_path, subjects(tmp_path, "remark"), "without.zarr") as cache:
        rows = fold_rows(cache, 1, DataConfig(), seed=0)
        assert rows.rule == CLIPS
        assert set(subject_N[rows.train]) >= set(subject_N[rows.validation])
    with cached(tmp_path, subjects(tmp_path, "group"), "with.zarr") as cache:
        rows = fold_rows(cache, 1, DataConfig(), seed=0)
        assert rows.rule == GROUPS
        assert not set(subject_N[rows.train]) & set(subject_N[rows.validation])
        assert len(rows.validation) == 4
        before = fold_rows(cache, 1, DataConfig(), seed=0, by_group=False)
        assert before.rule == CLIPS


def test_without_groups_the_holdout_is_the_one_by_clip(tmp_path):
    with FeatureCache.open(tiny_cache(tmp_path / "feats.zarr")) as cache:
        label = cache.read("label")
        rows = fold_rows(cache, 1, DataConfig(), seed=3)
        train, validation = hold_out(np.arange(32), label, 0.1, 3)
    assert np.array_equal(rows.train, train)
    assert np.array_equal(rows.validation, validation)
    assert validation.tolist() == GOLDEN

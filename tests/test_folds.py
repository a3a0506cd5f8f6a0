from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import CacheError, ConfigError
from pipeline.store.reader import FeatureCache
from pipeline.types import Polarity, Split, Status
from tests.tiny_cache import CLASSES, tiny_cache, tiny_meta, tiny_static
from trainer.config import DataConfig
from trainer.folds import (
    fold_number,
    fold_rows,
    fold_to_measure,
    folder_of_fold,
    hold_out,
    polarity_labels,
    require_polarities,
    require_usable,
    usable_sha256,
)

N = 48


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    with FeatureCache.open(tiny_cache(tmp_path_factory.mktemp("cache") / "feats.zarr")) as opened:
        yield opened


def membership(**rows):
    array = np.full((N, 1), Split.TRAIN, dtype=np.uint8)
    for name, (start, stop) in rows.items():
        array[start:stop] = Split[name.upper()]
    return array


def opened(tmp_path, **static):
    return FeatureCache.open(tiny_cache(tmp_path / "feats.zarr", **static))


def test_holdout_takes_a_tenth_of_every_class_of_the_training_fold(cache):
    rows = fold_rows(cache, 1, DataConfig(), seed=0)
    label = cache.read("label")
    assert (rows.rule, rows.left_out) == ("holdout", {})
    assert np.array_equal(np.sort(np.concatenate([rows.train, rows.validation])), np.arange(32))
    assert np.array_equal(rows.test, np.arange(32, 48))
    assert np.bincount(label[rows.validation]).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("status", 17, "status of 1 clip is not a number from 0 to 3: 'clip040', first 17"),
        ("membership", 9, "membership of 1 clip is not a number from 0 to 3: 'clip040', first 9"),
        ("label", 3, "label of 1 clip is not a number from -1 to 2: 'clip040', first 3"),
        ("label", -7, "label of 1 clip is not a number from -1 to 2: 'clip040', first -7"),
        ("polarity", 7, "polarity of 1 clip is not a number from -1 to 2: 'clip040', first 7"),
    ],
)
def test_codes_that_do_not_exist_leave_no_clip_out_unnoticed(tmp_path, name, value, message):
    static = {**tiny_static(), "status": np.full(N, Status.DONE, dtype=np.uint8)}[name].copy()
    static[40] = value
    with opened(tmp_path, **{name: static}) as damaged, pytest.raises(CacheError, match=message):
        polarity_labels(damaged, DataConfig()) if name == "polarity" else fold_rows(
            damaged, 1, DataConfig(), seed=0
        )


def test_holdout_depends_on_the_seed_alone(cache):
    drawn = [fold_rows(cache, 1, DataConfig(), seed=seed).validation.tolist() for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=80), st.floats(0.01, 0.5), st.integers(0, 5))
def test_holdout_is_a_stratified_partition(labels, share, seed):
    label = np.array(labels)
    train, held = hold_out(np.arange(len(label)), label, share, seed)
    assert sorted([*train, *held]) == list(range(len(label)))
    for count, held_count in zip(np.bincount(label), np.bincount(label[held], minlength=4), strict=False):
        assert held_count == (min(max(1, int(share * count + 0.5)), count - 1) if count else 0)


def test_validation_clips_of_the_data_set_are_taken_when_there_are_any(tmp_path):
    with opened(tmp_path, membership=membership(validation=(20, 30), test=(30, 48))) as cache:
        rows = fold_rows(cache, 1, DataConfig(), seed=0)
        assert (rows.rule, rows.validation.tolist()) == ("given", list(range(20, 30)))
        held = fold_rows(cache, 1, DataConfig(validation="holdout"), seed=0)
        assert held.left_out == {"marked validation while data.validation=holdout": 10}
        assert held.validation.max() < 20


@pytest.mark.parametrize(("rule", "start", "stop"), [("test", 32, 48), ("train", 0, 32)])
def test_selecting_on_test_or_train_is_possible_and_named(cache, rule, start, stop):
    rows = fold_rows(cache, 1, DataConfig(validation=rule), seed=0)
    assert (rows.rule, rows.validation.tolist()) == (rule, list(range(start, stop)))
    assert rows.train.tolist() == list(range(32))


def test_clips_without_features_or_label_are_left_out_and_counted(tmp_path):
    status = np.full(N, Status.DONE, dtype=np.uint8)
    status[[0, 1]], status[2], status[3], status[40] = (
        Status.FAILED, Status.PENDING, Status.DONE_WITHOUT_FACE, Status.FAILED,
    )  # fmt: skip
    label = (np.arange(N) % 3).astype(np.int16)
    label[[4, 5, 6, 41]] = -1
    with opened(tmp_path, status=status, label=label) as cache:
        rows = fold_rows(cache, 1, DataConfig(), seed=0)
    assert rows.left_out == {"failed": 3, "pending": 1, "unlabelled": 4}
    used = {*rows.train, *rows.validation, *rows.test}
    assert used == set(range(N)) - {0, 1, 2, 4, 5, 6, 40, 41}


def test_clips_outside_the_fold_are_no_concern_of_it(tmp_path):
    status = np.full(N, Status.DONE, dtype=np.uint8)
    status[:10] = Status.FAILED
    with opened(tmp_path, status=status, membership=membership(absent=(0, 10), test=(40, 48))) as cache:
        assert fold_rows(cache, 1, DataConfig(), seed=0).left_out == {}


def test_unlabelled_clips_count_in_their_fold_and_where_they_are_in_none(tmp_path):
    label = (np.arange(N) % 3).astype(np.int16)
    label[:4] = -1
    both = np.full((N, 2), Split.TRAIN, dtype=np.uint8)
    both[0], both[1], both[2] = Split.ABSENT, (Split.TRAIN, Split.ABSENT), (Split.ABSENT, Split.TEST)
    path = tiny_cache(tmp_path / "feats.zarr", tiny_meta(fold_names=("1", "2")), label=label, membership=both)
    with FeatureCache.open(path) as cache:
        left_out = [fold_rows(cache, fold, DataConfig(), seed=0).left_out for fold in ("1", "2")]
    assert left_out == [{"unlabelled": 3}, {"unlabelled": 3}]  # clips 0, 1 and 3; clips 0, 2 and 3


def test_a_cache_without_labels_is_refused_with_the_command_that_adds_them(tmp_path):
    with opened(tmp_path, label=np.full(N, -1, dtype=np.int16)) as cache:
        message = (
            "^None of the 48 clips of '.*feats.zarr' has a label; .* `cli.py cache relabel .*feats.zarr`; no"
        )
        with pytest.raises(ConfigError, match=message):
            fold_rows(cache, 1, DataConfig(), seed=0)


def test_clips_of_the_first_class_alone_are_labelled_clips(tmp_path):
    label = np.full(N, -1, dtype=np.int16)
    label[0] = 0
    with opened(tmp_path, label=label) as cache:
        assert fold_rows(cache, 1, DataConfig(), seed=0).train.tolist() == [0]


def test_the_hash_of_the_training_clips_differs_with_what_trains_and_what_validates(cache):
    rows = fold_rows(cache, 1, DataConfig(), seed=0)
    same = [rows, fold_rows(cache, 1, DataConfig(), seed=0), replace(rows, test=rows.test[1:])]
    others = [
        replace(rows, train=rows.train[1:]),
        replace(rows, validation=rows.validation[1:]),
        replace(rows, train=rows.validation, validation=rows.train),
    ]
    assert len({each.training_sha256() for each in same}) == 1
    assert len({each.training_sha256() for each in [rows, *others]}) == 4


def test_an_empty_split_is_refused_with_the_counts(tmp_path):
    with opened(tmp_path, membership=membership()) as cache:
        rows = fold_rows(cache, 1, DataConfig(validation="given"), seed=0)
    with pytest.raises(
        ConfigError, match=r"Fold '1' has no usable clips in split 'test' \(train 48, validation 0"
    ):
        rows.of("test")
    with pytest.raises(ConfigError, match="data.validation is given; others: holdout, test, train "):
        rows.of("validation")
    with pytest.raises(ConfigError, match="split is 'dev'; allowed: train, validation, test"):
        rows.of("dev")


def test_an_empty_split_of_an_unfinished_cache_points_to_extract(cache):
    rows = replace(fold_rows(cache, 1, DataConfig(), seed=0), test=np.empty(0, int), left_out={"pending": 2})
    with pytest.raises(ConfigError, match="2 clips of the fold without features yet: run `extract` again."):
        rows.of("test")


def test_the_split_to_measure_is_test_or_else_validation(tmp_path, cache):
    assert fold_rows(cache, 1, DataConfig(), seed=0).split_to_measure == "test"
    with opened(tmp_path, membership=membership()) as without_test:
        rows = fold_rows(without_test, 1, DataConfig(), seed=0)
        assert rows.split_to_measure == "validation"
        assert len(rows.of("validation"))
        with pytest.raises(
            ConfigError, match=r"Measure --split validation, or mark test clips in the dataset"
        ):
            rows.of("test")
        rows = fold_rows(without_test, 1, DataConfig(validation="given"), seed=0)
        with pytest.raises(ConfigError, match=r"Measure --split train, or mark test clips in the dataset"):
            rows.of("test")


def test_folds_go_by_name_or_by_number():
    meta = tiny_meta(fold_names=("fd1", "fd2"))
    assert [fold_number(meta, fold) for fold in ("fd2", 1, 2)] == [1, 0, 1]
    for fold in (0, 3, "fd9", "-1"):
        with pytest.raises(ConfigError, match=f"fold is {fold!r}; this cache has 2: fd1, fd2"):
            fold_number(meta, fold)


@pytest.mark.parametrize(
    ("asked", "trained", "is_known", "names", "fold"),
    [
        (None, "2", True, ("1", "2"), "2"),
        (None, "2", True, ("1",), "1"),
        (None, "2", False, ("all",), "all"),
        ("1", "2", True, ("1", "2"), "1"),
        (2, "1", False, ("a", "b"), "b"),
    ],
)
def test_the_fold_to_measure_is_the_one_given_the_runs_own_or_the_only_one(
    asked, trained, is_known, names, fold
):
    meta = tiny_meta(fold_names=names)
    assert fold_to_measure(meta, asked, trained, is_known=is_known, where="feats.zarr") == fold


def test_no_fold_of_several_is_measured_by_chance():
    meta = tiny_meta(fold_names=("1", "2"))
    for trained, is_known in (("1", False), ("3", True)):
        with pytest.raises(ConfigError, match=rf"'feats.zarr' has 2 folds \(1, 2\), and fold '{trained}'"):
            fold_to_measure(meta, None, trained, is_known=is_known, where="feats.zarr")


def test_files_of_a_fold_have_its_name_or_its_number():
    names = ("1", "a/b", "..")
    assert [folder_of_fold(names, name) for name in names] == ["fold1", "fold-2", "fold-3"]


def test_usable_clips_are_those_done_with_a_label(tmp_path, cache):
    status = np.full(N, Status.DONE, dtype=np.uint8)
    label = (np.arange(N) % 3).astype(np.int16)
    for row, (state, of) in enumerate(((Status.PENDING, 0), (Status.FAILED, 0), (Status.DONE, -1))):
        changed = status.copy(), label.copy()
        changed[0][0], changed[1][0] = state, of
        with FeatureCache.open(
            tiny_cache(tmp_path / f"{row}.zarr", status=changed[0], label=changed[1])
        ) as other:
            assert usable_sha256(other) != usable_sha256(cache)
            with pytest.raises(CacheError, match="other clips, or other groups of clips, than when this"):
                require_usable(other, usable_sha256(cache))
    status[1] = Status.DONE_WITHOUT_FACE
    with opened(tmp_path, status=status) as same:
        require_usable(same, usable_sha256(cache))


def test_usable_clips_are_others_in_other_groups(tmp_path, cache):
    """A cache without groups, and two of equal partitions under other names, are as they were."""
    hashes = []
    for name, size in (("two", 2), ("three", 3), ("also", 3)):
        groups = np.array([f"{name}{row // size}" for row in range(N)], dtype=object)
        meta = tiny_meta(num_groups=len(set(groups)))
        with FeatureCache.open(tiny_cache(tmp_path / f"{name}.zarr", meta, group=groups)) as other:
            hashes.append(usable_sha256(other))
    assert hashes[1] == hashes[2]
    assert len({usable_sha256(cache), *hashes}) == 3


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("polarity", [Polarity.NEGATIVE, Polarity.NEUTRAL, Polarity.POSITIVE])
def test_polarity_map_applies_to_the_classes_that_it_names(cache, name, polarity):
    config = DataConfig(polarity_map=(f"{name}:{polarity.name.lower()}",))
    label = cache.read("label")
    changed, plain = polarity_labels(cache, config), polarity_labels(cache, DataConfig())
    named = label == CLASSES.index(name)
    assert (changed[named] == polarity).all()
    assert np.array_equal(changed[~named], plain[~named])
    assert changed.dtype == np.int64


def test_polarity_map_of_a_class_that_the_cache_lacks_is_refused(cache):
    with pytest.raises(ConfigError, match="names class 'joy'; this cache has: happiness, neutral, sadness"):
        polarity_labels(cache, DataConfig(polarity_map=("joy:positive",)))


def test_unknown_polarity_is_an_error_that_names_three_ways_out(tmp_path):
    polarity = np.full(N, 1, dtype=np.int8)
    polarity[[0, 3, 2]] = -1
    with opened(tmp_path, polarity=polarity) as cache:
        polarity_N = polarity_labels(cache, DataConfig())
        require_polarities(cache, polarity_N, np.arange(4, N))
        with pytest.raises(
            ConfigError, match="3 clips of happiness, sadness have no known polarity"
        ) as caught:
            require_polarities(cache, polarity_N, np.arange(N))
    for way in (
        "'polarity' column",
        "--set data.polarity_map=happiness:positive",
        "--set model.polarity=false",
    ):
        assert way in str(caught.value)

import math
import os
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.datasets import READERS
from pipeline.footage import (
    OFFICIAL_SPLITS,
    Footage,
    FootageIndex,
    SharedFootage,
    beyond,
    cached_footage,
    leak_warnings,
    leaks_of_cache,
    leaks_of_index,
    listed_footage,
    shared_footage,
)
from pipeline.groups import groups_of_cache, number_groups
from pipeline.store.reader import FeatureCache
from pipeline.types import ClipRef, DatasetIndex, Split
from tests.tiny_cache import tiny_cache, tiny_meta, tiny_static

TRAIN, VALIDATION, TEST, ABSENT = Split.TRAIN, Split.VALIDATION, Split.TEST, Split.ABSENT


def part(clip_id, start=0.0, end=math.inf, file="a"):
    return Footage(clip_id=clip_id, files=(("path", file),), start_seconds=start, end_seconds=end)


# Windows

windows = st.tuples(st.integers(0, 20), st.integers(1, 8), st.sampled_from("ab"))


@given(st.lists(windows, max_size=20), windows)
def test_an_overlap_is_found_exactly_where_one_of_all_pairs_overlaps(others, asked):
    parts = [part(f"c{n}", start, start + long, file) for n, (start, long, file) in enumerate(others)]
    start, long, file = asked
    mine = part("mine", start, start + long, file)
    overlapping = [
        one
        for one in parts
        if one.files == mine.files
        and one.start_seconds < mine.end_seconds
        and mine.start_seconds < one.end_seconds
    ]
    found = FootageIndex(parts).overlapping(mine)
    assert (found in overlapping) if overlapping else found is None


def test_windows_that_touch_do_not_overlap_and_a_whole_file_overlaps_every_window():
    index = FootageIndex([part("first", 0, 2)])
    assert index.overlapping(part("next", 2, 4)) is None
    assert index.overlapping(part("late", 1.9, 4)).clip_id == "first"
    assert index.overlapping(part("all")).clip_id == "first"
    assert index.overlapping(part("elsewhere", 0, 2, file="b")) is None


def test_any_key_of_a_file_is_enough():
    index = FootageIndex([Footage(clip_id="x", files=(("path", "a"), ("sha256", "1")))])
    assert index.overlapping(Footage(clip_id="y", files=(("path", "b"), ("sha256", "1")))).clip_id == "x"
    assert index.overlapping(Footage(clip_id="y", files=(("path", "1"),))) is None


# Splits of a fold


def test_test_is_compared_with_training_and_validation_and_validation_with_training():
    parts = {
        TRAIN: [part("t", file="a"), part("t2", file="b")],
        VALIDATION: [part("v", file="a"), part("v2", file="c")],
        TEST: [part("e", file="b"), part("e2", file="c"), part("e3", file="d")],
    }
    assert [str(one) for one in shared_footage(parts)] == [
        "'v' (validation) with 't' (train)",
        "'e' (test) with 't2' (train)",
        "'e2' (test) with 'v2' (validation)",
    ]


def test_a_clip_is_never_compared_with_itself():
    assert not list(shared_footage({TRAIN: [part("x")], TEST: [part("x")]}))


# On disk


def index_of(root, *clips):
    given = [
        ClipRef(clip_id=clip_id, path=path, label=0, splits=(split,), start_seconds=start, end_seconds=end)
        for clip_id, path, split, start, end in clips
    ]
    return DatasetIndex(
        name="manifest", root=root, class_names=("joy",), fold_names=("1",), clips=tuple(given)
    )


def hard(root):
    os.link(root / "a.mp4", root / "b.mp4")
    return "b.mp4"


def symbolic(root):
    (root / "b.mp4").symlink_to("a.mp4")
    return "b.mp4"


def same_path(_):
    return "a.mp4"


def with_a_dot(_):
    return "./a.mp4"


@pytest.mark.parametrize("other_name", [hard, symbolic, same_path, with_a_dot])
def test_one_file_under_two_names_is_found_before_extraction(tmp_path, other_name):
    (tmp_path / "a.mp4").write_bytes(b"x")
    second = other_name(tmp_path)
    leaks = leaks_of_index(
        index_of(tmp_path, ("1", "a.mp4", TRAIN, None, None), ("2", second, TEST, None, None))
    )
    assert [str(one) for one in leaks["1"]] == ["'2' (test) with '1' (train)"]
    (line,) = leak_warnings(leaks)
    assert line == (
        "LEAK in fold 1: 1 clip with footage that another split has too: '2' (test) with '1' (train); "
        "`data check` lists all"
    )


def test_other_files_other_windows_and_one_split_are_no_leak(tmp_path):
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(b"x")
    assert not leaks_of_index(
        index_of(
            tmp_path,
            ("1", "a.mp4", TRAIN, 0, 2),
            ("2", "a.mp4", TEST, 2, 4),
            ("3", "a.mp4", TRAIN, 1, 2),
            ("4", "b.mp4", TEST, None, None),
            ("5", "b.mp4", ABSENT, None, None),
        )
    )


def test_a_missing_file_is_known_by_its_path(tmp_path):
    leaks = leaks_of_index(
        index_of(tmp_path, ("1", "gone.mp4", TRAIN, None, None), ("2", "x/../gone.mp4", VALIDATION, None, 1))
    )
    assert [str(one) for one in leaks["1"]] == ["'2' (validation) with '1' (train)"]


# In a cache


def test_a_cache_knows_copies_by_their_hash_and_leaves_clips_without_a_label_alone(tmp_path):
    sha256 = np.array([f"{row:064x}" for row in range(48)], dtype=object)
    sha256[[40, 41]] = sha256[3]
    label = tiny_static()["label"].copy()
    label[41] = -1
    path = tiny_cache(tmp_path / "feats.zarr", source_sha256=sha256, label=label)
    with FeatureCache.open(path) as cache:
        assert cached_footage(cache)[40] == Footage(
            clip_id="clip040", files=(("path", "clip040.mp4"), ("sha256", f"{3:064x}"))
        )
        assert [str(one) for one in leaks_of_cache(cache)["1"]] == ["'clip040' (test) with 'clip003' (train)"]


def test_a_damaged_membership_is_no_split(tmp_path):
    membership = np.full((48, 1), 7, dtype=np.uint8)
    same = np.full(48, "a" * 64, dtype=object)
    path = tiny_cache(tmp_path / "feats.zarr", source_sha256=same, membership=membership)
    with FeatureCache.open(path) as cache:
        assert leaks_of_cache(cache) == {}


def test_a_leak_that_is_known_is_no_news_in_its_fold():
    one, other, again = (
        SharedFootage(clip_id=clip_id, split=TEST, seen_id=seen_id, seen_split=TRAIN)
        for clip_id, seen_id in (("a", "b"), ("c", "d"), ("a", "copy of b"))
    )
    assert beyond({"1": [again, other], "2": [one]}, {"1": [one]}) == {"1": [other], "2": [one]}
    assert beyond({"1": [one]}, {"1": [one]}) == {}


def test_the_official_data_sets_are_those_with_published_splits():
    published = {name for name, module in READERS.items() if hasattr(import_module(module), "SET")}
    assert published == set(OFFICIAL_SPLITS)


# Only clips that share a file are compared


def test_leaks_of_files_are_those_of_all_clips_whatever_shares_a_file(tmp_path):
    generator = np.random.default_rng(0)
    names = [f"{number}.mp4" for number in range(12)]
    for name in names:
        (tmp_path / name).touch()
    os.link(tmp_path / "0.mp4", tmp_path / "hard.mp4")
    (tmp_path / "soft.mp4").symlink_to("1.mp4")
    names += ["hard.mp4", "soft.mp4", "gone.mp4", "no/gone.mp4", "./2.mp4"]
    num_leaking = 0
    for _ in range(40):
        chosen = generator.choice(names, 14)
        windows = [(None, None), (0.0, 2.0), (1.0, 3.0), (2.0, None)]
        clips = [
            ClipRef(
                clip_id=f"{number:02}",
                path=str(path),
                label=int(generator.integers(-1, 2)),
                splits=tuple(Split(int(split)) for split in generator.integers(0, 4, 2)),
                start_seconds=windows[place][0],
                end_seconds=windows[place][1],
            )
            for number, (path, place) in enumerate(zip(chosen, generator.integers(0, 4, 14), strict=True))
        ]
        index = DatasetIndex(
            name="x", root=tmp_path, class_names=("a", "b"), fold_names=("1", "2"), clips=tuple(clips)
        )
        plain = plain_leaks(
            listed_footage(tmp_path, clips),
            [clip.splits for clip in clips],
            [clip.label >= 0 for clip in clips],
        )
        assert leaks_of_index(index) == plain
        num_leaking += bool(plain)
    assert 10 < num_leaking < 40


def test_leaks_and_groups_of_a_cache_are_those_of_all_clips_whatever_shares_a_file(tmp_path):
    generator = np.random.default_rng(0)
    for trial in range(6):
        text = {
            name: np.array(
                [f"{name}{n}" if n < most else "" for n in generator.integers(0, 60, 48)], dtype=object
            )
            for name, most in (("path", 60), ("source_sha256", 40), ("group", 20))
        }
        numbers = {
            "label": generator.integers(-1, 3, 48).astype(np.int16),
            "membership": generator.integers(0, 4, (48, 1)).astype(np.uint8),
            "start_seconds": generator.integers(0, 3, 48).astype(np.float64),
            "end_seconds": np.where(generator.random(48) < 0.5, -1.0, 4.0),
        }
        meta = tiny_meta(num_groups=len(set(text["group"]) - {""}))
        with FeatureCache.open(tiny_cache(tmp_path / f"{trial}.zarr", meta, **text, **numbers)) as cache:
            footage = cached_footage(cache)
            labelled = (numbers["label"] >= 0).tolist()
            plain = plain_leaks(footage, numbers["membership"].tolist(), labelled)
            assert plain
            assert leaks_of_cache(cache) == plain
            expected = number_groups(footage, text["group"].tolist())
            np.testing.assert_array_equal(groups_of_cache(cache), expected)


def plain_leaks(footage, splits, labelled):
    """Leaks by fold, from the footage of every labelled clip."""
    found = {}
    for fold in range(len(splits[0])):
        parts = {}
        for one, of_folds, is_labelled in zip(footage, splits, labelled, strict=True):
            if is_labelled:
                parts.setdefault(of_folds[fold], []).append(one)
        if shared := list(shared_footage(parts)):
            found[f"{fold + 1}"] = shared
    return found

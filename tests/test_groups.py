import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.footage import Footage
from pipeline.groups import groups_of_cache, has_groups, number_groups
from pipeline.store.reader import FeatureCache
from tests.tiny_cache import tiny_cache, tiny_meta


def footage(*files):
    return [Footage(clip_id=f"{n}", files=keys) for n, keys in enumerate(files)]


def path(name):
    return ("path", name)


def sha256(text):
    return ("sha256", text)


def test_named_groups_are_one_group_wherever_their_files_are():
    parts = footage((path("a"),), (path("b"),), (path("c"),), (path("d"),))
    assert number_groups(parts, ["anna", "", "anna", "bert"]).tolist() == [0, 1, 0, 3]


def test_clips_of_one_file_are_a_group_by_path_and_by_hash():
    parts = footage((path("a"), sha256("1")), (path("b"),), (path("a"),), (path("c"), sha256("1")))
    assert number_groups(parts, [""] * 4).tolist() == [0, 1, 0, 0]


def test_clips_that_others_join_are_one_group_in_any_order():
    parts = footage((path("a"),), (sha256("1"),), (path("a"), sha256("1")))
    assert number_groups(parts, [""] * 3).tolist() == [0, 0, 0]
    assert number_groups(parts[::-1], [""] * 3).tolist() == [0, 0, 0]


def test_names_part_the_windows_of_one_file():
    parts = footage((path("a"),), (path("a"),), (path("a"),))
    assert number_groups(parts, ["left", "right", ""]).tolist() == [0, 1, 2]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 2)), max_size=30))
def test_groups_are_the_connected_clips(clips):
    parts = footage(*((path(f"{p}"), sha256(f"{s}")) for p, s, _ in clips))
    names = ["" if name == 0 else f"{name}" for _, _, name in clips]
    found = number_groups(parts, names).tolist()

    def linked(one, other):
        if names[one] or names[other]:
            return names[one] == names[other]
        return clips[one][0] == clips[other][0] or clips[one][1] == clips[other][1]

    reach = list(range(len(clips)))
    for _ in clips:
        for one in range(len(clips)):
            reach[one] = min(
                reach[other] for other in range(len(clips)) if other == one or linked(one, other)
            )
    assert found == reach


@pytest.mark.parametrize(("numbers", "expected"), [([], False), ([3, 1, 2], False), ([1, 2, 1], True)])
def test_groups_are_there_once_two_clips_share_one(numbers, expected):
    assert has_groups(np.array(numbers, dtype=np.int64)) is expected


def test_a_cache_without_groups_has_those_of_its_files(tmp_path):
    paths = np.array([f"{n // 2}.mp4" for n in range(48)], dtype=object)
    with FeatureCache.open(tiny_cache(tmp_path / "files.zarr", path=paths)) as cache:
        assert groups_of_cache(cache).tolist() == [n - n % 2 for n in range(48)]
    with FeatureCache.open(tiny_cache(tmp_path / "none.zarr")) as cache:
        assert groups_of_cache(cache).tolist() == list(range(48))


def test_a_cache_with_groups_has_its_own(tmp_path):
    names = np.array([f"subject {n % 4}" for n in range(48)], dtype=object)
    with FeatureCache.open(tiny_cache(tmp_path / "c.zarr", tiny_meta(num_groups=4), group=names)) as cache:
        assert groups_of_cache(cache).tolist() == [n % 4 for n in range(48)]

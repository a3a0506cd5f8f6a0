"""Content hashes equal the published ones; differences between configs are named, all of them."""

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import FileError
from pipeline.fingerprint import differences, sha256_file, sha256_json

KEYS = st.text("abc", min_size=1, max_size=2)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


def test_the_hash_of_a_file_is_the_published_sha256(tmp_path: Path) -> None:
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert sha256_file(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20])
def test_a_file_read_in_pieces_hashes_like_the_whole(tmp_path: Path, size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    path = tmp_path / "data"
    path.write_bytes(data[:size])
    assert sha256_file(path) == hashlib.sha256(data[:size]).hexdigest()


def test_the_hash_of_a_json_value_is_that_of_its_canonical_spelling() -> None:
    expected = hashlib.sha256(b'{"a":[1,2.5,null],"b":"x"}').hexdigest()
    assert sha256_json({"b": "x", "a": [1, 2.5, None]}) == expected
    assert sha256_json({"a": (1, 2.5, None), "b": "x"}) == expected


@given(st.dictionaries(KEYS, JSON, max_size=4))
def test_the_hash_does_not_depend_on_the_order_of_keys(value: dict[str, Any]) -> None:
    assert sha256_json(dict(reversed(value.items()))) == sha256_json(value)


def test_a_value_that_json_cannot_spell_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        sha256_json({"score": float("nan")})


def test_every_difference_is_named_with_both_values() -> None:
    mine = {"frames": {"num": 16, "views": 1}, "precision": "fp32", "mean": (1, 2), "extra": None}
    theirs = {"frames": {"num": 8, "views": 1}, "precision": "bf16", "mean": [1, 2], "encoder": {"name": "B"}}
    assert differences(mine, theirs) == [
        'encoder.name: absent here, "B" there',
        "extra: null here, absent there",
        "frames.num: 16 here, 8 there",
        'precision: "fp32" here, "bf16" there',
    ]


def test_a_section_that_is_empty_on_one_side_is_a_difference() -> None:
    assert differences({"boxes": {}}, {"boxes": {"score": 0.5}}) == [
        "boxes: {} here, absent there",
        "boxes.score: absent here, 0.5 there",
    ]


@given(st.dictionaries(KEYS, JSON, max_size=4))
def test_a_mapping_does_not_differ_from_itself(value: dict[str, Any]) -> None:
    assert differences(value, value) == []


@given(st.dictionaries(KEYS, JSON, max_size=3), st.dictionaries(KEYS, JSON, max_size=3))
def test_there_is_a_difference_exactly_when_the_mappings_are_unequal(
    mine: dict[str, Any], theirs: dict[str, Any]
) -> None:
    assert (differences(mine, theirs) == []) == (mine == theirs)


def test_what_is_no_regular_file_or_too_large_is_not_hashed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").touch()
    os.truncate(tmp_path / "large", 1 << 40)
    with pytest.raises(FileError, match="pipe' is a pipe; a regular file is needed"):
        sha256_file(tmp_path / "pipe")
    with pytest.raises(FileError, match="large' has 1099511627776 bytes; allowed: 68719476736"):
        sha256_file(tmp_path / "large")
    with pytest.raises(FileError, match="'/dev/zero' is a device"):
        sha256_file(Path("/dev/zero"))

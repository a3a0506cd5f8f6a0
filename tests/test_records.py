import errno
import os
from pathlib import Path

import pytest

from pipeline.store import records
from pipeline.store.place import Place
from pipeline.store.records import records_of


@pytest.fixture(params=["folder", "bucket"])
def place(request, tmp_path):
    """Where a cache is to be: records are the same in a folder and in a bucket."""
    if request.param == "folder":
        return Place.of(tmp_path / "feats.zarr")
    return Place.of(request.getfixturevalue("bucket").url("p/feats.zarr"))


def test_a_record_is_made_read_replaced_and_removed(place):
    held = records_of(place)
    assert (held.names(), held.read("a")) == ([], None)
    assert held.create("a", b"1")
    assert not held.create("a", b"2")
    first = held.read("a")
    assert (held.names(), first.value) == (["a"], b"1")
    assert held.swap("a", first.tag, b"3")
    assert not held.swap("a", first.tag, b"4")
    assert held.read("a").value == b"3"
    assert held.remove("a", held.read("a").tag)
    assert (held.names(), held.read("a")) == ([], None)


def test_a_record_that_has_changed_is_not_removed(place):
    mine, other = records_of(place), records_of(place)
    mine.create("a", b"1")
    read = mine.read("a")
    assert other.swap("a", read.tag, b"2")
    assert not mine.remove("a", read.tag)
    assert other.read("a").value == b"2"
    assert not mine.remove("never", read.tag)


def test_a_record_that_changes_during_its_removal_stays(bucket, monkeypatch):
    held = records_of(Place.of(bucket.url("p/feats.zarr")))
    held.create("a", b"1")
    read = held.read("a")
    swap = type(held).swap

    def too_late(self, name, tag, value):
        assert swap(held, "a", read.tag, b"2")
        return swap(self, name, tag, value)

    with monkeypatch.context() as patch:
        patch.setattr(type(held), "swap", too_late)
        assert not held.remove("a", read.tag)
    assert held.read("a").value == b"2"


def test_what_a_killed_remover_left_is_no_record_and_its_place_is_taken_later(bucket, monkeypatch):
    held = records_of(Place.of(bucket.url("p/feats.zarr")))
    held.create("a", b"1")
    store = bucket.store()
    (key,) = bucket.objects("p/.feats.zarr.locks")
    store.put(key, b"removed 0123")
    assert held.read("a") is None
    assert not held.create("a", b"2"), "its remover may be about to delete it"
    monkeypatch.setattr(records, "_TOMBSTONE_SECONDS", -10.0)
    assert held.create("a", b"2")
    assert held.read("a").value == b"2"


def test_a_full_disk_leaves_no_half_record(tmp_path, monkeypatch):
    held = records_of(Place.of(tmp_path / "feats.zarr"))

    def half(self, value):
        with self.open("wb") as file:
            file.write(value[:1])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", half)
        with pytest.raises(OSError, match="No space left"):
            held.create("a", b"whole")
    assert list(tmp_path.iterdir()) == []
    assert held.create("a", b"whole")


def test_a_disk_without_hard_links_will_do(tmp_path, monkeypatch):
    held = records_of(Place.of(tmp_path / "feats.zarr"))

    def refuse(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert held.create("a", b"1")
    assert not held.create("a", b"2")
    assert held.read("a").value == b"1"
    assert [path.name for path in (tmp_path / ".feats.zarr.locks").iterdir() if path.suffix == ".new"] == []

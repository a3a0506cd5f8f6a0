import errno
import os

import pytest

from pipeline.errors import FileError
from pipeline.store import lock_records
from pipeline.store.location import Location
from pipeline.store.lock_records import records_of


@pytest.fixture(params=["folder", "bucket"])
def place(request, tmp_path):
    """Where a cache is to be: records are the same in a folder and in a bucket."""
    if request.param == "folder":
        return Location.of(tmp_path / "feats.zarr")
    return Location.of(request.getfixturevalue("bucket").url("p/feats.zarr"))


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
    held = records_of(Location.of(bucket.url("p/feats.zarr")))
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
    held = records_of(Location.of(bucket.url("p/feats.zarr")))
    held.create("a", b"1")
    store = bucket.store()
    (key,) = bucket.objects("p/.feats.zarr.locks")
    store.put(key, b"removed 0123")
    assert held.read("a") is None
    assert not held.create("a", b"2"), "its remover may be about to delete it"
    monkeypatch.setattr(lock_records, "_TOMBSTONE_SECONDS", -10.0)
    assert held.create("a", b"2")
    assert held.read("a").value == b"2"


def test_a_full_disk_leaves_no_half_record(tmp_path, monkeypatch):
    held = records_of(Location.of(tmp_path / "feats.zarr"))

    whole = lock_records._write_new

    def half(folder, name, value):
        whole(folder, name, value[:1])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(lock_records, "_write_new", half)
        with pytest.raises(OSError, match="No space left"):
            held.create("a", b"whole")
    assert list(tmp_path.iterdir()) == []
    assert held.create("a", b"whole")


def test_a_disk_without_hard_links_will_do(tmp_path, monkeypatch):
    held = records_of(Location.of(tmp_path / "feats.zarr"))

    def refuse(*_args, **_more):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert held.create("a", b"1")
    assert not held.create("a", b"2")
    assert held.read("a").value == b"1"
    assert [path.name for path in (tmp_path / ".feats.zarr.locks").iterdir() if path.suffix == ".new"] == []


@pytest.fixture
def victim(tmp_path):
    """A file of somebody else's, in a folder of its own."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/victim").write_text("mine")
    return tmp_path / "elsewhere/victim"


@pytest.fixture
def planted(tmp_path):
    """The folder of the records, as it may come with a cache."""
    folder = tmp_path / ".feats.zarr.locks"
    folder.mkdir()
    return folder


def test_a_link_in_the_place_of_the_folder_is_refused(tmp_path, victim, planted):
    planted.rmdir()
    planted.symlink_to(victim.parent)
    held = records_of(Location.of(tmp_path / "feats.zarr"))
    for attempt in (held.names, lambda: held.read("whole"), lambda: held.create("whole", b"1")):
        with pytest.raises(FileError, match=r"locks' is a link to '.*/elsewhere'; a directory is needed"):
            attempt()
    assert [path.name for path in victim.parent.iterdir()] == ["victim"]


@pytest.mark.parametrize("name", ["whole.json", "guard"])
def test_a_link_in_the_place_of_a_file_is_refused_and_its_target_stays(tmp_path, victim, planted, name):
    (planted / name).symlink_to(victim)
    held = records_of(Location.of(tmp_path / "feats.zarr"))
    with pytest.raises(FileError, match="is a link"):
        held.swap("whole", b"mine".hex(), b"2")
    if name == "guard":
        victim.unlink()
        with pytest.raises(FileError, match="is a link"):
            held.create("whole", b"1")
        assert not victim.exists(), "a file was created elsewhere"
    else:
        with pytest.raises(FileError, match=r"is a link to '.*/victim'; a regular file is needed"):
            held.read("whole")
        assert victim.read_text() == "mine"


@pytest.mark.parametrize("name", ["whole.json", "guard"])
def test_a_pipe_or_device_is_not_waited_for(tmp_path, planted, name):
    os.mkfifo(planted / name)
    held = records_of(Location.of(tmp_path / "feats.zarr"))
    with pytest.raises(FileError, match="is a pipe"):
        held.swap("whole", "", b"2")


def test_a_record_beyond_all_measure_is_not_read(place, request):
    held = records_of(place)
    held.create("whole", b"1")
    if place.is_local:
        os.truncate(place.path.parent / ".feats.zarr.locks/whole.json", 1 << 40)
        with pytest.raises(FileError, match="has 1099511627776 bytes; allowed: 16384"):
            held.read("whole")
    else:
        held.swap("whole", held.read("whole").tag, b"x" * 20_000)
        assert held.read("whole").value == b""


def test_the_path_that_the_user_gave_may_lead_through_a_link(tmp_path):
    (tmp_path / "scratch").mkdir()
    (tmp_path / "runs").symlink_to(tmp_path / "scratch")
    held = records_of(Location.of(tmp_path / "runs/feats.zarr"))
    assert held.create("whole", b"1")
    assert (tmp_path / "scratch/.feats.zarr.locks/whole.json").read_bytes() == b"1"


def test_a_folder_that_can_never_be_made_is_an_error():
    """As below /proc, which reports that the directory does not exist; a removed one is made again."""
    records = records_of(Location.of("/proc/feats.zarr"))
    with pytest.raises(FileError, match="feats.zarr.locks' cannot be created"):
        records.create("whole", b"value")

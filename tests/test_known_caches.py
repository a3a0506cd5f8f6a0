"""A cache on object storage is contacted at the user's word alone, never at that of a run's files."""

import os
import stat
from pathlib import Path

import pytest

from pipeline.errors import CacheError
from pipeline.store.location import Location
from trainer.known_caches import remember, require_known, state_directory

PLACE = Location.of("s3://features/feats.zarr")
RUN = Path("runs/a")


@pytest.fixture(autouse=True)
def state(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state/ous/remote-caches"


def test_an_address_is_known_once_the_user_has_trained_on_it(state):
    with pytest.raises(CacheError, match="no training of yours on this machine has used it") as caught:
        require_known(PLACE, RUN)
    assert "give --cache s3://features/feats.zarr" in str(caught.value)
    assert remember(PLACE) == ""
    require_known(PLACE, RUN)
    require_known(Location.of(f"{PLACE}/"), RUN)
    with pytest.raises(CacheError, match="no training of yours"):
        require_known(Location.of("s3://features/feats.zarr2"), RUN)
    assert len(list(state.iterdir())) == 1
    assert stat.S_IMODE(state.stat().st_mode) == 0o700


def test_the_record_is_private_where_new_directories_are_writable_for_a_group(state):
    before = os.umask(0o002)
    try:
        assert remember(PLACE) == ""
    finally:
        os.umask(before)
    require_known(PLACE, RUN)
    assert stat.S_IMODE(state.stat().st_mode) == 0o700


def test_a_local_cache_needs_no_record(state):
    assert remember(Location.of("feats.zarr")) == ""
    require_known(Location.of("feats.zarr"), RUN)
    assert not state.exists()


def _as_link(record: Path) -> None:
    record.rename(record.with_name("other"))
    record.symlink_to("other")


def _as_fifo(record: Path) -> None:
    record.unlink()
    os.mkfifo(record)


def _as_directory(record: Path) -> None:
    record.unlink()
    record.mkdir()


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda record: record.write_text("s3://another/place\n"), "is damaged"),
        (lambda record: record.write_bytes(b"\xff" * 9000), "has 9000 bytes"),
        (lambda record: record.write_bytes(b""), "is damaged"),
        (lambda record: record.parent.chmod(0o777), "others may write it"),
        (_as_link, "is a link to 'other'"),
        (_as_fifo, "is a pipe"),
        (_as_directory, "is a directory"),
    ],
)
def test_a_record_that_is_none_counts_as_none(state, damage, why):
    remember(PLACE)
    (record,) = state.iterdir()
    damage(record)
    with pytest.raises(CacheError, match=why):
        require_known(PLACE, RUN)


def test_a_damaged_record_is_replaced_and_a_link_is_not_followed(state, tmp_path):
    remember(PLACE)
    (record,) = state.iterdir()
    target = tmp_path / "target"
    target.write_text("mine")
    record.unlink()
    record.symlink_to(target)
    assert remember(PLACE) == ""
    assert (target.read_text(), record.is_symlink()) == ("mine", False)
    require_known(PLACE, RUN)
    assert list(state.iterdir()) == [record], "nothing half written is left"


def test_what_cannot_be_recorded_is_a_note_with_the_remedy(state):
    state.parent.parent.mkdir()
    state.parent.write_text("a file where the directory would be")
    assert "`evaluate` and `report` will need --cache s3://features/feats.zarr" in remember(PLACE)


def test_a_relative_state_directory_is_ignored_as_its_standard_demands(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", "here")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert state_directory() == tmp_path / ".local/state/ous"

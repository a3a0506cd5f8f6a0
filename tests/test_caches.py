from pathlib import Path

import pytest

from pipeline.errors import CacheError, ConfigError
from pipeline.store.location import Location
from tests.tiny_cache import tiny_cache
from trainer.caches import (
    chosen_cache,
    is_same_place,
    location_from,
    open_cache,
    stored_location,
    training_cache,
)


def test_a_cache_that_is_there_is_opened(tmp_path):
    with open_cache(tiny_cache(tmp_path / "feats.zarr")) as cache:
        assert cache.meta.num_clips == 48


@pytest.mark.parametrize(
    ("trained", "start"),
    [(None, "No cache at '.*my cache.zarr'; make one with `cli.py extract --cache '.*my cache.zarr' ...`"),
     (Path("runs/a"), "'runs/a' was trained on the cache '.*my cache.zarr', which is not there")],
)  # fmt: skip
def test_one_that_is_not_there_may_have_been_moved(tmp_path, trained, start):
    with pytest.raises(CacheError, match=rf"^{start}\. If it was moved, give its location with --cache N"):
        open_cache(tmp_path / "my cache.zarr", trained)


def test_something_else_in_its_place_is_named_as_it_is(tmp_path):
    (tmp_path / "feats.zarr").mkdir()
    with pytest.raises(CacheError, match="feats.zarr"):
        open_cache(tmp_path / "feats.zarr", Path("runs/a"))


@pytest.fixture
def pair(tmp_path):
    """A run's directory and its cache, as `train` would store where the cache is."""
    run_dir, cache = tmp_path / "project/runs/a", tmp_path / "project/feats.zarr"
    run_dir.mkdir(parents=True)
    tiny_cache(cache)
    return run_dir, cache, stored_location(Location.of(cache)), location_from(run_dir, Location.of(cache))


def test_a_cache_is_found_where_it_was_also_by_a_run_that_has_moved_alone(pair, tmp_path):
    run_dir, cache, stored, from_run = pair
    assert (stored, from_run) == (str(cache), "../../feats.zarr")
    assert training_cache(run_dir, stored, from_run) == Location(str(cache))
    (tmp_path / "other/runs/a").mkdir(parents=True)
    tiny_cache(tmp_path / "other/feats.zarr")
    assert training_cache(tmp_path / "other/runs/a", stored, from_run) == Location(str(cache))


def test_a_run_and_its_cache_that_have_moved_together_find_each_other(pair, tmp_path):
    run_dir, _, stored, from_run = pair
    (tmp_path / "project").rename(tmp_path / "moved")
    moved = tmp_path / "moved/runs/a"
    assert training_cache(moved, stored, from_run) == Location(str(tmp_path / "moved/feats.zarr"))
    assert training_cache(moved, stored, "") == Location(stored), "older runs hold no second path"
    assert training_cache(run_dir, stored, from_run) == Location(stored), (
        "and where nothing is, the first is named"
    )


@pytest.mark.parametrize("text", ["a\0b", "x" * 5000, "\ud800", ""])
def test_a_hostile_path_is_no_cache_and_no_other_error(tmp_path, text):
    place = training_cache(tmp_path, text, text)
    assert not is_same_place(place, Location(str(tmp_path)))


def test_the_user_names_any_cache_and_a_run_no_bucket(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    stranger, local = Location.of("s3://stranger/feats.zarr"), Location.of("feats.zarr")
    assert chosen_cache(tmp_path, local, None) == local
    assert chosen_cache(tmp_path, local, "s3://mine/feats.zarr") == Location.of("s3://mine/feats.zarr")
    assert chosen_cache(tmp_path, stranger, "s3://stranger/feats.zarr") == stranger
    with pytest.raises(CacheError, match="'s3://stranger/feats.zarr', and no training of yours"):
        chosen_cache(tmp_path, stranger, None)
    assert location_from(tmp_path, stranger) == ""
    assert stored_location(stranger) == "s3://stranger/feats.zarr"


@pytest.mark.parametrize("address", ["gs://b/p", "az://b/p", "http://127.0.0.1/p", "file:///etc", "S3://b/p"])
def test_no_other_address_is_a_cache(tmp_path, address):
    with pytest.raises(ConfigError, match="is not a location of a cache"):
        training_cache(tmp_path, address, "")


def test_two_ways_to_one_cache_are_one_place(pair, tmp_path):
    _, cache, _, _ = pair
    (tmp_path / "link").symlink_to(cache)
    assert is_same_place(Location(str(cache)), Location(str(tmp_path / "link")))
    assert is_same_place(Location.of("s3://b/p"), Location.of("s3://b/p/"))
    assert not is_same_place(Location.of("s3://b/p"), Location(str(cache)))

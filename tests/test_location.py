import socket
from pathlib import Path

import pytest
import zarr

from pipeline.errors import CacheError, ConfigError
from pipeline.store.location import Location
from pipeline.store.reader import FeatureCache


def test_a_place_is_what_the_user_wrote(tmp_path):
    local = Location.of("runs/feats.zarr")
    assert (str(local), local.name, local.stem, local.is_local) == (
        "runs/feats.zarr", "feats.zarr", "feats", True,
    )  # fmt: skip
    assert local.path == Path("runs/feats.zarr")
    assert Location.of(tmp_path / "a.h5").is_hdf5
    assert not Location.of(tmp_path / "a.zarr").exists()
    remote = Location.of("s3://bucket/dfew/feats.zarr/")
    assert (remote.name, remote.stem, remote.is_local) == ("feats.zarr", "feats", False)
    assert str(remote) == remote.resolved() == "s3://bucket/dfew/feats.zarr/"
    assert Location.of(remote) is remote


def test_a_relative_place_is_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Location.of("feats.zarr").resolved() == str(tmp_path.resolve() / "feats.zarr")


def test_a_neighbour_of_a_link_lies_beside_what_it_points_to(tmp_path):
    (tmp_path / "scratch").mkdir()
    (tmp_path / "feats.zarr").symlink_to(tmp_path / "scratch" / "real.zarr")
    assert Location.of(tmp_path / "feats.zarr").beside(".x").path == tmp_path.resolve() / "scratch" / ".x"
    assert str(Location.of("s3://b/p/feats.zarr/").beside(".x")) == "s3://b/p/.x"
    assert str(Location.of("s3://b/feats.zarr").beside(".x")) == "s3://b/.x"


@pytest.mark.parametrize(
    "text",
    ["s3:/bucket/feats.zarr", "s3://bucket", "s3://b/", "s3://b/../c", "s3://b//c", "gs://b/c", "http://x/y"],
)
def test_other_addresses_are_refused(text):
    with pytest.raises(
        ConfigError, match=f"'{text}' is not a location of a cache; give a local directory, or s3://"
    ):
        Location.of(text)


def test_what_is_not_on_this_machine_has_no_path():
    with pytest.raises(CacheError, match="'s3://b/c' is not on this machine"):
        _ = Location.of("s3://b/c").path


def test_a_bucket_that_is_not_there(bucket):
    with pytest.raises(
        CacheError, match="there is no bucket 'nowhere' at the endpoint http.*; create it first"
    ):
        FeatureCache.open("s3://nowhere/feats.zarr")
    with pytest.raises(CacheError, match=f"No cache at '{bucket.url('feats.zarr')}'; make one with"):
        FeatureCache.open(bucket.url("feats.zarr"))


def test_an_endpoint_that_does_not_answer_is_told(bucket, monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    with pytest.raises(CacheError, match=f"the endpoint {address} does not answer; check AWS_ENDPOINT_URL"):
        Location.of(bucket.url("feats.zarr")).exists()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("AWS_ENDPOINT_URL", "nonsense", "AWS_ENDPOINT_URL is 'nonsense'; it must begin with http"),
        ("AWS_ENDPOINT_URL", "http://no.such.host.invalid", "does not answer; check AWS_ENDPOINT_URL"),
    ],
)
def test_wrong_settings_are_one_line(bucket, monkeypatch, name, value, message):
    monkeypatch.setenv(name, value)
    with pytest.raises((CacheError, ConfigError), match=message) as caught:
        Location.of(bucket.url("feats.zarr")).exists()
    assert "\n" not in str(caught.value)


def test_without_the_package_the_remedy_is_named(monkeypatch):
    monkeypatch.setattr("pipeline.store.location.find_spec", lambda _: None)
    with pytest.raises(CacheError, match=r"'s3://b/c' needs the package 'obstore': pip install obstore"):
        Location.of("s3://b/c").exists()


@pytest.mark.parametrize(("before", "named", "after"), [(10, None, 100), (25, None, 25), (10, "10", 10)])
def test_a_bucket_is_asked_for_many_chunks_at_a_time_unless_the_user_has_set_their_number(
    bucket, monkeypatch, before, named, after
):
    if named is not None:
        monkeypatch.setenv("ZARR_ASYNC__CONCURRENCY", named)
    with zarr.config.set({"async.concurrency": before}):
        Location.of("feats.zarr").zarr_store(read_only=True)
        assert zarr.config.get("async.concurrency") == before, "a disk changes nothing"
        Location.of(bucket.url("feats.zarr")).zarr_store(read_only=True)
        assert zarr.config.get("async.concurrency") == after

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import CacheError, CacheExistsError
from pipeline.store.create import create
from pipeline.store.location import Location
from pipeline.store.reader import FeatureCache
from pipeline.store.writer import CacheWriter
from tests.tiny_cache import tiny_cache, tiny_meta, tiny_static


def test_a_cache_in_a_bucket_holds_the_same_as_a_local_one(bucket, tmp_path):
    meta = tiny_meta(block_clips=24)
    with (
        FeatureCache.open(tiny_cache(tmp_path / "c.zarr", meta)) as local,
        FeatureCache.open(tiny_cache(bucket.url("p/c.zarr"), meta)) as remote,
    ):
        assert remote.meta == local.meta
        for spec in local.meta.arrays():
            np.testing.assert_array_equal(remote.read(spec.name), local.read(spec.name))
    assert all(key.startswith("p/c.zarr/") for key in bucket.objects())
    assert "p/c.zarr/creating.json" not in bucket.objects()


def test_a_half_made_cache_in_a_bucket_is_made_anew(bucket, monkeypatch):
    url = bucket.url("c.zarr")
    with monkeypatch.context() as patch:
        patch.setattr("zarr.Group.update_attributes", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            CacheWriter.create(url, tiny_meta(), tiny_static())
    assert not Location.of(url).exists()
    with pytest.raises(CacheError, match="No cache at"):
        FeatureCache.open(url)
    bucket.store().put("c.zarr/left/over", b"x")
    CacheWriter.create(url, tiny_meta(), tiny_static())
    assert FeatureCache.open(url).status_counts()["pending"] == tiny_meta().num_clips
    assert "c.zarr/left/over" not in bucket.objects()


def test_what_is_no_cache_is_left_alone(bucket, tmp_path):
    bucket.store().put("data/thesis.tex", b"dear")
    with pytest.raises(CacheError, match="'.*data' holds other objects; give another --cache"):
        CacheWriter.create(bucket.url("data"), tiny_meta(), tiny_static())
    assert bucket.objects() == ["data/thesis.tex"]
    (tmp_path / "thesis").mkdir()
    with pytest.raises(CacheExistsError, match="thesis' exists already; give another --cache, or remove it"):
        CacheWriter.create(tmp_path / "thesis", tiny_meta(), tiny_static())


@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_of_several_creators_one_wins_and_the_others_find_it(kind, bucket, tmp_path):
    place = Location.of(tmp_path / "c.zarr" if kind == "folder" else bucket.url("c.zarr"))
    meta, static = tiny_meta(), tiny_static()

    def attempt(_):
        try:
            create(place, meta, static)
        except CacheExistsError:
            return "found"
        return "made"

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(attempt, range(4))) == ["found"] * 3 + ["made"]
    assert [path.name for path in tmp_path.iterdir()] == (["c.zarr"] if kind == "folder" else [])
    assert {key.partition("/")[0] for key in bucket.objects()} <= {"c.zarr"}
    FeatureCache.open(place)


def test_a_half_made_cache_that_another_creator_finishes_just_now_hurts_nobody(tmp_path, monkeypatch):
    half = tmp_path / ".c.zarr.abcd.creating"
    half.mkdir()
    stat = Path.stat

    def renamed(self, **options):
        if self == half and os.path.lexists(half):  # noqa: PTH110 - Path.exists is patched
            half.rmdir()
        return stat(self, **options)

    monkeypatch.setattr(Path, "stat", renamed)
    CacheWriter.create(tmp_path / "c.zarr", tiny_meta(), tiny_static())
    assert [path.name for path in tmp_path.iterdir()] == ["c.zarr"]


def test_what_a_killed_creator_left_is_removed_and_no_target_of_a_link(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/victim").write_text("mine")
    litter = [tmp_path / f".c.zarr.{name}.creating" for name in ("folder", "file", "link")]
    litter[0].mkdir()
    (litter[0] / "zarr.json").write_text("{}")
    litter[1].write_text("half")
    litter[2].symlink_to(tmp_path / "elsewhere")
    (tmp_path / ".d.zarr.other.creating").mkdir()
    for path in (*litter, tmp_path / ".d.zarr.other.creating"):
        os.utime(path, (0, 0), follow_symlinks=False)
    CacheWriter.create(tmp_path / "c.zarr", tiny_meta(), tiny_static())
    there = sorted(path.name for path in tmp_path.iterdir())
    assert there == [".d.zarr.other.creating", "c.zarr", "elsewhere"]
    assert (tmp_path / "elsewhere/victim").read_text() == "mine"

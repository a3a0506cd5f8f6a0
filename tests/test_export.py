import os

import h5py
import numpy as np
import pytest

from pipeline.errors import CacheError
from pipeline.store.export import export_hdf5
from pipeline.store.reader import FeatureCache
from tests.tiny_cache import tiny_cache, tiny_meta


def test_the_hdf5_export_reads_the_same(tmp_path):
    path = tiny_cache(tmp_path / "c.zarr")
    with FeatureCache.open(path) as cache:
        exported = export_hdf5(cache, tmp_path / "c.h5")
    assert exported.num_bytes == (tmp_path / "c.h5").stat().st_size
    with FeatureCache.open(path) as cache, FeatureCache.open(tmp_path / "c.h5") as file:
        assert file.meta == cache.meta
        for spec in cache.meta.arrays():
            np.testing.assert_array_equal(file.read(spec.name), cache.read(spec.name))
            np.testing.assert_array_equal(file.read(spec.name, 5, 9), cache.read(spec.name, 5, 9))
    with h5py.File(tmp_path / "c.h5") as raw:
        assert [dim.label for dim in raw["face/embedding"].dims] == ["clip", "view", "frame", "embed"]


def test_export_refuses_what_it_would_destroy(tmp_path):
    path = tiny_cache(tmp_path / "c.zarr")
    (tmp_path / "there.h5").write_text("mine")
    with FeatureCache.open(path) as cache:
        with pytest.raises(CacheError, match="exists already; give another --to"):
            export_hdf5(cache, tmp_path / "there.h5")
        with pytest.raises(CacheError, match=r"needs the suffix .h5 or .hdf5"):
            export_hdf5(cache, tmp_path / "there.txt")
    assert (tmp_path / "there.h5").read_text() == "mine"


def test_export_writes_through_no_link_and_sweeps_what_a_killed_one_left(tmp_path):
    path = tiny_cache(tmp_path / "c.zarr")
    (tmp_path / "victim").write_text("mine")
    litter = [tmp_path / name for name in (".c.h5.partial", ".c.h5.0123.partial", ".c.h5.link.partial")]
    litter[1].write_text("half")
    for link in (litter[0], litter[2]):
        link.symlink_to(tmp_path / "victim")
    for file in litter[1:]:
        os.utime(file, (0, 0), follow_symlinks=False)
    with FeatureCache.open(path) as cache:
        export_hdf5(cache, tmp_path / "c.h5")
    assert (tmp_path / "victim").read_text() == "mine"
    assert not os.path.lexists(litter[1])  # noqa: PTH110 - links that lead nowhere count
    assert not os.path.lexists(litter[2])  # noqa: PTH110
    assert not (tmp_path / "c.h5").is_symlink()


def test_groups_are_exported_and_a_cache_without_any_has_no_such_array(tmp_path):
    names = np.array([f"subject {n // 8}" for n in range(48)], dtype=object)
    for name, meta, static in (
        ("with", tiny_meta(num_groups=6), {"group": names}),
        ("without", tiny_meta(), {}),
    ):
        with FeatureCache.open(tiny_cache(tmp_path / f"{name}.zarr", meta, **static)) as cache:
            export_hdf5(cache, tmp_path / f"{name}.h5")
            with FeatureCache.open(tmp_path / f"{name}.h5") as file:
                assert file.meta.num_groups == cache.meta.num_groups
                assert file.read("group").tolist() == cache.read("group").tolist()
        with h5py.File(tmp_path / f"{name}.h5") as raw:
            assert ("group" in raw) == (name == "with")

import numpy as np
import pytest

from pipeline.errors import CacheDamagedError
from pipeline.store.raw_chunks import Scratch
from pipeline.store.reader import FeatureCache
from tests.tiny_cache import tiny_cache


@pytest.fixture
def path(tmp_path):
    return tiny_cache(tmp_path / "feats.zarr")


def test_a_chunk_read_straight_is_what_zarr_reads(path):
    scratch = Scratch()
    with FeatureCache.open(path) as cache:
        for spec in cache.meta.arrays():
            for start in (0, 8, 40):
                plain = cache.read(spec.name, start, start + 8)
                straight = cache.read(spec.name, start, start + 8, scratch=scratch)
                assert straight.dtype == plain.dtype
                np.testing.assert_array_equal(straight, plain, err_msg=spec.name)


@pytest.mark.parametrize(("start", "stop"), [(4, 8), (0, 16), (3, 12), (44, None), (0, 3)])
def test_other_rows_than_a_chunk_s_come_out_the_same(path, start, stop):
    with FeatureCache.open(path) as cache:
        plain = cache.read("scene/early", start, stop)
        np.testing.assert_array_equal(cache.read("scene/early", start, stop, scratch=Scratch()), plain)


def test_a_chunk_that_is_not_stored_is_its_fill_value(path):
    (path / "scene/early/c/1/0/0/0/0/0").unlink()
    with FeatureCache.open(path) as cache:
        assert np.isnan(cache.read("scene/early", 8, 16, scratch=Scratch())).all()


@pytest.mark.parametrize("damage", [lambda b: b[:100] + bytes([b[100] ^ 1]) + b[101:], lambda b: b[:-9]])
def test_a_damaged_chunk_is_refused(path, damage):
    chunk = path / "face/embedding/c/1/0/0/0"
    chunk.write_bytes(damage(chunk.read_bytes()))
    with FeatureCache.open(path) as cache:
        cache.read("face/embedding", 0, 8, scratch=Scratch())
        with pytest.raises(CacheDamagedError, match="'face/embedding', clips 8 to 15, cannot be read"):
            cache.read("face/embedding", 8, 16, scratch=Scratch())

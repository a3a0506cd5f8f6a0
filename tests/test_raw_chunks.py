import google_crc32c
import numpy as np
import pytest
import zarr

from pipeline.errors import CacheDamagedError
from pipeline.store.raw_chunks import Scratch, read_chunks
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


@pytest.mark.parametrize(("start", "stop"), [(0, 48), (3, 29), (8, 9), (40, 46), (5, 5)])
def test_rows_of_several_chunks_are_those_that_zarr_reads(path, start, stop):
    assert not (path / "source_sha256/c").exists()  # fill values are not stored
    (path / "face/embedding/c/2/0/0/0").unlink()
    group = zarr.open_group(path, mode="r+")
    group["reason"][20:24] = np.array(["é", "", "日本", "x" * 300], dtype=object)
    with FeatureCache.open(path) as cache:
        for spec in cache.meta.arrays():
            if spec.per_block:
                found = cache.read(spec.name, start, stop)
                expected = np.asarray(group[spec.name][start : min(stop, cache.meta.num_clips)])
                assert found.dtype == (object if spec.dtype == "str" else expected.dtype), spec.name
                np.testing.assert_array_equal(found, expected.astype(found.dtype), err_msg=spec.name)
                assert (
                    read_chunks(group[spec.name], spec, start, stop) is None
                )  # a store that is not confined


@pytest.mark.parametrize(
    "texts",
    [
        [b"a"] * 7,
        [b"a"] * 9,
        [b"a"] * 7 + [b"\xff"],
    ],
)
def test_a_chunk_with_another_number_of_texts_or_none_is_refused(path, texts):
    data = len(texts).to_bytes(4, "little") + b"".join(len(t).to_bytes(4, "little") + t for t in texts)
    written(path / "stage/c/1", data)
    with FeatureCache.open(path) as cache, pytest.raises(CacheDamagedError, match="'stage', clips 0 to 47"):
        cache.read("stage", 0, 48)


@pytest.mark.parametrize("length", [1, 3, 200, 1 << 31])
def test_a_text_of_a_wrong_length_is_refused(path, length):
    data = (8).to_bytes(4, "little") + b"".join((2).to_bytes(4, "little") + b"ab" for _ in range(7))
    written(path / "stage/c/1", data + length.to_bytes(4, "little") + b"ab")
    with FeatureCache.open(path) as cache, pytest.raises(CacheDamagedError, match="'stage', clips 0 to 47"):
        cache.read("stage", 0, 48)


def written(chunk, data):
    chunk.parent.mkdir(parents=True, exist_ok=True)
    chunk.write_bytes(data + google_crc32c.value(data).to_bytes(4, "little"))

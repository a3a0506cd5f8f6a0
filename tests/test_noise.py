import dataclasses

from pipeline.store.damage import damaged_blocks
from pipeline.store.noise import noise_meta, write_noise_cache
from pipeline.store.reader import FeatureCache
from pipeline.verify import verify_stored


def test_a_cache_of_noise_is_a_right_cache_and_says_that_it_is_noise(tmp_path):
    meta = dataclasses.replace(noise_meta(10, block_clips=4), embed_width=6, encoder_width=8)
    write_noise_cache(tmp_path / "noise.zarr", meta)
    with FeatureCache.open(tmp_path / "noise.zarr") as cache:
        assert cache.status_counts()["done"] == 10
        assert damaged_blocks(cache) == []
        assert verify_stored(cache) == []
        assert "NOISE" in cache.meta.warnings[0]


def test_the_usual_shapes_are_those_of_dfew():
    shapes = {spec.name: noise_meta(16372).shape(spec) for spec in noise_meta(16372).arrays()}
    assert shapes["face/embedding"] == (16372, 1, 16, 768)
    assert shapes["scene/early"] == (16372, 1, 16, 4, 3, 1024)
    assert shapes["membership"] == (16372, 5)

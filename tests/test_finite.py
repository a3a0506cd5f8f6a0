import numpy as np
import pytest
import torch

from pipeline.errors import CacheError
from pipeline.store.export import export_hdf5
from pipeline.store.reader import FeatureCache
from pipeline.store.writer import CacheWriter
from tests.tiny_cache import tiny_cache, tiny_meta, write_feature
from trainer.clip_loading import load_clips
from trainer.config import ModelConfig, TrainConfig

CPU = torch.device("cpu")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["face/embedding", "scene/embedding", "scene/early"])
def test_features_that_are_no_numbers_are_named_with_their_clips(tmp_path, name, value):
    path = tiny_cache(tmp_path / "feats.zarr", tiny_meta(num_clips=24))
    for clip in (3, 9, 10, 11, 20):
        write_feature(path, clip, value, name)
    message = (
        r"^.*feats.zarr: features of 4 clips hold NaN or infinity: 'clip003', 'clip009', 'clip010' and "
        rf"1 more \({name}\). `cli.py cache verify .*feats.zarr` lists all damage; "
        r"`cli.py cache repair .*feats.zarr` computes them again.$"
    )
    with FeatureCache.open(path) as cache:
        with pytest.raises(CacheError, match=message):
            load_clips(cache, np.array([11, 9, 3, 4, 9, 10]), TrainConfig(), CPU)
        load_clips(cache, np.array([0, 4, 12]), TrainConfig(), CPU)


def test_the_largest_number_of_float16_is_one(tmp_path):
    largest = float(np.finfo(np.float16).max)
    path = tiny_cache(tmp_path / "feats.zarr", tiny_meta(num_clips=8))
    writer = CacheWriter.resume(path)
    rows = writer.read_block(0)
    for name in ("face/embedding", "scene/embedding", "scene/early"):
        rows[name][:] = largest
    writer.write_block(0, rows)
    with FeatureCache.open(path) as cache:
        batch = load_clips(cache, np.arange(8), TrainConfig(), CPU).gather(
            torch.arange(8), torch.zeros(8).long()
        )
    assert (batch.face_BTF == largest).all()
    assert batch.early_B43D.isfinite().all()


def test_patch_tokens_that_are_no_numbers_are_named(tmp_path):
    path = tiny_cache(tmp_path / "feats.zarr", tiny_meta(num_tokens=5, num_clips=8))
    write_feature(path, 5, np.nan, "scene/tokens")
    with FeatureCache.open(path) as cache:
        load_clips(cache, np.arange(8), TrainConfig(), CPU)
        with pytest.raises(CacheError, match=r"1 clip hold NaN or infinity: 'clip005' \(scene/tokens\)"):
            load_clips(cache, np.arange(8), TrainConfig(model=ModelConfig(tfe_tokens="patches")), CPU)


def test_an_export_is_repaired_by_way_of_its_cache(tmp_path):
    path = tiny_cache(tmp_path / "feats.zarr", tiny_meta(num_clips=8))
    write_feature(path, 5, np.inf)
    with FeatureCache.open(path) as cache:
        export_hdf5(cache, tmp_path / "feats.h5")
    message = "repair the cache from which it was exported, and export that again.$"
    with FeatureCache.open(tmp_path / "feats.h5") as cache, pytest.raises(CacheError, match=message):
        load_clips(cache, np.arange(8), TrainConfig(), CPU)

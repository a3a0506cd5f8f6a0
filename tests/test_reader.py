import json

import h5py
import numpy as np
import pytest
import xarray

from pipeline.errors import CacheError
from pipeline.store.reader import FeatureCache
from pipeline.types import Status
from tests.tiny_cache import tiny_cache, tiny_meta


def test_opens_in_xarray_with_named_dimensions(tmp_path):
    path = tiny_cache(tmp_path / "c.zarr")
    tree = xarray.open_datatree(path, engine="zarr", consolidated=False)
    assert tree["scene/early"].dims == ("clip", "view", "frame", "early_block", "statistic", "width")
    assert tree["face/embedding"].sizes["embed"] == tiny_meta().embed_width
    assert tree["clips-1/label"].dims == ("clip",)
    with FeatureCache.open(path) as cache:
        np.testing.assert_array_equal(tree["face/embedding"].values, cache.read("face/embedding"))
        assert tree["clips-1/clip_id"].values.tolist() == cache.read("clip_id").tolist()
    assert tree.attrs["class_names"] == list(tiny_meta().class_names)


def test_rows_and_counts(tmp_path):
    status = np.array([Status.DONE, Status.DONE_WITHOUT_FACE, Status.FAILED, Status.PENDING] * 12, np.uint8)
    with FeatureCache.open(tiny_cache(tmp_path / "c.zarr", status=status)) as cache:
        assert cache.status_counts() == {"pending": 12, "done": 12, "done_without_face": 12, "failed": 12}
        assert cache.done_rows().tolist()[:4] == [0, 1, 4, 5]
        assert cache.read("clip_id", 3, 5).tolist() == ["clip003", "clip004"]
        assert cache.read("scene/early", 3, 5).shape == (2, *cache.meta.shape(cache.meta.arrays()[2])[1:])


def test_missing_and_foreign_paths_are_refused(tmp_path):
    with pytest.raises(CacheError, match=r"No cache at '.*none.zarr'; make one with `cli.py extract"):
        FeatureCache.open(tmp_path / "none.zarr")
    (tmp_path / "dir.zarr").mkdir()
    with pytest.raises(CacheError, match="is not a feature cache .no Zarr group there.; give one that"):
        FeatureCache.open(tmp_path / "dir.zarr")
    (tmp_path / "text.zarr").write_text("hello")
    with pytest.raises(CacheError, match="is not a feature cache .no Zarr group there.; give one that"):
        FeatureCache.open(tmp_path / "text.zarr")
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(CacheError, match="is not a readable HDF5 file"):
        FeatureCache.open(tmp_path / "text.h5")
    h5py.File(tmp_path / "other.h5", "w").close()
    with pytest.raises(CacheError, match="is not a feature cache: its attribute 'format' is None"):
        FeatureCache.open(tmp_path / "other.h5")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("version", 99, "has cache version 99; this program reads 2"),
        ("num_clips", "many", "attribute 'num_clips' is 'many'; a whole number is needed"),
        ("num_clips", 47, r"array 'clip_id' has shape \(48,\); \(47,\) is needed"),
        ("class_names", [1, 2], "attribute 'class_names' is .* a list of texts is needed"),
        ("config", "x", "attribute 'config' is 'x'; an object is needed"),
        ("fingerprint", None, "attribute 'fingerprint' is None; a text is needed"),
    ],
)
def test_damaged_attributes_are_one_line(tmp_path, name, value, message):
    path = tiny_cache(tmp_path / "c.zarr")
    document = json.loads((path / "zarr.json").read_text())
    document["attributes"][name] = value
    (path / "zarr.json").write_text(json.dumps(document))
    with pytest.raises(CacheError, match=message) as caught:
        FeatureCache.open(path)
    assert "\n" not in str(caught.value)


def test_a_missing_array_is_named(tmp_path):
    path = tiny_cache(tmp_path / "c.zarr")
    (path / "scene" / "early" / "zarr.json").unlink()
    with pytest.raises(CacheError, match="has no array 'scene/early'"):
        FeatureCache.open(path)

from pathlib import Path

import pytest

from pipeline.errors import CacheError
from tests.tiny_cache import tiny_cache
from trainer.caches import open_cache


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

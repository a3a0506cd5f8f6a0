import dataclasses
from pathlib import Path

import numpy as np
import pytest
import zarr

from pipeline.errors import CacheError
from pipeline.store import clip_table
from pipeline.store.clip_table import replace_table, table_of
from pipeline.store.location import Location
from pipeline.store.reader import FeatureCache
from pipeline.store.writer import CacheWriter
from pipeline.types import ClipRef, DatasetIndex, Split
from tests.tiny_cache import tiny_cache, tiny_meta, tiny_static

MORE = 61
"""Clips after growing from 48: five more in a sixth block begun, and a seventh and eighth."""


@pytest.fixture(params=["folder", pytest.param("bucket", marks=pytest.mark.slow)])
def place(request, tmp_path):
    where = tmp_path / "c.zarr" if request.param == "folder" else request.getfixturevalue("bucket").url("c")
    tiny_cache(where)
    return Location.of(where)


def grown():
    meta = tiny_meta(num_clips=MORE)
    return meta, tiny_static(meta)


def everything(place: Location) -> dict[str, np.ndarray]:
    with FeatureCache.open(place) as cache:
        return {spec.name: cache.read(spec.name) for spec in cache.meta.arrays()}


def test_a_cache_grows_by_pending_clips_and_keeps_what_it_has(place):
    before = everything(place)
    meta = replace_table(place, *grown())
    after = everything(place)
    assert (meta.clip_table, meta.num_clips) == (2, MORE)
    for name in ("face/embedding", "scene/early", "status", "source_bytes"):
        np.testing.assert_array_equal(after[name][:48], before[name], name)
    assert after["clip_id"].tolist() == [f"clip{i:03d}" for i in range(MORE)]
    assert (after["status"][48:] == 0).all()
    assert np.isnan(after["face/embedding"][48:]).all()
    writer = CacheWriter.resume(place)
    assert writer.block_bounds(56) == (56, 61)
    rows = writer.empty_rows(56)
    rows["status"][:] = 1
    writer.write_block(56, rows)
    assert everything(place)["status"][-6:].tolist() == [0, 1, 1, 1, 1, 1]


def test_the_table_that_was_in_force_stays_for_its_readers_and_older_ones_go(place):
    with FeatureCache.open(place) as reader:
        replace_table(place, *grown())
        assert len(reader.read("label")) == len(reader.read("face/embedding")) == 48
    for _ in range(3):
        replace_table(place, *grown())
    group = zarr.open_group(place.zarr_store(read_only=True), mode="r")
    assert {name for name in group.group_keys() if name.startswith("clips")} == {"clips-4", "clips-5"}


@pytest.mark.parametrize("moment", ["before the table", "within the table", "before the attributes"])
def test_growth_that_breaks_off_leaves_the_cache_as_it_was(place, monkeypatch, moment):
    before = everything(place)
    write = clip_table.write_table

    def breaks(group, meta, values):
        if moment == "within the table":
            write(group, meta, {name: values[name] for name in list(values)[:3]})
        elif moment == "before the attributes":
            write(group, meta, values)
        raise KeyboardInterrupt

    monkeypatch.setattr(clip_table, "write_table", breaks)
    with pytest.raises((KeyboardInterrupt, KeyError)):
        replace_table(place, *grown())
    for name, value in everything(place).items():
        np.testing.assert_array_equal(value, before[name], name)
    monkeypatch.setattr(clip_table, "write_table", write)
    assert replace_table(place, *grown()).clip_table == 2
    assert len(everything(place)["label"]) == MORE


def test_clips_cannot_be_lost_by_another_table(place):
    meta = tiny_meta(num_clips=40)
    with pytest.raises(CacheError, match="holds 48 clips; a table of 40 would lose some"):
        replace_table(place, meta, tiny_static(meta))


def test_a_refusing_disk_is_one_line(tmp_path, monkeypatch):
    tiny_cache(tmp_path / "c.zarr")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(clip_table, "write_table", full)
    with pytest.raises(CacheError, match="could not get a new clip table.*No space left.*It is unchanged"):
        replace_table(Location.of(tmp_path / "c.zarr"), *grown())


def test_a_clip_table_says_what_an_index_says():
    clips = (
        ClipRef(clip_id="a", path="a.mp4", label=1, splits=(Split.TRAIN, Split.ABSENT), votes=(1, 9)),
        ClipRef(clip_id="b", path="b", face_path="faces/b", label=-1, splits=(Split.TEST, Split.TRAIN)),
        ClipRef(clip_id="c", path="c", label=0, splits=(Split.TEST, Split.TRAIN), votes=(0, 0)),
    )
    index = DatasetIndex(
        name="d", root=Path(), class_names=("fear", "joy"), fold_names=("1", "2"), clips=clips
    )
    found = table_of(clips, index)
    np.testing.assert_allclose(found["votes"], [[0.1, 0.9], [np.nan] * 2, [np.nan] * 2], rtol=1e-6)
    assert found["membership"].tolist() == [[1, 0], [3, 1], [3, 1]]
    assert found["face_path"].tolist() == ["", "faces/b", ""]
    assert (found["label"].tolist(), found["end_seconds"].tolist()) == ([1, -1, 0], [-1.0] * 3)
    none = table_of([], index)
    assert none["membership"].shape == none["votes"].shape == (0, 2)
    with pytest.raises(ValueError, match="one vote count per class"):
        dataclasses.replace(index, clips=(dataclasses.replace(clips[0], votes=(1, 2, 3)),))

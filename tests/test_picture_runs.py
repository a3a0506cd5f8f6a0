"""Caches of folders of pictures and of ready face crops, all the way: filled, resumed, checked, repaired."""

import dataclasses
import shutil
from functools import cache

import numpy as np
import pytest
import zarr

from pipeline.errors import CacheError, DatasetError
from pipeline.runner import RunOptions, executor_of, extract
from pipeline.store.find_damage import damaged_blocks
from pipeline.store.reader import FeatureCache
from pipeline.types import ClipRef, DatasetIndex, Split, Status
from pipeline.verify import recompute, verify_stored
from tests.picture_folders import picture, write_folder
from tests.small_clips import small_models_with
from tests.tiny_videos import write_video

NAMES = ("boxless", "crops", "few", "single", "video")


@cache
def crop_models():
    return small_models_with(faces={"source": "crops"}, streams={"scene": "full"})


def index_of(root, *, face_paths=True):
    clips = [
        ClipRef(
            clip_id=name,
            path="video.mp4" if name == "video" else f"frames/{name}",
            label=0,
            splits=(Split.TRAIN,),
            face_path=f"faces/{name}" if face_paths else None,
        )
        for name in NAMES
    ]
    return DatasetIndex(
        name="manifest", root=root, class_names=("joy",), fold_names=("1",), clips=tuple(clips)
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("made")
    for name in NAMES[:3]:
        write_folder(root / f"data/frames/{name}", 10)
    write_folder(root / "data/frames/single", 1)
    write_video(root / "data/video.mp4", 10)
    every = {f"{number}.png": picture(number, (20, 30)) for number in range(1, 11)}
    for name in ("crops", "single", "video"):
        write_folder(root / f"data/faces/{name}", every)
    write_folder(root / "data/faces/few", {"2.png": picture(1)})
    extract(index_of(root / "data"), crop_models().config, executor_of(crop_models()), root / "feats.zarr")
    return root


@pytest.fixture
def copy(made, tmp_path):
    return shutil.copytree(made, tmp_path / "made")


def resume(folder):
    models = crop_models()
    return extract(index_of(folder / "data"), models.config, executor_of(models), folder / "feats.zarr")


def test_what_is_stored_of_pictures_and_crops_and_nothing_is_wrong_with_it(made):
    with FeatureCache.open(made / "feats.zarr") as cache:
        rows = {name: cache.read(name) for name in ("status", "face_found", "face_box", "frame_seconds")}
        valid = cache.read("frame_valid")
        assert verify_stored(cache) == []
        assert damaged_blocks(cache) == []
        assert recompute(cache, index_of(made / "data"), crop_models(), [0, 1, 4]).findings == ()
    done, without = Status.DONE, Status.DONE_WITHOUT_FACE
    assert rows["status"].tolist() == [without, done, done, done, done]
    assert rows["face_found"].sum(axis=(1, 2)).tolist() == [0, 4, 1, 4, 4]
    assert np.isnan(rows["face_box"]).all()
    assert np.isnan(rows["frame_seconds"]).all(axis=(1, 2)).tolist() == [True, True, True, True, False]
    assert valid.sum(axis=(1, 2)).tolist() == [4, 4, 4, 1, 4]


def test_a_finished_cache_has_nothing_to_do_and_stands_by_its_pictures_and_crops(copy):
    assert resume(copy).processed == 0
    for changed in ("frames/crops/3.png", "faces/crops/3.png"):
        path = copy / "data" / changed
        before = path.read_bytes()
        path.write_bytes(before + b"more")
        with pytest.raises(CacheError, match="the files of 1 clip have another size.*first 'crops'"):
            resume(copy)
        path.write_bytes(before)
    shutil.rmtree(copy / "data/frames/few")
    assert any("1 clip with features has no file any more (few)" in note for note in resume(copy).notes)


def test_another_picture_of_the_same_size_is_found_by_its_hash(copy):
    path = copy / "data/faces/crops/3.png"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with FeatureCache.open(copy / "feats.zarr") as cache:
        (finding,) = recompute(cache, index_of(copy / "data"), crop_models(), [1]).findings
    assert str(finding) == "recompute: the file of clip 'crops' has changed since extraction (sha256)"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("face_box", 3.0, "face_box: a box although faces are ready crops in 1 clip, first 'crops'"),
        ("face_found", False, "face_found: status 1 but no face found in 1 clip, first 'crops'"),
    ],
)
def test_what_cannot_be_with_crops_is_found(copy, name, value, message):
    zarr.open_group(copy / "feats.zarr", mode="r+")[name][1] = value
    with FeatureCache.open(copy / "feats.zarr") as cache:
        assert message in [str(finding) for finding in verify_stored(cache)]


def test_times_on_some_frames_alone_are_found(copy):
    zarr.open_group(copy / "feats.zarr", mode="r+")["frame_seconds"][4, 0, 1] = np.nan
    with FeatureCache.open(copy / "feats.zarr") as cache:
        (finding,) = verify_stored(cache)
    assert str(finding) == "frame_seconds: infinity, or NaN on only some frames, in 1 clip, first 'video'"


def test_crops_are_asked_for_where_no_clip_brings_any(made, tmp_path):
    models = crop_models()
    with pytest.raises(
        DatasetError, match="^--faces crops, but no clip of '.*' has face crops; replace --faces crops"
    ):
        extract(
            index_of(made / "data", face_paths=False), models.config, executor_of(models), tmp_path / "c.zarr"
        )


def test_with_another_detector_crops_play_no_part(made, tmp_path):
    models = small_models_with(detector={"name": "haar"})
    extract(index_of(made / "data"), models.config, executor_of(models), tmp_path / "c.zarr")
    with FeatureCache.open(tmp_path / "c.zarr") as cache:
        sizes = cache.read("source_bytes").tolist()
        assert set(cache.read("status").tolist()) == {Status.DONE_WITHOUT_FACE}
    frames = made / "data/frames/crops"
    assert sizes[1] == sum(path.stat().st_size for path in frames.iterdir())


def test_crops_that_come_later_do_not_keep_a_cache_without_them_from_going_on(made, tmp_path):
    models, path = small_models_with(detector={"name": "haar"}), tmp_path / "c.zarr"
    without, beside = index_of(made / "data", face_paths=False), index_of(made / "data")
    extract(without, models.config, executor_of(models), path, RunOptions(limit=1))
    assert extract(beside, models.config, executor_of(models), path).counts["pending"] == 0


def test_a_cache_of_crops_is_of_these_crops(made, tmp_path):
    models, path, here = crop_models(), tmp_path / "c.zarr", index_of(made / "data")
    extract(here, models.config, executor_of(models), path, RunOptions(limit=1))
    other = dataclasses.replace(
        here, clips=(dataclasses.replace(here.clips[0], face_path="faces/other"), *here.clips[1:])
    )
    with pytest.raises(CacheError, match="face_path of 1 clip, first"):
        extract(other, models.config, executor_of(models), path)

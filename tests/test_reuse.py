"""Features of an earlier cache, used again by `extract --reuse` for clips whose images are the same."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import zarr

from pipeline import runner
from pipeline.datasets import read_dataset
from pipeline.datasets.synthetic import SyntheticConfig, write_synthetic
from pipeline.errors import CacheError
from pipeline.runner import RunOptions, executor_of
from pipeline.store.location import Location
from pipeline.store.reader import FeatureCache
from pipeline.types import ProvidedBoxes, Status
from tests import modest
from tests.command_line import call
from tests.small_clips import small_models, small_models_with, write_clips

NUM_GOOD, NUM_ODD = 6, 2
ENCODER = (
    "--encoder",
    modest.NAME,
    "--encoder-weights",
    "random",
    "--precision",
    "fp32",
    "--scheduler",
    "sync",
)
BOX = ProvidedBoxes(box_xyxy=np.array([[30, 20, 70, 80]], np.float32))
FEATURES = ("face/embedding", "scene/embedding", "scene/early")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips")
    write_clips(path, num_good=NUM_GOOD)
    return path


@pytest.fixture(scope="module")
def earlier(root, tmp_path_factory):
    path = tmp_path_factory.mktemp("earlier") / "feats.zarr"
    extract(root, path)
    return path


def extract(root, path, models=None, reuse=None, **options):
    models = models or small_models()
    reuse = None if reuse is None else Location.of(reuse)
    index = read_dataset("manifest", root)
    return runner.extract(index, models.config, executor_of(models), path, RunOptions(reuse=reuse, **options))


def read(path):
    with FeatureCache.open(path) as cache:
        return {spec.name: cache.read(spec.name) for spec in cache.meta.arrays()}


def counting(models, monkeypatch):
    """Count the images that are encoded."""
    counted = []
    encode = models.encoder.encode

    def seen(images, **more):
        counted.append(len(images))
        return encode(images, **more)

    monkeypatch.setattr(models.encoder, "encode", seen)
    return counted


def test_clips_with_the_same_images_are_not_encoded_again(root, earlier, tmp_path, monkeypatch):
    encoded = counting(small_models(), monkeypatch)
    report = extract(root, tmp_path / "new.zarr", small_models_with(track={"max_shift": 0.04}), reuse=earlier)
    assert (report.num_reused, report.num_failed) == (NUM_GOOD, NUM_ODD)
    assert encoded == []
    before, after = read(earlier), read(tmp_path / "new.zarr")
    assert before.keys() == after.keys()
    for name, values in before.items():
        np.testing.assert_array_equal(values, after[name], err_msg=name)


def test_a_clip_with_another_box_is_encoded_and_the_number_is_stated(root, earlier, tmp_path):
    index = read_dataset("manifest", root)
    moved = dataclasses.replace(
        index.clips[2], provided_boxes=ProvidedBoxes(box_xyxy=np.array([[30, 20, 70, 80]], np.float32))
    )
    index = dataclasses.replace(index, clips=(*index.clips[:2], moved, *index.clips[3:]))
    models = small_models()
    report = runner.extract(
        index,
        models.config,
        executor_of(models),
        tmp_path / "new.zarr",
        RunOptions(reuse=Location.of(earlier)),
    )
    assert report.num_reused == NUM_GOOD - 1
    before, after = read(earlier), read(tmp_path / "new.zarr")
    done = after["status"] == Status.DONE
    changed = (before["face/embedding"] != after["face/embedding"]).any(axis=(1, 2, 3)) & done
    assert before["clip_id"][changed].tolist() == [moved.clip_id]


def test_damaged_features_are_computed_again(root, earlier, tmp_path):
    broken = tmp_path / "broken.zarr"
    extract(root, broken)
    group = zarr.open_group(broken, mode="r+")
    values = group["scene/early"][:]
    row = int(np.flatnonzero(group["status"][:] == Status.DONE)[0])
    values[row, 0, 0, 0, 0, 0] = np.nan
    group["scene/early"][:] = values
    report = extract(root, tmp_path / "new.zarr", reuse=broken)
    assert report.num_reused == NUM_GOOD - 1
    np.testing.assert_array_equal(read(earlier)["scene/early"], read(tmp_path / "new.zarr")["scene/early"])


def test_clips_of_a_damaged_chunk_are_computed_again(root, earlier, tmp_path):
    broken = tmp_path / "broken.zarr"
    shutil.copytree(earlier, broken)
    for chunk in (path for path in (broken / "scene/early/c").rglob("*") if path.is_file()):
        chunk.write_bytes(b"no chunk")
    report = extract(root, tmp_path / "new.zarr", reuse=broken)
    assert (report.num_reused, report.num_failed) == (0, NUM_ODD)
    np.testing.assert_array_equal(read(earlier)["scene/early"], read(tmp_path / "new.zarr")["scene/early"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"streams": {"scene": "full"}}, 'streams.scene: "full" here, "masked" there'),
        ({"encoder": {"seed": 1}}, "encoder.visual_sha256"),
        ({"frames": {"num_frames": 3}}, "frames.num_frames: 3 here, 4 there"),
    ],
)
def test_an_earlier_cache_with_other_features_is_refused(root, earlier, tmp_path, settings, message):
    with pytest.raises(CacheError, match="has other features: ") as raised:
        extract(root, tmp_path / "new.zarr", small_models_with(**settings), reuse=earlier)
    assert message in str(raised.value)
    assert "Only shots, detector, people and tracks may differ" in str(raised.value)
    assert not Location.of(tmp_path / "new.zarr").exists(), "the cache of a rejected run is in the way"


def test_an_earlier_cache_that_is_not_there_is_refused(root, tmp_path):
    with pytest.raises(CacheError, match="No cache at"):
        extract(root, tmp_path / "new.zarr", reuse=tmp_path / "none.zarr")
    assert not Location.of(tmp_path / "new.zarr").exists(), "the cache of a rejected run is in the way"


def test_without_an_earlier_cache_nothing_is_stated(root, tmp_path):
    assert extract(root, tmp_path / "new.zarr", limit=1).num_reused is None


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    path = tmp_path_factory.mktemp("drawn") / "synthetic"
    write_synthetic(path, SyntheticConfig(num_clips=14, num_frames=6, fps=5, seed=3))
    return path


@pytest.mark.parametrize("method", ["motion", "nearest"])
def test_features_of_the_other_method_of_tracks_are_used_where_the_boxes_are_equal(
    drawn, tmp_path, monkeypatch, capsys, method
):
    """The faces of drawn clips are found by a detector, and none leaves."""
    other = {"motion": "nearest", "nearest": "motion"}[method]
    common = ("--dataset", "synthetic", "--root", drawn, "--detector", "haar", "--frames", "4", *ENCODER)
    for path, how in (("old.zarr", other), ("new.zarr", method)):
        reuse = ("--reuse", tmp_path / "old.zarr") if path == "new.zarr" else ()
        options = ("--set", f"track.method={how}", "--cache", tmp_path / path, *reuse, "--json")
        code, out, err = call(monkeypatch, capsys, "extract", *common, *options)
        assert code == 0, err
    report = json.loads(out)
    assert report["num_reused"] == report["counts"]["done"] > 0
    before, after = read(tmp_path / "old.zarr"), read(tmp_path / "new.zarr")
    for name in (*FEATURES, "face_box", "face_found"):
        np.testing.assert_array_equal(before[name], after[name])
    assert ("track_margin" in after) == (method == "motion")


@pytest.mark.parametrize("source", ["crops", "boxes"])
def test_a_cache_of_face_crops_is_refused_where_faces_are_found_and_the_reverse(drawn, tmp_path, source):
    """Neither has a box of a clip without a face, but one shows its crops and the other the whole frame."""
    clips = read_dataset("synthetic", drawn).clips
    faces = [dataclasses.replace(clip, face_path=clip.path, provided_boxes=None) for clip in clips]
    boxed = dataclasses.replace(clips[0], face_path=clips[0].path, provided_boxes=BOX)
    index = dataclasses.replace(read_dataset("synthetic", drawn), clips=(boxed, *faces[1:]))
    for path, how in (("old.zarr", source), ("new.zarr", {"crops": "boxes", "boxes": "crops"}[source])):
        models = small_models_with(faces={"source": how}, streams={"scene": "full"})
        reuse = RunOptions(reuse=Location.of(tmp_path / "old.zarr")) if path == "new.zarr" else RunOptions()
        if path == "new.zarr":
            with pytest.raises(CacheError, match="has other features: takes_crops: (True|False) here"):
                runner.extract(index, models.config, executor_of(models), tmp_path / path, reuse)
        else:
            runner.extract(index, models.config, executor_of(models), tmp_path / path, reuse)

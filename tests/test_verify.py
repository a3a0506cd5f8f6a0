import dataclasses
import json
import shutil
from collections import Counter

import numpy as np
import pytest
import torch
import zarr

from pipeline import features
from pipeline.device import precision_on
from pipeline.display.json_values import to_json_values
from pipeline.errors import OusError
from pipeline.runner import executor_of, extract
from pipeline.store.clip_table import replace_table
from pipeline.store.location import Location
from pipeline.store.reader import FeatureCache
from pipeline.store.schema import ARRAYS, BY_NAME
from pipeline.verify import (
    config_of,
    pick_sample,
    recompute_sample,
    relative_difference,
    verify,
    verify_stored,
)
from tests.small_cache import IDENTITY, small_cache
from tests.small_clips import small_models, write_clips, write_video
from tests.tiny_cache import tiny_cache, tiny_meta


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    index = write_clips(folder / "data", num_good=10)
    extract(index, small_models().config, executor_of(small_models()), folder / "feats.zarr")
    return folder


@pytest.fixture
def copy(made, tmp_path):
    shutil.copytree(made / "feats.zarr", tmp_path / "feats.zarr")
    return tmp_path / "feats.zarr"


def findings(path):
    with FeatureCache.open(path) as cache:
        return [str(finding) for finding in verify_stored(cache)]


def test_a_fresh_cache_has_nothing_wrong(made):
    assert findings(made / "feats.zarr") == []


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("face/embedding", np.nan, "face/embedding: NaN or infinity in 1 clip, first 'clips/good3.mp4'"),
        ("scene/early", 0, "scene/early: only zeros in 1 clip, first 'clips/good3.mp4'"),
        ("face_score", 1.5, "face_score: a value above 1 in 1 clip"),
        ("frame_index", 3, "frame_index: indices that do not increase in 1 clip"),
        ("frame_index", 400, "frame_index: an index beyond the clip's frames in 1 clip"),
        ("frame_valid", False, "frame_valid: no valid frame in 1 clip"),
        ("frame_seconds", np.inf, "frame_seconds: infinity, or NaN on only some frames, in 1 clip"),
        ("face_box", 900.0, "face_box: a box that is empty or outside the frame in 1 clip"),
        ("face_found", False, "face_found: status 1 but no face found in 1 clip"),
        ("num_decoded", 0, "num_decoded: a value below 1 in 1 clip"),
        ("source_sha256", "", "source_sha256: no hash of the source in 1 clip"),
        ("polarity", 7, "polarity: a value above 2 in 1 clip"),
        ("end_seconds", np.inf, "end_seconds: NaN or infinity in 1 clip, first 'clips/good3.mp4'"),
        ("start_seconds", np.nan, "start_seconds: NaN or infinity in 1 clip, first 'clips/good3.mp4'"),
        ("face_score", np.nan, "face_score: NaN or infinity in 1 clip"),
        ("label", 2, "label: clip 'clips/good3.mp4' has label 2 of 2 classes"),
        ("membership", 9, "membership: a value above 3 in 1 clip"),
        ("status", 9, "status: a value above 3 in 1 clip"),
        ("status", 3, "stage: failed without a stage in 1 clip"),
    ],
)
def test_each_damage_is_named(copy, name, value, message):
    with FeatureCache.open(copy) as cache:
        row = cache.read("clip_id").tolist().index("clips/good3.mp4")
        where = cache.meta.stored_name(BY_NAME[name])
    zarr.open_group(copy, mode="r+")[where][row] = value
    assert any(line.startswith(message) for line in findings(copy)), findings(copy)


def test_a_fold_without_clips_and_a_clip_that_stands_twice_are_found(copy):
    table = zarr.open_group(copy, mode="r+")["clips-1"]
    table["membership"][:] = 0
    table["clip_id"][1] = table["clip_id"][0]
    assert findings(copy) == [
        "clip_id: 'clips/bad.mp4' occurs twice",
        "membership: no clip is in fold 1",
    ]


def test_a_flipped_byte_is_found(copy):
    chunk = next(p for p in (copy / "scene/embedding/c/1").rglob("*") if p.is_file())
    damaged = bytearray(chunk.read_bytes())
    damaged[9] ^= 4
    chunk.write_bytes(damaged)
    (line,) = findings(copy)
    assert "array 'scene/embedding', clips 8 to 11, cannot be read" in line


@pytest.mark.parametrize("name", ["status", "clip_id", "label", "source_sha256"])
def test_damage_of_any_array_is_a_finding_and_no_error(copy, name):
    with FeatureCache.open(copy) as cache:
        where = cache.meta.stored_name(BY_NAME[name])
    for chunk in [p for p in (copy / where / "c").rglob("*") if p.is_file()]:
        damaged = bytearray(chunk.read_bytes())
        damaged[0] ^= 4
        chunk.write_bytes(damaged)
    with FeatureCache.open(copy) as cache:
        report = verify(cache, 0)
    assert any(f"array '{name}'" in str(finding) for finding in report.findings)


def test_a_negative_sample_is_misuse(made):
    with (
        FeatureCache.open(made / "feats.zarr") as cache,
        pytest.raises(OusError, match="--sample is -1; allowed: 0 or more"),
    ):
        verify(cache, -1)


def test_a_changed_identity_is_found(copy):
    group = zarr.open_group(copy, mode="r+")
    group.attrs["identity"] = {**group.attrs["identity"], "frames": {"num_frames": 5, "num_views": 1}}
    assert findings(copy) == ["attributes: 'fingerprint' is not the hash of 'identity'"]


def test_the_same_content_in_training_and_test_is_a_leak(copy):
    with FeatureCache.open(copy) as cache:
        ids, digests = cache.read("clip_id").tolist(), cache.read("source_sha256").tolist()
    group = zarr.open_group(copy, mode="r+")
    group["source_sha256"][ids.index("clips/good9.mp4")] = digests[ids.index("clips/good0.mp4")]
    (line,) = findings(copy)
    assert line == (
        "source_sha256: 1 clip of fold 1 with footage of another split: "
        "'clips/good9.mp4' (test) with 'clips/good0.mp4' (train)"
    )


def test_footage_that_official_splits_share_is_a_warning_and_no_finding(copy, monkeypatch):
    with FeatureCache.open(copy) as cache:
        ids, digests = cache.read("clip_id").tolist(), cache.read("source_sha256").tolist()
        monkeypatch.setattr("pipeline.verify.stored.OFFICIAL_SPLITS", (cache.meta.dataset,))
    group = zarr.open_group(copy, mode="r+")
    group["source_sha256"][ids.index("clips/good9.mp4")] = digests[ids.index("clips/good0.mp4")]
    with FeatureCache.open(copy) as cache:
        report = verify(cache, 0)
    assert report.findings == ()
    assert report.warnings[-1].startswith("LEAK in fold 1: 1 clip with footage that another split has")


def test_a_cache_without_labels_needs_no_clip_in_any_fold(copy):
    group = zarr.open_group(copy, mode="r+")
    group["clips-1/membership"][...] = 0
    assert findings(copy) == ["membership: no clip is in fold 1"]
    group["clips-1/label"][...] = -1
    assert findings(copy) == []


def test_a_sample_is_computed_again_and_agrees_to_the_bit(made):
    with FeatureCache.open(made / "feats.zarr") as cache:
        again = recompute_sample(cache, 3)
        assert again.clip_ids == tuple(cache.read("clip_id")[pick_sample(cache, 3)])
    assert (again.findings, again.note, again.largest_difference) == ((), "", 0.0)


def test_a_changed_feature_and_a_changed_file_are_found(copy, made):
    with FeatureCache.open(copy) as cache:
        row = pick_sample(cache, 1)[0]
        clip_id = cache.read("clip_id")[row]
        group = zarr.open_group(copy, mode="r+")
        group["face/embedding"][row] = 1.1 * group["face/embedding"][row].astype(np.float32)
        (finding,) = recompute_sample(cache, 1).findings
        assert str(finding).startswith(f"face/embedding: clip '{clip_id}' differs by 0.09")
    shutil.copytree(made / "data", copy.parent / "data")
    write_video(copy.parent / "data" / clip_id, num_frames=20, seed=99)
    with FeatureCache.open(copy) as cache:
        (finding,) = recompute_sample(cache, 1, root=copy.parent / "data").findings
    assert str(finding) == f"recompute: the file of clip '{clip_id}' has changed since extraction (sha256)"


def test_without_the_files_it_says_so_or_insists(copy):
    with FeatureCache.open(copy) as cache:
        note = recompute_sample(cache, None, root=copy.parent / "gone").note
        assert note.startswith("NOTHING RECOMPUTED: No dataset at")
        with pytest.raises(OusError, match="No dataset at .*gone"):
            recompute_sample(cache, 2, root=copy.parent / "gone")
        assert recompute_sample(cache, 0).note == "NOTHING RECOMPUTED: not requested"


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_a_cache_is_computed_again_in_its_own_precisions_where_auto_means_another(
    tmp_path, monkeypatch, precision
):
    """Whichever this CPU has: a config says auto, the identity says what it came to."""
    monkeypatch.setattr("pipeline.device.has_bf16", lambda _: False)
    identity = {key: IDENTITY[key] | {"precision": precision} for key in ("features", "detector")}
    identity["frames"] = IDENTITY["frames"]
    config = {"detector": {"name": "boxes", "precision": "auto"}, "features": {"precision": "auto"}}
    path = small_cache(tmp_path / "c.zarr", config=config, identity=identity, encoder_name="ViT-S-32")
    with FeatureCache.open(path) as cache:
        made_with = config_of(cache, None, None)
    assert made_with.detector.precision == precision
    assert made_with.features.precision == precision
    cpu = torch.device("cpu")
    assert precision_on(cpu, made_with.detector.precision) == precision
    assert features.resolve_precision(made_with.features.precision, cpu) == precision


def test_relative_difference():
    assert relative_difference(np.array([3.0, 4.0]), np.array([3.0, 4.5])) == pytest.approx(0.1)
    assert relative_difference(np.zeros(2), np.zeros(2)) == 0.0
    for stored, again in (([np.nan], [1.0]), ([1.0], [np.inf]), ([0.0], [1.0])):
        assert relative_difference(np.array(stored), np.array(again)) is None


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_a_difference_that_is_no_number_is_a_finding_in_words_and_none_in_json(copy, value):
    with FeatureCache.open(copy) as cache:
        row = pick_sample(cache, 1)[0]
        clip_id = cache.read("clip_id")[row]
        zarr.open_group(copy, mode="r+")["face/embedding"][row] = value
        report = verify(cache, 1)
    assert (
        f"face/embedding: clip '{clip_id}' holds NaN, infinity or only zeros, but not when computed again"
        in [str(finding) for finding in report.findings]
    )
    assert json.loads(json.dumps(to_json_values(report), allow_nan=False))["largest_difference"] == 0.0


def test_another_number_of_groups_than_there_are_names_is_found(tmp_path):
    names = np.array(["anna", "bert"] * 3, dtype=object)
    path = small_cache(tmp_path / "c.zarr")
    with FeatureCache.open(path) as cache:
        table = {spec.name: cache.read(spec.name) for spec in ARRAYS if not spec.per_block}
        meta = dataclasses.replace(cache.meta, num_groups=3)
    replace_table(Location.of(path), meta, {**table, "group": names})
    assert "group: 2 names, but the attribute 'num_groups' is 3" in findings(path)


def test_the_clip_table_is_not_read_for_every_block(tmp_path, monkeypatch):
    num_reads = Counter()
    plain = FeatureCache.read
    monkeypatch.setattr(
        FeatureCache, "read", lambda self, name, *rest: num_reads.update([name]) or plain(self, name, *rest)
    )
    most = []
    for num_clips in (16, 48):
        num_reads.clear()
        meta = tiny_meta(num_clips=num_clips)
        with FeatureCache.open(tiny_cache(tmp_path / f"{num_clips}.zarr", meta)) as cache:
            verify_stored(cache)
            assert num_reads["status"] == num_clips // meta.block_clips
            most.append(max(num_reads[spec.name] for spec in meta.arrays() if not spec.per_block))
    assert most[0] == most[1]

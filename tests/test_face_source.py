"""Where faces come from: the setting, its older spelling, contradictions, and caches of both spellings.

Before decision 0024, boxes and crops were names of detectors. Records of that time stand here as they were.
"""

import json
from functools import partial

import numpy as np
import pytest
import torch
import zarr

from pipeline.config import from_dict, override
from pipeline.errors import ConfigError
from pipeline.faces import FaceConfig
from pipeline.fingerprint import default_settings, sha256_json
from pipeline.process import STEPS, ExtractConfig, load_models, load_preview_models, unloaded_identity
from pipeline.runner.cache_setup import describe
from pipeline.runner.model_metadata import ModelInfo
from pipeline.store.reader import FeatureCache
from pipeline.verify import config_of, verify
from tests.command_line import call
from tests.old_cache import OLD_MODELS, write_old_clips
from tests.small_clips import small_models_with, write_clips

CPU = torch.device("cpu")
FP32 = {"features": {"precision": "fp32"}}
WHOLE = {"streams": {"scene": "full"}}
STORED_DETECTOR = {
    "weights": None, "score": 0.5, "nms_iou": 0.4, "long_side": 640, "precision": "auto", "batch_frames": 0,
}  # fmt: skip
SPELLINGS = {
    "boxes": (FP32 | {"faces": {"source": "boxes"}}, FP32 | {"detector": {"name": "boxes"}}),
    "boxes and a score": (
        FP32 | {"faces": {"source": "boxes"}, "detector": {"score": 0.6}},
        FP32 | {"detector": {"name": "boxes", "score": 0.6}},
    ),
    "crops": (FP32 | WHOLE | {"faces": {"source": "crops"}}, FP32 | WHOLE | {"detector": {"name": "crops"}}),
    "haar": 2 * (FP32 | {"detector": {"name": "haar"}, "track": {"method": "nearest"}},),
}
"""By case: settings in today's spelling, and in the one of before."""
UNUSED = "which uses no detector, but"
FINGERPRINTS = {
    "boxes": "2e059b74400a0e58530b06c4ebf33f0a375b2976d48b316421d8435a0e7d5df9",
    "boxes and a score": "ccb59bfa52b8f386cfced170413c13cf80eb3ad7e070fbf001fe7e4812276fb4",
    "crops": "df1d12b726cea5a67cc8de6d449f5407a6b3bc445a0e7794ad5ba8efd2472984",
    "haar": "2e75475207af6775b375021263f76f75a09bd49709bfc890de2afc7fb4bb68ea",
}
"""Hashes of `unloaded_identity`, computed by the last commit before decision 0024."""


@pytest.fixture
def run(monkeypatch, capsys):
    return partial(call, monkeypatch, capsys)


# The setting


def test_faces_come_from_a_detector_unless_another_source_is_set():
    config = ExtractConfig()
    assert config.faces == FaceConfig(source="detector")
    assert config.faces.is_detected
    with pytest.raises(ConfigError, match=r"^faces.source is 'boxed'; allowed: detector, boxes, crops\.$"):
        FaceConfig(source="boxed")


@pytest.mark.parametrize("case", SPELLINGS)
def test_the_older_spelling_is_the_same_config(case):
    today, before = (from_dict(ExtractConfig, values) for values in SPELLINGS[case])
    assert today == before


@pytest.mark.parametrize("source", ["boxes", "crops"])
def test_the_older_spelling_of_an_assignment_is_the_same_config(source):
    base = from_dict(ExtractConfig, WHOLE)
    assert override(base, [f"detector.name={source}"]) == override(base, [f"faces.source={source}"])
    assert override(base, [f"faces.source={source}"]).faces.source == source


@pytest.mark.parametrize("source", ["boxes", "crops"])
def test_no_detector_is_loaded_where_the_dataset_provides_the_faces(source):
    models = small_models_with(faces={"source": source}, **WHOLE)
    assert (models.face_detector, models.warnings) == (None, ())
    with pytest.raises(
        ConfigError, match=rf"^Faces come from the {source} of a dataset, .* --detector haar\.$"
    ):
        models.detector  # noqa: B018
    assert load_preview_models(models.config, CPU).face_detector is None
    assert load_models(models.config, CPU, for_timing=True).stand_ins == ()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"faces": {"source": "boxes"}, "detector": {"weights": "a.pth"}},
            f"faces.source is 'boxes', {UNUSED} detector.weights 'a.pth' is given; remove one.",
        ),
        (
            {"detector": {"name": "crops", "weights": "a.pth"}, **WHOLE},
            f"faces.source is 'crops', {UNUSED} detector.weights 'a.pth' is given; remove one.",
        ),
        (
            {"faces": {"source": "boxes"}, "detector": {"name": "haar"}},
            f"faces.source is 'boxes', {UNUSED} detector.name 'haar' is given; remove one.",
        ),
        (
            {"faces": {"source": "boxes"}, "detector": {"name": "crops"}},
            "faces.source is 'boxes' and detector.name is 'crops'; give faces.source alone.",
        ),
    ],
)
def test_two_sources_are_one_line(values, message):
    with pytest.raises(ConfigError) as raised:
        from_dict(ExtractConfig, values)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    "values", [{"faces": 3}, {"faces": {"source": []}}, {"detector": {"name": ["boxes"]}}]
)
def test_values_of_another_type_are_one_line(values):
    with pytest.raises(ConfigError, match=r"^(faces|detector)\S* is .* is needed\.$"):
        from_dict(ExtractConfig, values)


# Identities and stored settings, in both directions


@pytest.mark.parametrize("case", SPELLINGS)
def test_the_identity_is_that_of_before(case):
    for values in SPELLINGS[case]:
        identity = unloaded_identity(from_dict(ExtractConfig, values), CPU)
        assert sha256_json(identity) == FINGERPRINTS[case]


def test_the_whole_identity_names_the_source_as_a_detector_without_a_file():
    section = {"version": 1, "name": "crops", "precision": "fp32", "sha256": ""}
    assert small_models_with(faces={"source": "crops"}, **WHOLE).identity()["detector"] == section


@pytest.mark.parametrize("case", SPELLINGS)
def test_settings_are_stored_in_the_older_keys_and_read_back(case):
    today, before = SPELLINGS[case]
    config = from_dict(ExtractConfig, today)
    stored = json.loads(json.dumps(config.to_stored()))
    assert list(stored) == ["frames", "detector", "track", "streams", "encoder", "features"]
    assert stored["detector"] == STORED_DETECTOR | before["detector"]
    as_before = {name: default_settings(STEPS[name][1]) | stored[name] for name in ("track", "streams")}
    assert from_dict(ExtractConfig, stored | as_before) == config.with_earlier_tracks()


def test_a_cache_of_crops_names_them_as_before_and_its_settings_are_read_back(tmp_path):
    index = write_clips(tmp_path, num_good=2)
    models = small_models_with(faces={"source": "crops"}, **WHOLE)
    meta = describe(index, models.config, ModelInfo.of(models, 0))
    assert meta.takes_crops
    assert meta.is_identified
    assert meta.config["detector"] == STORED_DETECTOR | {"name": "crops"}
    assert "faces" not in meta.config


# The command line


@pytest.mark.parametrize("made", ["--faces", "--detector"])
def test_a_cache_of_one_spelling_is_resumed_in_the_other(run, tmp_path, made):
    root, cache = write_old_clips(tmp_path / "clips"), tmp_path / "feats.zarr"
    models = {name: (name, *OLD_MODELS[1:]) for name in ("--faces", "--detector")}
    data = ("--dataset", "manifest", "--root", root, "--cache", cache)
    code, _, err = run("extract", *data, *models.pop(made), "--limit", "3")
    assert code == 0, err
    assert "faces from the dataset's boxes; starting" in err
    attributes = dict(zarr.open_group(cache, mode="r").attrs)
    code, _, err = run("extract", *data, *next(iter(models.values())))
    assert code == 0, err
    after = dict(zarr.open_group(cache, mode="r").attrs)
    assert after == attributes
    with FeatureCache.open(cache) as opened:
        assert config_of(opened, None, None).faces.source == "boxes"
        report = verify(opened, 8, root=root)
    assert report.findings == ()
    assert len(report.recomputed.clip_ids) == 8
    assert np.isclose(report.recomputed.largest_difference, 0, atol=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--faces", "boxes", "--detector", "haar"), "detector.name 'haar' is given; remove one."),
        (("--faces", "boxes", "--detector-weights", "a.pth"), "detector.weights 'a.pth' is given"),
        (("--detector", "boxes", "--detector-weights", "a.pth"), "detector.weights 'a.pth' is given"),
        (("--faces", "crops", "--detector", "boxes"), "give faces.source alone."),
        (("--faces", "boxes", "--set", "detector.name=haar"), "detector.name 'haar' is given"),
    ],
)
def test_a_contradiction_on_the_command_line_is_one_line(run, tmp_path, options, message):
    code, _, err = run("extract", "--dataset", "folder", "--root", tmp_path, *options)
    assert code == 2
    assert err.startswith("error: faces.source is ")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", ["extract", "data sample"])
def test_a_detector_that_is_asked_for_and_named_as_none_is_one_line(run, tmp_path, command):
    (tmp_path / "joy").mkdir()
    (tmp_path / "joy/a.mp4").touch()
    data = ("--dataset", "folder", "--root", tmp_path)
    code, _, err = run(*command.split(), *data, "--faces", "detector", "--detector", "boxes")
    assert code == 2
    assert err.splitlines()[-1] == (
        "error: --faces detector needs a detector, but --detector boxes is given; remove one of the two."
    )


def test_faces_that_no_clip_has_are_missed_before_models_are_loaded(run, tmp_path):
    manifest = write_old_clips(tmp_path / "clips")
    rows = [line.split(",")[:3] for line in manifest.read_text().splitlines()]
    manifest.write_text("".join(",".join(row) + "\n" for row in rows))
    data = ("--dataset", "manifest", "--root", manifest, "--cache", tmp_path / "feats.zarr")
    code, _, err = run("extract", *data, "--faces", "boxes")
    assert code == 1
    assert err.splitlines()[-1].startswith("error: --faces boxes, but no clip of")
    assert "starting" not in err


def test_a_command_that_shows_a_detector_needs_one(run, tmp_path):
    (tmp_path / "a.png").touch()
    code, _, err = run("faces", tmp_path / "a.png", "--detector", "boxes")
    assert code == 2
    assert "allowed: retinaface-resnet50, retinaface-mobilenet0.25, haar" in err

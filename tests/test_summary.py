import json

import numpy as np
import zarr

from pipeline.display.json_values import to_json_values
from pipeline.display.text import lines
from pipeline.store.reader import FeatureCache
from pipeline.store.summary import summarise
from tests.tiny_cache import tiny_cache, tiny_meta

SAID = {
    "identity": {"features": {"precision": "fp32"}, "detector": {"precision": "bf16"}},
    "config": {
        "detector": {"name": "haar"},
        "streams": {"scene": "masked", "scene_fit": "letterbox"},
    },
}


def made(tmp_path, **meta):
    status = np.array([1, 2, 3, 0, 3, 3, 3, 3] * 6, np.uint8)
    path = tiny_cache(tmp_path / "c.zarr", tiny_meta(**SAID, **meta), status=status)
    group = zarr.open_group(path, mode="r+")
    group["stage"][2], group["reason"][2] = "open", "the file is empty"
    group["reason"][0] = "1 packet did not decode"
    return path


def test_everything_is_counted(tmp_path):
    with FeatureCache.open(made(tmp_path)) as cache:
        document = to_json_values(summarise(cache))
    assert document["outcomes"] == {"pending": 6, "done": 6, "done_without_face": 6, "failed": 30}
    assert document["classes"] == {"happiness": 16, "neutral": 16, "sadness": 16}
    assert document["folds"] == {"1": {"absent": 0, "train": 32, "validation": 0, "test": 16}}
    assert document["polarities"] == {"unknown": 0, "negative": 16, "neutral": 16, "positive": 16}
    assert document["failures"][0] == {"clip_id": "clip002", "stage": "open", "reason": "the file is empty"}
    assert document["notes"] == [{"clip_id": "clip000", "note": "1 packet did not decode"}]
    json.dumps(document)


def test_encoder_and_detector_show_the_precision_that_each_ran_in(tmp_path):
    with FeatureCache.open(made(tmp_path)) as cache:
        shown = lines(summarise(cache))
    assert any(line.startswith("  encoder ") and ", fp32, sha256" in line for line in shown)
    assert "  detector   haar, bf16" in shown


def test_long_lists_are_cut_unless_asked_for(tmp_path):
    with FeatureCache.open(made(tmp_path)) as cache:
        short, long = lines(summarise(cache)), lines(summarise(cache, all_clips=True))
    assert "  ... and 25 more; --all-clips lists them" in short
    assert sum(line.startswith("  failed") for line in short) == 5
    assert sum(line.startswith("  failed") for line in long) == 30
    assert "  note  clip000  1 packet did not decode" in short


def test_warnings_come_first_and_loud(tmp_path):
    with FeatureCache.open(made(tmp_path, warnings=("RANDOM ENCODER WEIGHTS",))) as cache:
        assert lines(summarise(cache))[0] == "!! RANDOM ENCODER WEIGHTS"

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from pipeline.errors import ConfigError
from pipeline.store.reader import FeatureCache
from pipeline.store.writer import CacheWriter
from pipeline.types import Features
from tests.small_cache import VERSIONED
from tests.tiny_cache import tiny_cache, tiny_meta
from trainer.batches import Batch
from trainer.clip_loading import load_clips
from trainer.config import DataConfig, ModelConfig, TrainConfig
from trainer.feature_batch import batch_of

CPU = torch.device("cpu")
ROWS = np.array([5, 3, 6, 0])
MOTION = {**VERSIONED, "track": {**VERSIONED["track"], "method": "motion"}}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A cache with tokens and people; wide enough that sums use vectors, with a rest, and two threads.

    Clip 3 is out of view on some frames, and clip 6 on all of them.
    """
    meta = tiny_meta(num_tokens=61, num_clips=8, identity=MOTION, encoder_width=771, embed_width=51)
    path = tiny_cache(tmp_path_factory.mktemp("cache") / "feats.zarr", meta)
    writer = CacheWriter.resume(path)
    rows = writer.read_block(0)
    rows["face_absence"][3, 0] = [2, 0, 1, 3]
    rows["face_absence"][6] = 2
    writer.write_block(0, rows)
    return path


def windows(path):
    """The features, valid frames and frames in view that the cache holds at ROWS."""
    with FeatureCache.open(path) as cache:
        names = ("face/embedding", "scene/embedding", "scene/early", "face/tokens", "scene/tokens")
        stored = {name.replace("/", "_"): cache.read(name)[ROWS] for name in names}
        valid, absence = cache.read("frame_valid")[ROWS, 0], cache.read("face_absence")[ROWS, 0]
    made = [Features(**{name: value[n] for name, value in stored.items()}) for n in range(len(ROWS))]
    return made, valid, absence <= 1


def loaded(path, config):
    with FeatureCache.open(path) as cache:
        data = load_clips(cache, ROWS, config, CPU)
    places = torch.arange(len(ROWS))
    return data.gather(places, torch.zeros_like(places))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("face_frames", ["all", "in_view"])
@pytest.mark.parametrize(
    "model",
    [{}, {"scene": False, "polarity": False}, {"tfe_tokens": "patches"},
     {"tfe_tokens": "patches", "scene": False, "polarity": False}],
)  # fmt: skip
def test_a_batch_of_windows_is_that_of_a_cache_to_the_bit(path, model, face_frames, threads):
    config = TrainConfig(model=ModelConfig(**model), data=DataConfig(face_frames=face_frames))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        made = batch_of(*windows(path), config, CPU)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    of_cache = loaded(path, config)
    for field in fields(Batch):
        one, other = getattr(made, field.name), getattr(of_cache, field.name)
        if field.name in ("label_B", "polarity_B"):
            assert one.tolist() == [-1] * len(ROWS)
            assert one.dtype == other.dtype
        else:
            assert (one is None) == (other is None), field.name
            assert one is None or (one.dtype == other.dtype and torch.equal(one, other)), field.name
    assert (made.face_patches_BJD is None) == ("tfe_tokens" not in model)
    if face_frames == "in_view":
        assert made.in_view_BT.tolist()[1:3] == [[False, True, True, False], [True] * 4]


def test_only_the_first_view_is_read(path):
    features, valid, in_view = windows(path)
    config = TrainConfig(model=ModelConfig(tfe_tokens="patches"))
    one_view = [
        replace(one, **{field.name: getattr(one, field.name)[:1] for field in fields(one)})
        for one in features
    ]
    made, expected = batch_of(one_view, valid, in_view, config, CPU), loaded(path, config)
    assert torch.equal(made.early_B43D, expected.early_B43D)
    assert torch.equal(made.face_BTF, expected.face_BTF)


def test_missing_tokens_and_frames_in_view_are_named(path):
    features, valid, in_view = windows(path)
    bare = [replace(one, face_tokens=None, scene_tokens=None) for one in features]
    patches = TrainConfig(model=ModelConfig(tfe_tokens="patches"))
    with pytest.raises(ConfigError, match="^model.tfe_tokens is 'patches', and these features have no patch"):
        batch_of(bare, valid, in_view, patches, CPU)
    in_view_only = TrainConfig(data=DataConfig(face_frames="in_view"))
    with pytest.raises(
        ConfigError, match="^data.face_frames is 'in_view', and the frames in view are not known"
    ):
        batch_of(features, valid, None, in_view_only, CPU)


def test_other_shapes_and_gaps_are_rejected(path):
    features, valid, _ = windows(path)
    with pytest.raises(ValueError, match=r"valid_BT is \[3, 4\]; \[4, 4\] is needed"):
        batch_of(features, valid[:3], None, TrainConfig(), CPU)
    with pytest.raises(ValueError, match="one window or more"):
        batch_of([], valid[:0], None, TrainConfig(), CPU)
    for frames in ([True, False, True, True], [False, True, True, True], [False] * 4):
        gaps = valid.copy()
        gaps[1] = frames
        with pytest.raises(ValueError, match="must be its first ones, one or more"):
            batch_of(features, gaps, None, TrainConfig(), CPU)

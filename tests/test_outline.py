import dataclasses
import json

import pytest
import torch

from pipeline.clip_model import EncoderConfig, shape_of
from pipeline.display.json_values import to_json_values
from pipeline.display.text import lines
from pipeline.executor import LocalExecutor
from pipeline.process import ExtractConfig, unloaded_identity, without_weights
from pipeline.runner import RunOptions, executor_of, model_info
from pipeline.runner.outline import outline
from pipeline.runner.worker import BlockWorkerSetup
from tests.small_clips import small_models, small_models_with, write_clips
from tests.tiny_clip import small_clip, tiny_clip


def test_what_is_known_before_loading_is_what_loading_gives():
    for models in (small_models(), small_models_with(features={"tokens": "all"})):
        before, after = (
            BlockWorkerSetup(config=models.config, device="cpu").model_info(),
            model_info(executor_of(models)),
        )
        assert (before.has_weights, after.has_weights) == (False, True)
        assert before.identity == without_weights(after.identity)
        same = ("embed_width", "encoder_width", "num_tokens", "precision", "device", "block_clips")
        assert [getattr(before, name) for name in same] == [getattr(after, name) for name in same]


@pytest.mark.parametrize("clip", [small_clip, tiny_clip])
def test_the_sizes_of_a_model_are_known_without_it(clip):
    loaded = clip()
    shape = shape_of(loaded.config.name)
    assert (shape.embed_width, shape.encoder_width, shape.num_patches) == (
        loaded.embed_width, loaded.encoder_width, loaded.num_patches,
    )  # fmt: skip


def test_an_outline_needs_no_weights_and_loads_no_model(tmp_path, monkeypatch):
    monkeypatch.setenv("OUS_WEIGHTS", str(tmp_path / "none"))
    index = write_clips(tmp_path / "data", num_good=3)
    (index.root / "clips/good1.mp4").unlink()
    config = ExtractConfig()
    executor = LocalExecutor(BlockWorkerSetup(config=config, device="cpu"))
    first = outline(index, config, executor, tmp_path / "c.zarr", RunOptions())
    assert executor._worker is None
    assert not (tmp_path / "c.zarr").exists()
    found = to_json_values(first)
    assert json.loads(json.dumps(found)) == found
    assert (found["num_clips"], found["num_pending"], found["num_missing"]) == (5, 5, 1)
    assert found["bytes_by_array"]["scene/early"] == 5 * 16 * 4 * 3 * 1024 * 2
    assert found["num_bytes"] == sum(found["bytes_by_array"].values())
    assert lines(first)[0] == "5 of 5 clips to do, in 1 of 1 block of 8"
    assert lines(first)[1].startswith("  1 of them have no file (clips/good1.mp4): ")
    assert lines(first)[-1].endswith(" MB  in all")


def test_settings_that_do_not_fit_are_refused_before_anything_is_loaded(tmp_path):
    from pipeline.errors import ConfigError

    config = dataclasses.replace(
        small_models().config, encoder=EncoderConfig(name="ViT-S-32", weights="random")
    )
    features = dataclasses.replace(config.features, tokens="grid4")
    with pytest.raises(ConfigError, match="patches are 7x7"):
        BlockWorkerSetup(config=dataclasses.replace(config, features=features), device="cpu").model_info()
    with pytest.raises(ConfigError, match="'fp16' on a CPU"):
        unloaded_identity(
            dataclasses.replace(config, features=dataclasses.replace(config.features, precision="fp16")),
            torch.device("cpu"),
        )

"""Training on features that stay in the cache: bounded memory, and what is rejected."""

import re
import weakref
from unittest.mock import Mock

import pytest
import torch

from pipeline.config import override
from pipeline.errors import CacheDamagedError, CacheError, ConfigError
from pipeline.store.reader import FeatureCache
from tests.streaming import DISK, NUM, QUICK, TRAIN, larger_cache, opened
from tests.tiny_cache import tiny_cache, tiny_meta, write_feature
from trainer import streamed_clips, train
from trainer.block_reading import bytes_needed, stored_block_bytes
from trainer.clip_loading import READERS
from trainer.presets import smoke

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return larger_cache(tmp_path_factory.mktemp("cache"))


# Memory


def test_features_in_memory_never_take_more_than_the_pool(path, tmp_path, monkeypatch):
    """Every allocation is counted while it lives, with the blocks that readers may hold."""
    live, most = {}, [0]
    real = streamed_clips.empty_arrays

    def counted(*given):
        arrays = real(*given)
        for array in arrays.values():
            live[id(array)] = array.nbytes
            weakref.finalize(array, live.pop, id(array))
        most[0] = max(most[0], sum(live.values()))
        return arrays

    monkeypatch.setattr(streamed_clips, "empty_arrays", counted)
    train(path, tmp_path / "run", override(DISK, ["model.standardise=false"]), device="cpu")
    with FeatureCache.open(path) as cache:
        reading = READERS * stored_block_bytes(cache.meta, DISK)
        of_clip = bytes_needed(cache.meta, DISK, 1)
    assert TRAIN * of_clip > 2 * DISK.data.pool_gb * 1e9
    window, batch, ahead, measured = 3 * 8, 8, READERS * 8, 24
    assert most[0] == max((window + batch + ahead + measured) * of_clip, 64 * of_clip)
    assert most[0] + reading <= DISK.data.pool_gb * 1e9


def test_a_block_is_read_once_in_an_epoch(path, monkeypatch):
    with FeatureCache.open(path) as cache:
        streamed, _ = opened(cache, DISK)
        read = Mock(side_effect=cache.read)
        monkeypatch.setattr(cache, "read", read)
        batches = streamed.training_batches(torch.arange(TRAIN), 8, True, torch.Generator(), shuffle_blocks=3)
        assert sum(len(batch.label_B) for batch in batches) == TRAIN
        streamed.close()
    starts = [call.args[1] for call in read.call_args_list if call.args[0] == "scene/early"]
    assert sorted(starts) == list(range(0, TRAIN, 8))


def test_clips_that_fit_are_held_from_one_measurement_to_the_next(path, monkeypatch):
    with FeatureCache.open(path) as cache:
        streamed, _ = opened(cache, override(DISK, ["data.pool_gb=0.0025"]))
        read = Mock(side_effect=cache.read)
        monkeypatch.setattr(cache, "read", read)
        assert streamed.memory.held == 40
        for _ in range(3):
            list(streamed.evaluation_batches(torch.arange(32), 8))
        assert len(read.call_args_list) == 3 * 4  # arrays and blocks
        list(streamed.evaluation_batches(torch.arange(160), 8))
        list(streamed.evaluation_batches(torch.arange(32), 8))
        assert len(read.call_args_list) == 3 * (4 + 20 + 4)
        streamed.close()


def test_the_threads_of_torch_stay_as_they_are_but_for_those_that_read(path):
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with FeatureCache.open(path) as cache:
            streamed, _ = opened(cache, DISK)
            assert streamed.executor.submit(torch.get_num_threads).result() == 1
            assert torch.get_num_threads() == 3
            streamed.close()
    finally:
        torch.set_num_threads(before)


# Errors


TOO_SMALL = "data.pool_gb is 0.0017, and the features of this training take 0.003932 GB"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["data.shuffle_blocks=0"],
            f"{TOO_SMALL}; a full shuffle needs all of them in memory. Set data.shuffle_blocks to 1 to 4 "
            "(more is nearer to a full shuffle), or a larger data.pool_gb.",
        ),
        (
            ["data.shuffle_blocks=5"],
            f"{TOO_SMALL}; a window of 5 blocks does not fit either. Set data.shuffle_blocks to 1 to 4",
        ),
        (
            ["data.pool_gb=0.001"],
            "data.pool_gb is 0.001, and the features of this training take 0.003932 GB; set data.pool_gb to "
            "at least 0.002, which holds the blocks that are being read and a window of 3 blocks.",
        ),
        (
            ["data.shuffle_blocks=0", "data.sampling=balanced"],
            f"{TOO_SMALL}; they can be read block by block only with data.sampling=natural and "
            "data.mixture=size. Set these and data.shuffle_blocks (1 to 4), or a larger data.pool_gb.",
        ),
    ],
)
def test_settings_that_do_not_fit_are_rejected_before_the_training(path, tmp_path, settings, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        train(path, tmp_path / "run", override(DISK, settings), device="cpu")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        (["data.shuffle_blocks=1"], "on disk"),
        (["data.shuffle_blocks=7"], "on disk"),
        (["data.shuffle_blocks=16"], "in memory"),
        (["data.shuffle_blocks=0"], "on disk"),
        (["data.shuffle_blocks=0", "data.sampling=balanced"], "in memory"),
        (["optim.batch_size=32"], "in memory"),
    ],
)
def test_the_least_memory_that_the_error_names_is_enough(path, settings, where):
    """And the next smaller value is not."""
    small = override(DISK, ["data.pool_gb=0.001", *settings])
    with FeatureCache.open(path) as cache:
        with pytest.raises(ConfigError, match="at least") as error:
            opened(cache, small)
        found = re.search(
            r"(shuffle_blocks to 1 and )?data.pool_gb to at least ([\d.]+)[,;]", str(error.value)
        )
        window = ["data.shuffle_blocks=1"] if found[1] else []
        least = float(found[2])
        streamed, _ = opened(cache, override(small, [*window, f"data.pool_gb={least}"]))
        assert where in streamed.residence
        streamed.close()
        if least > 0.002:
            with pytest.raises(ConfigError):
                opened(cache, override(small, [*window, f"data.pool_gb={least - 0.001:.3f}"]))


@pytest.mark.parametrize("setting", ["data.sampling=balanced", "data.mixture=equal"])
def test_a_window_with_clips_that_are_drawn_is_rejected(setting):
    name, value = setting.split("=")
    with pytest.raises(
        ConfigError, match=f"{name} is '{value}', which draws clips .* or data.shuffle_blocks=0"
    ):
        override(smoke(), [setting, "data.shuffle_blocks=2"])


def test_clips_with_infinity_are_named_when_their_block_is_read(tmp_path):
    path = tiny_cache(tmp_path / "feats.zarr", tiny_meta(num_clips=NUM))
    write_feature(path, 11, float("inf"))
    expected = r"features of 1 clip hold NaN or infinity: 'clip011' \(face/embedding\)"
    config = override(DISK, ["model.standardise=false"])
    with pytest.raises(CacheError, match=expected):
        train(path, tmp_path / "run", config, device="cpu")


def test_a_damaged_block_is_named(tmp_path):
    path = tiny_cache(tmp_path / "feats.zarr", tiny_meta(num_clips=NUM))
    chunk = path / "scene" / "early" / "c" / "5" / "0" / "0" / "0" / "0" / "0"
    content = bytearray(chunk.read_bytes())
    content[3] ^= 255
    chunk.write_bytes(content)
    with pytest.raises(CacheDamagedError, match="'scene/early', clips 40 to 47, cannot be read"):
        train(path, tmp_path / "run", DISK, device="cpu")


def test_clips_in_memory_leave_no_cache_open(path, tmp_path, monkeypatch):
    closed = Mock()
    monkeypatch.setattr(FeatureCache, "close", closed)
    train(
        path, tmp_path / "run", override(QUICK, ["schedule.max_epochs=1"]), device="cpu",
        on_epoch=lambda _: closed.assert_called_once(),
    )  # fmt: skip

"""Training on features that stay in the cache: the numbers of a training in memory."""

import pytest
import torch

from pipeline.cancel import CancelToken, TaskCancelledError
from pipeline.config import override
from pipeline.store.export import export_hdf5
from pipeline.store.reader import FeatureCache
from tests.streaming import (
    DISK,
    NUM,
    QUICK,
    TRAIN,
    assert_equal_batches,
    assert_same_numbers,
    larger_cache,
    opened,
    records,
)
from tests.tiny_cache import tiny_cache, tiny_meta
from tests.two_caches import other_static
from trainer import resume, train
from trainer.batches import FEATURES, OF_EACH_CLIP
from trainer.run_directory import load_info
from trainer.streamed_clips import StreamedClips

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return larger_cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def in_memory(path, tmp_path_factory):
    """A run in memory, in the same order."""
    return train(path, tmp_path_factory.mktemp("runs") / "run", QUICK, device="cpu")


# Numbers


def test_a_training_from_disk_equals_one_in_memory_in_the_same_order_to_the_bit(path, in_memory, tmp_path):
    result = train(path, tmp_path / "run", DISK, device="cpu")
    assert result.residence == (
        "0.00 GB of features on disk, at most 0.0017 GB of them in memory, shuffled within 3 blocks at a time"
    )
    assert in_memory.residence == "0.00 GB of features in memory"
    assert_same_numbers(tmp_path / "run", in_memory.run_dir)


@pytest.mark.parametrize(
    "settings", [["data.mixup=0.3", "data.views=first"], ["losses.contrast=batch", "optim.batch_size=2"]]
)
def test_other_settings_give_equal_numbers_too(path, tmp_path, settings):
    for name, config in (("memory", QUICK), ("disk", DISK)):
        few = override(config, [*settings, "schedule.max_epochs=1"])
        train(path, tmp_path / name, few, device="cpu")
    assert_same_numbers(tmp_path / "disk", tmp_path / "memory")


def test_several_caches_are_streamed_like_one_allocation(path, tmp_path):

    meta = tiny_meta(dataset="other", num_clips=48)
    added = tiny_cache(tmp_path / "b.zarr", meta, **other_static())
    for name, config in (("memory", QUICK), ("disk", DISK)):
        train([path, added], tmp_path / name, override(config, ["schedule.max_epochs=1"]), device="cpu")
    assert_same_numbers(tmp_path / "disk", tmp_path / "memory")


def test_an_hdf5_file_is_streamed(path, in_memory, tmp_path):
    with FeatureCache.open(path) as cache:
        export_hdf5(cache, tmp_path / "feats.h5")
    train(tmp_path / "feats.h5", tmp_path / "run", DISK, device="cpu")
    assert records(tmp_path / "run") == records(in_memory.run_dir)


def test_a_cache_in_a_bucket_is_streamed(bucket, tmp_path):
    meta = tiny_meta(num_clips=NUM, block_clips=24)
    config = override(DISK, ["data.shuffle_blocks=1", "data.pool_gb=0.0035"])
    found = []
    for where in (bucket.url("feats.zarr"), tmp_path / "feats.zarr"):
        with FeatureCache.open(tiny_cache(where, meta)) as cache:
            streamed, _ = opened(cache, config)
            assert isinstance(streamed, StreamedClips)
            batches = streamed.training_batches(
                torch.arange(TRAIN), 8, True, torch.Generator(), shuffle_blocks=1
            )
            found.append([*batches, *streamed.evaluation_batches(torch.arange(TRAIN), 8)])
            streamed.close()
    assert_equal_batches(*found)


def test_features_that_fit_into_the_pool_are_read_once(path, tmp_path, in_memory):
    result = train(path, tmp_path / "run", override(DISK, ["data.pool_gb=0.004"]), device="cpu")
    assert result.residence == (
        "0.00 GB of features in memory (they fit into data.pool_gb, 0.004 GB, and are read from disk once)"
    )
    assert_same_numbers(tmp_path / "run", in_memory.run_dir)


@pytest.fixture(scope="module")
def with_tokens(tmp_path_factory):
    meta = tiny_meta(num_clips=NUM, num_tokens=4)
    return tiny_cache(tmp_path_factory.mktemp("tokens") / "feats.zarr", meta)


@pytest.mark.parametrize(
    "settings",
    [
        ["data.pool_gb=0.002"],
        ["data.pool_gb=0.0028", "model.tfe_tokens=patches"],
        ["data.pool_gb=0.001", "model.polarity=false"],
    ],
)
def test_batches_are_those_of_clips_in_memory(with_tokens, settings):
    places = torch.arange(3, TRAIN)
    with FeatureCache.open(with_tokens) as cache:
        streamed, loaded = opened(cache, override(DISK, settings))
        assert isinstance(streamed, StreamedClips)
        for seed, two_classes in ((0, False), (1, False), (1, True)):
            batches = [
                clips.training_batches(
                    places, 3, not seed, torch.Generator().manual_seed(seed), two_classes=two_classes,
                    shuffle_blocks=3,
                )
                for clips in (streamed, loaded)
            ]  # fmt: skip
            assert_equal_batches(*batches)
        for chosen in (torch.arange(200), torch.arange(10), torch.tensor([300, 2, 2, 150])):
            assert_equal_batches(*(clips.evaluation_batches(chosen, 8) for clips in (streamed, loaded)))
        streamed.close()


def test_a_subset_is_the_same_clips_in_memory(path):
    with FeatureCache.open(path) as cache:
        streamed, loaded = opened(cache, DISK)
        place_N = torch.tensor([319, 0, 7, 0, 100])
        found, expected = streamed.subset(place_N), loaded.subset(place_N)
        streamed.close()
    for name in (*FEATURES, *OF_EACH_CLIP):
        values = [getattr(data, name) for data in (found, expected)]
        assert (values[0] is None) == (values[1] is None)
        assert values[0] is None or torch.equal(*values)


def test_an_epoch_that_ends_early_leaves_all_memory_to_the_next_one(path):
    with FeatureCache.open(path) as cache:
        streamed, loaded = opened(cache, DISK)
        places = torch.arange(TRAIN)
        stopped = streamed.training_batches(places, 8, True, torch.Generator(), shuffle_blocks=3)
        next(stopped)
        stopped.close()
        assert_equal_batches(
            *(
                clips.training_batches(places, 8, True, torch.Generator().manual_seed(5), shuffle_blocks=3)
                for clips in (streamed, loaded)
            )
        )
        streamed.close()


def test_a_resumed_training_equals_an_uninterrupted_one_to_the_bit(path, tmp_path):
    config = override(DISK, ["schedule.max_epochs=3"])
    train(path, tmp_path / "whole", config, device="cpu")
    cancel = CancelToken()
    with pytest.raises(TaskCancelledError):
        train(
            path, tmp_path / "run", config, device="cpu", cancel=cancel,
            on_epoch=lambda report: cancel.cancel() if report.epoch == 2 else None,
        )  # fmt: skip
    resume(tmp_path / "run", device="cpu")
    assert_same_numbers(tmp_path / "run", tmp_path / "whole")
    assert load_info(tmp_path / "run").best_epoch == load_info(tmp_path / "whole").best_epoch

import numpy as np
import pytest
import torch

from pipeline.errors import CacheError, ConfigError
from pipeline.store.reader import FeatureCache
from pipeline.store.writer import CacheWriter
from tests.tiny_cache import tiny_cache, tiny_meta
from trainer.block_reading import bytes_needed
from trainer.clip_loading import load_clips
from trainer.config import DataConfig, LossConfig, ModelConfig, TrainConfig

CPU = torch.device("cpu")
N = 48


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tiny_cache(tmp_path_factory.mktemp("cache") / "feats.zarr")


@pytest.fixture(scope="module")
def cache(path):
    with FeatureCache.open(path) as opened:
        yield opened


def test_batches_hold_what_the_cache_holds(cache):
    rows = np.array([45, 3, 17])
    data = load_clips(cache, rows, TrainConfig(), CPU)
    batch = data.gather(torch.tensor([2, 0]), torch.tensor([1, 0]))
    for name, array in (("face/embedding", batch.face_BTF), ("scene/embedding", batch.scene_BTF)):
        stored = cache.read(name)
        assert array.dtype == torch.float32
        assert np.array_equal(array.numpy(), np.stack([stored[17, 1], stored[45, 0]]).astype(np.float32))
    assert np.array_equal(batch.valid_BT.numpy(), cache.read("frame_valid")[[17, 45], [1, 0]])
    assert batch.label_B.tolist() == [17 % 3, 45 % 3]
    assert batch.polarity_B.tolist() == [0, 2]


def test_early_statistics_are_the_mean_over_valid_frames(cache):
    data = load_clips(cache, np.array([5, 6]), TrainConfig(), CPU)
    stored, valid = cache.read("scene/early").astype(np.float32), cache.read("frame_valid")
    assert valid[5, 0].tolist() == [True, True, False, False]
    early = data.gather(torch.tensor([0, 1]), torch.tensor([0, 1])).early_B43D
    np.testing.assert_allclose(early[0], stored[5, 0, :2].mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(early[1], stored[6, 1].mean(axis=0), atol=1e-6)


@pytest.mark.parametrize("model", [{}, {"scene": False, "polarity": False}, {"tfe_tokens": "patches"},
                                   {"tfe_tokens": "patches", "scene": False, "polarity": False}])  # fmt: skip
def test_the_memory_that_is_planned_is_the_memory_that_is_taken(tmp_path, model):
    meta, config = tiny_meta(num_tokens=5, num_clips=8), TrainConfig(model=ModelConfig(**model))
    with FeatureCache.open(tiny_cache(tmp_path / "feats.zarr", meta)) as cache:
        data = load_clips(cache, np.array([5, 6, 7]), config, CPU)
    features = (data.face_NVTF, data.scene_NVTF, data.early_NV43D, data.face_patches_NVJD,
                data.scene_patches_NVJD)  # fmt: skip
    taken = sum(array.nbytes for array in features if array is not None)
    assert bytes_needed(meta, config, 3) == taken


def test_patch_tokens_are_their_mean_over_valid_frames(tmp_path):
    path = tiny_cache(tmp_path / "feats.zarr", tiny_meta(num_tokens=5, num_clips=8))
    config = TrainConfig(model=ModelConfig(tfe_tokens="patches"))
    with FeatureCache.open(path) as cache:
        stored = {name: cache.read(f"{name}/tokens").astype(np.float32) for name in ("face", "scene")}
        batch = load_clips(cache, np.array([5, 6]), config, CPU).gather(
            torch.tensor([0, 1]), torch.tensor([1, 0])
        )
    for name, patches in (("face", batch.face_patches_BJD), ("scene", batch.scene_patches_BJD)):
        np.testing.assert_allclose(patches[0], stored[name][5, 1, :2].mean(axis=0), atol=1e-6)
        np.testing.assert_allclose(patches[1], stored[name][6, 0].mean(axis=0), atol=1e-6)


def test_patch_tokens_that_the_cache_lacks_are_refused_with_the_way_to_them(cache):
    config = TrainConfig(model=ModelConfig(tfe_tokens="patches"))
    with pytest.raises(ConfigError, match="holds no patch tokens; extract it with --tokens grid4 or all"):
        load_clips(cache, np.arange(3), config, CPU)


@pytest.mark.parametrize(
    ("config", "scene", "early"),
    [
        (TrainConfig(model=ModelConfig(scene=False, polarity=False)), False, False),
        (TrainConfig(model=ModelConfig(polarity=False)), True, False),
        (TrainConfig(losses=LossConfig(terms="contrast")), True, False),
        (TrainConfig(), True, True),
    ],
)
def test_only_what_the_model_needs_is_loaded(cache, config, scene, early):
    data = load_clips(cache, np.arange(3), config, CPU)
    assert (data.scene_NVTF is not None, data.early_NV43D is not None) == (scene, early)
    assert data.face_patches_NVJD is data.scene_patches_NVJD is None
    assert "GB of features in memory" in data.residence


def test_training_takes_every_clip_once_in_an_order_and_views_of_the_generator(cache):
    data = load_clips(cache, np.arange(N), TrainConfig(), CPU)
    places = torch.arange(10, 40)

    def epoch(seed, random_views=True):
        batches = list(data.training_batches(places, 8, random_views, torch.Generator().manual_seed(seed)))
        assert [len(batch.label_B) for batch in batches] == [8, 8, 8, 6]
        return torch.cat([batch.face_BTF for batch in batches])

    stored = torch.from_numpy(cache.read("face/embedding")).float()[:, :, 0, 0]
    seen = [(stored == value).nonzero()[0].tolist() for value in epoch(0)[:, 0, 0]]
    assert sorted(clip for clip, _ in seen) == list(range(10, 40))
    assert [clip for clip, _ in seen] != list(range(10, 40))
    assert {view for _, view in seen} == {0, 1}
    assert torch.equal(epoch(0), epoch(0))
    assert not torch.equal(epoch(0), epoch(1))
    first = [(stored == value).nonzero()[0].tolist() for value in epoch(0, random_views=False)[:, 0, 0]]
    assert {view for _, view in first} == {0}


def test_evaluation_takes_the_first_view_in_order(cache):
    data = load_clips(cache, np.arange(N), TrainConfig(), CPU)
    batches = list(data.evaluation_batches(torch.arange(5), 2))
    faces = torch.cat([batch.face_BTF for batch in batches])
    assert np.array_equal(faces.numpy(), cache.read("face/embedding")[:5, 0].astype(np.float32))


def test_a_hole_among_the_valid_frames_is_refused(tmp_path):
    path = tiny_cache(tmp_path / "feats.zarr")
    writer = CacheWriter.resume(path)
    rows = writer.read_block(8)
    rows["frame_valid"][1, 0] = [True, False, True, True]
    writer.write_block(8, rows)
    with FeatureCache.open(path) as cache:
        load_clips(cache, np.array([8]), TrainConfig(), CPU)
        with pytest.raises(CacheError, match="valid frames of clip 'clip009' are not its first ones"):
            load_clips(cache, np.array([8, 9]), TrainConfig(), CPU)


@pytest.mark.parametrize("batch_size", [2, 3, 5, 9])
def test_a_batch_of_one_class_is_joined_with_another_where_two_are_needed(cache, batch_size):
    """Ten clips of class 0 and three of class 1: in batches of two most hold one class."""
    data = load_clips(cache, np.arange(N), TrainConfig(), CPU)
    places = torch.tensor([*range(0, 30, 3), 1, 4, 7])
    plain_had_one_class = False
    for seed in range(5):
        plain, joined = (
            [
                batch.label_B.tolist()
                for batch in data.training_batches(
                    places, batch_size, False, torch.Generator().manual_seed(seed), two_classes=two_classes
                )
            ]
            for two_classes in (False, True)
        )
        assert sum(plain, []) == sum(joined, [])
        assert len(sum(joined, [])) == 13
        assert all(len(set(labels)) > 1 for labels in joined)
        plain_had_one_class |= any(len(set(labels)) == 1 for labels in plain)
    assert plain_had_one_class or batch_size == 9


def test_a_last_clip_is_joined_with_the_batch_before_it(cache):
    data = load_clips(cache, np.arange(N), TrainConfig(), CPU)
    generator = torch.Generator().manual_seed(0)
    batches = data.training_batches(torch.arange(33), 16, False, generator, two_classes=True)
    assert [len(batch.label_B) for batch in batches] == [16, 17]


@pytest.mark.gpu
@pytest.mark.parametrize("residence", ["device", "host"])
def test_batches_are_the_same_from_device_and_host_memory(cache, residence):
    cuda = torch.device("cuda")
    config = TrainConfig(data=DataConfig(residence=residence))
    place, view = torch.tensor([4, 0, 9]), torch.tensor([0, 1, 0])
    batch = load_clips(cache, np.arange(10), config, cuda).gather(place, view)
    plain = load_clips(cache, np.arange(10), TrainConfig(), CPU).gather(place, view)
    assert batch.face_BTF.device.type == "cuda"
    for name in ("face_BTF", "scene_BTF", "early_B43D", "valid_BT", "label_B"):
        assert torch.equal(getattr(batch, name).cpu(), getattr(plain, name))

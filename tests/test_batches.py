import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import CacheError, ConfigError
from pipeline.store.reader import FeatureCache
from pipeline.store.writer import CacheWriter
from pipeline.types import Split, Status
from tests.tiny_cache import CLASSES, tiny_cache, tiny_meta
from trainer.batches import (
    fold_number,
    fold_rows,
    hold_out,
    load_clips,
    polarity_labels,
    require_polarities,
)
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


def membership(**rows):
    array = np.full((N, 1), Split.TRAIN, dtype=np.uint8)
    for name, (start, stop) in rows.items():
        array[start:stop] = Split[name.upper()]
    return array


def opened(tmp_path, **static):
    return FeatureCache.open(tiny_cache(tmp_path / "feats.zarr", **static))


def test_holdout_takes_a_tenth_of_every_class_of_the_training_fold(cache):
    rows = fold_rows(cache, 1, DataConfig(), seed=0)
    label = cache.read("label")
    assert (rows.rule, rows.left_out) == ("holdout", {})
    assert np.array_equal(np.sort(np.concatenate([rows.train, rows.validation])), np.arange(32))
    assert np.array_equal(rows.test, np.arange(32, 48))
    assert np.bincount(label[rows.validation]).tolist() == [1, 1, 1]


def test_holdout_depends_on_the_seed_alone(cache):
    drawn = [fold_rows(cache, 1, DataConfig(), seed=seed).validation.tolist() for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=80), st.floats(0.01, 0.5), st.integers(0, 5))
def test_holdout_is_a_stratified_partition(labels, share, seed):
    label = np.array(labels)
    train, held = hold_out(np.arange(len(label)), label, share, seed)
    assert sorted([*train, *held]) == list(range(len(label)))
    for count, held_count in zip(np.bincount(label), np.bincount(label[held], minlength=4), strict=False):
        assert held_count == (min(max(1, int(share * count + 0.5)), count - 1) if count else 0)


def test_validation_clips_of_the_data_set_are_taken_when_there_are_any(tmp_path):
    with opened(tmp_path, membership=membership(validation=(20, 30), test=(30, 48))) as cache:
        rows = fold_rows(cache, 1, DataConfig(), seed=0)
        assert (rows.rule, rows.validation.tolist()) == ("given", list(range(20, 30)))
        held = fold_rows(cache, 1, DataConfig(validation="holdout"), seed=0)
        assert held.left_out == {"marked validation while data.validation=holdout": 10}
        assert held.validation.max() < 20


@pytest.mark.parametrize(("rule", "start", "stop"), [("test", 32, 48), ("train", 0, 32)])
def test_selecting_on_test_or_train_is_possible_and_named(cache, rule, start, stop):
    rows = fold_rows(cache, 1, DataConfig(validation=rule), seed=0)
    assert (rows.rule, rows.validation.tolist()) == (rule, list(range(start, stop)))
    assert rows.train.tolist() == list(range(32))


def test_clips_without_features_or_label_are_left_out_and_counted(tmp_path):
    status = np.full(N, Status.DONE, dtype=np.uint8)
    status[[0, 1]], status[2], status[3], status[40] = (
        Status.FAILED, Status.PENDING, Status.DONE_WITHOUT_FACE, Status.FAILED,
    )  # fmt: skip
    label = (np.arange(N) % 3).astype(np.int16)
    label[[4, 5, 6, 41]] = -1
    with opened(tmp_path, status=status, label=label) as cache:
        rows = fold_rows(cache, 1, DataConfig(), seed=0)
    assert rows.left_out == {"failed": 3, "pending": 1, "unlabelled": 4}
    used = {*rows.train, *rows.validation, *rows.test}
    assert used == set(range(N)) - {0, 1, 2, 4, 5, 6, 40, 41}


def test_clips_outside_the_fold_are_no_concern_of_it(tmp_path):
    status = np.full(N, Status.DONE, dtype=np.uint8)
    status[:10] = Status.FAILED
    with opened(tmp_path, status=status, membership=membership(absent=(0, 10), test=(40, 48))) as cache:
        assert fold_rows(cache, 1, DataConfig(), seed=0).left_out == {}


def test_an_empty_split_is_refused_with_the_counts(tmp_path):
    with opened(tmp_path, membership=membership()) as cache:
        rows = fold_rows(cache, 1, DataConfig(validation="given"), seed=0)
    with pytest.raises(
        ConfigError, match=r"Fold '1' has no usable clips in split 'test' \(train 48, validation 0"
    ):
        rows.of("test")
    with pytest.raises(ConfigError, match="data.validation is given; others: holdout, test, train "):
        rows.of("validation")
    with pytest.raises(ConfigError, match="split is 'dev'; allowed: train, validation, test"):
        rows.of("dev")


def test_folds_go_by_name_or_by_number():
    meta = tiny_meta(fold_names=("fd1", "fd2"))
    assert [fold_number(meta, fold) for fold in ("fd2", 1, 2)] == [1, 0, 1]
    with pytest.raises(ConfigError, match="fold is 3; this cache has 2: fd1, fd2"):
        fold_number(meta, 3)


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
    early = data.gather(torch.tensor([0, 1]), torch.tensor([0, 1])).early_BKZD
    np.testing.assert_allclose(early[0], stored[5, 0, :2].mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(early[1], stored[6, 1].mean(axis=0), atol=1e-6)


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
    assert (data.scene_NVTF is not None, data.early_NVKZD is not None) == (scene, early)
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


def test_polarity_map_speaks_for_its_classes(cache):
    config = DataConfig(polarity_map=("neutral:positive",))
    label = cache.read("label")
    changed, plain = polarity_labels(cache, config), polarity_labels(cache, DataConfig())
    assert (changed[label == CLASSES.index("neutral")] == 2).all()
    others = label != CLASSES.index("neutral")
    assert np.array_equal(changed[others], plain[others])
    with pytest.raises(ConfigError, match="names class 'joy'; this cache has: happiness, neutral, sadness"):
        polarity_labels(cache, DataConfig(polarity_map=("joy:positive",)))


def test_unknown_polarity_is_an_error_that_names_three_ways_out(tmp_path):
    polarity = np.full(N, 1, dtype=np.int8)
    polarity[[0, 3, 2]] = -1
    with opened(tmp_path, polarity=polarity) as cache:
        polarity_N = polarity_labels(cache, DataConfig())
        require_polarities(cache, polarity_N, np.arange(4, N))
        with pytest.raises(
            ConfigError, match="3 clips of happiness, sadness have no known polarity"
        ) as caught:
            require_polarities(cache, polarity_N, np.arange(N))
    for way in (
        "'polarity' column",
        "--set data.polarity_map=happiness:positive",
        "--set model.polarity=false",
    ):
        assert way in str(caught.value)


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


@pytest.mark.gpu
@pytest.mark.parametrize("residence", ["device", "host"])
def test_batches_are_the_same_from_device_and_host_memory(cache, residence):
    cuda = torch.device("cuda")
    config = TrainConfig(data=DataConfig(residence=residence))
    place, view = torch.tensor([4, 0, 9]), torch.tensor([0, 1, 0])
    batch = load_clips(cache, np.arange(10), config, cuda).gather(place, view)
    plain = load_clips(cache, np.arange(10), TrainConfig(), CPU).gather(place, view)
    assert batch.face_BTF.device.type == "cuda"
    for name in ("face_BTF", "scene_BTF", "early_BKZD", "valid_BT", "label_B"):
        assert torch.equal(getattr(batch, name).cpu(), getattr(plain, name))

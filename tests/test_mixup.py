from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from pipeline.config import override
from pipeline.store.reader import FeatureCache
from tests.test_steps import Tape
from tests.tiny_cache import tiny_cache, tiny_meta
from trainer import steps
from trainer.clip_loading import load_clips
from trainer.mixup import mixed
from trainer.presets import smoke
from trainer.training import train

CLASSES = 3
FEATURES = ("face_BTF", "scene_BTF", "early_B43D", "face_patches_BJD", "scene_patches_BJD")

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    """All features of six clips, of which the first and the last have two valid frames only."""
    path = tiny_cache(tmp_path_factory.mktemp("cache") / "c.zarr", tiny_meta(num_tokens=3))
    config = override(smoke(), ["model.tfe_tokens=patches"])
    with FeatureCache.open(path) as cache:
        data = load_clips(cache, np.arange(6), config, torch.device("cpu"))
    return data.gather(torch.arange(6), torch.zeros(6, dtype=torch.int64))


def drawn(seed, alpha, num):
    """What `mixed` draws, by another way: the share, and the partner of each clip."""
    generator = torch.Generator().manual_seed(seed)
    share = np.random.default_rng(int(torch.randint(2**62, (), generator=generator))).beta(alpha, alpha)
    return max(share, 1 - share), torch.randperm(num, generator=generator).tolist()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_features_and_targets_are_mixed_alike(batch, seed):
    share, others = drawn(seed, 0.4, 6)
    found = mixed(batch, 0.4, CLASSES, torch.Generator().manual_seed(seed))
    for name in FEATURES:
        value = getattr(batch, name)
        for clip, other in enumerate(others):
            torch.testing.assert_close(
                getattr(found, name)[clip], share * value[clip] + (1 - share) * value[other]
            )
    for clip, other in enumerate(others):
        expected = [0.0] * CLASSES
        expected[int(batch.label_B[clip])] += share
        expected[int(batch.label_B[other])] += 1 - share
        assert found.target_BC[clip].tolist() == pytest.approx(expected)
        polarity = [0.0] * 3
        polarity[int(batch.polarity_B[clip])] += share
        polarity[int(batch.polarity_B[other])] += 1 - share
        assert found.polarity_target_BP[clip].tolist() == pytest.approx(polarity)
    assert share >= 0.5
    torch.testing.assert_close(found.label_B, batch.label_B)


def test_only_frames_that_both_clips_have_are_valid(batch):
    _, others = drawn(0, 0.4, 6)
    found = mixed(batch, 0.4, CLASSES, torch.Generator().manual_seed(0))
    lengths = batch.valid_BT.sum(dim=1).tolist()
    assert set(lengths) == {2, 4}
    for clip, other in enumerate(others):
        kept = min(lengths[clip], lengths[other])
        assert found.valid_BT[clip].tolist() == [frame < kept for frame in range(4)]


def test_votes_are_mixed_as_votes(batch):
    votes = torch.softmax(torch.arange(18.0).reshape(6, 3) % 5, dim=1)
    share, others = drawn(4, 1.0, 6)
    found = mixed(replace(batch, target_BC=votes), 1.0, CLASSES, torch.Generator().manual_seed(4))
    torch.testing.assert_close(found.target_BC, share * votes + (1 - share) * votes[others])


def test_a_batch_of_one_clip_is_itself(batch):
    names = [field.name for field in fields(batch) if getattr(batch, field.name) is not None]
    one = replace(batch, **{name: getattr(batch, name)[:1] for name in names})
    found = mixed(one, 0.4, CLASSES, torch.Generator().manual_seed(0))
    for name in names:
        torch.testing.assert_close(getattr(found, name), getattr(one, name))
    assert found.target_BC.tolist() == [[1, 0, 0]]


@pytest.mark.parametrize("alpha", [0.001, 0.4, 10.0])
def test_shares_of_the_first_clip_follow_the_folded_beta_distribution(batch, alpha):
    """The larger of s and 1 - s has the mean 1/2 + E|s - 1/2|."""
    generator, shares = torch.Generator().manual_seed(1), []
    for _ in range(400):
        found = mixed(replace(batch, label_B=torch.arange(6)), alpha, 6, generator)
        shares += found.target_BC.diagonal()[found.target_BC.diagonal() < 1 - 1e-6][:1].tolist()
    draws = np.random.default_rng(0).beta(alpha, alpha, 100_000)
    draws = np.maximum(draws, 1 - draws)
    draws = draws[draws < 1 - 1e-6]
    assert all(0.5 <= share <= 1 for share in shares)
    if len(shares) > 100:
        assert np.mean(shares) == pytest.approx(draws.mean(), abs=0.02)


def test_a_run_with_mixup_has_other_losses_and_its_accuracy_is_that_of_the_larger_part(tmp_path):
    path = tiny_cache(tmp_path / "c.zarr")
    config = override(smoke(), ["schedule.max_epochs=2"])
    plain = train(path, tmp_path / "plain", config, device="cpu")
    for more in ([], ["model.polarity=false", "model.scene=false"], ["losses.contrast=streams"]):
        run = tmp_path / f"mixed{len(more)}{'-'.join(more)[-7:]}"
        found = train(path, run, override(config, ["data.mixup=1", *more]), device="cpu")
        assert found.best.train.losses["contrast"] != plain.best.train.losses["contrast"]
        assert 0 <= found.best.train.accuracy <= 1


def test_replayed_steps_train_on_mixed_clips_and_weights_as_plain_ones_do(tmp_path, monkeypatch):
    path = tiny_cache(tmp_path / "c.zarr")
    changes = ["data.mixup=0.4", "losses.class_weights=inverse", "optim.name=adamw", "optim.batch_size=7"]
    config = override(smoke(), [*changes, "schedule.max_epochs=2"])
    plain = train(path, tmp_path / "plain", config, device="cpu")
    tape = Tape()
    monkeypatch.setattr("trainer.training_task.steps_of", lambda of, _: steps.GraphedSteps(of, tape.capture))
    replayed = train(path, tmp_path / "replayed", config, device="cpu")
    assert tape.replayed > 0
    weights = [(run.run_dir / "best.safetensors").read_bytes() for run in (plain, replayed)]
    assert weights[0] == weights[1]


def test_the_rate_of_a_run_ends_at_the_lowest_one(tmp_path):
    path = tiny_cache(tmp_path / "c.zarr")
    changes = ["schedule.decay=cosine", "optim.batch_size=10", "optim.warmup_steps=2", "schedule.min_lr=1e-5"]
    config = override(smoke(), [*changes, "schedule.max_epochs=3", "schedule.stop_patience=0"])
    rates = []
    found = train(
        path, tmp_path / "run", config, device="cpu", on_epoch=lambda report: rates.append(report.lr)
    )
    assert found.num_steps == 9
    assert rates[-1] == pytest.approx(1e-5)
    assert rates == sorted(rates, reverse=True)
    rates.clear()
    train(
        path, tmp_path / "short", override(config, ["schedule.max_steps=5"]), device="cpu",
        on_epoch=lambda report: rates.append(report.lr),
    )  # fmt: skip
    assert rates[-1] == pytest.approx(1e-5)

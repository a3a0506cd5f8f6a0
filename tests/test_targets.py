"""Targets of the contrastive loss of training: weights, prior, smoothing, votes."""

import json

import numpy as np
import pytest
import torch
from torch.nn import functional

from pipeline.config import override
from pipeline.display.json_values import to_json_values
from pipeline.errors import CacheError, ConfigError
from pipeline.store.reader import FeatureCache
from tests.tiny_cache import tiny_cache, tiny_static
from trainer import train
from trainer.batches import Batch
from trainer.block_reading import ClipSource
from trainer.class_balance import class_weights, drawing_shares, log_prior
from trainer.config import TrainConfig
from trainer.evaluation import evaluate
from trainer.presets import smoke
from trainer.report import report
from trainer.run_directory import load_info
from trainer.targets import ClassLoss, label_targets, vote_targets

CPU = torch.device("cpu")
LABELS = np.array([0] * 6 + [1] * 3 + [2])
LOGITS = torch.tensor([[2.0, 1.0, -1.0], [0.5, 0.0, 3.0], [-1.0, 1.0, 0.25]])
EPOCH = ["schedule.max_epochs=1"]


def batch(labels=(0, 1, 2), target=None):
    label_B = torch.tensor(labels)
    nothing = torch.zeros(len(labels), 1, 1)
    return Batch(
        face_BTF=nothing, scene_BTF=None, early_B43D=None, valid_BT=nothing[..., 0] == 0,
        label_B=label_B, polarity_B=label_B, target_BC=target,
    )  # fmt: skip


def loss(*changes, labels=LABELS):
    config = override(TrainConfig(), changes)
    share_N = drawing_shares(labels, config.data.sampling)
    return ClassLoss.of(config, share_N, label_targets(labels, 3), CPU)


def by_hand(logits_BC, target_BC, weight_B=1.0, reduction="mean"):
    loss_B = -weight_B * (target_BC * torch.log(torch.softmax(logits_BC, dim=1))).sum(dim=1)
    return float(loss_B.mean() if reduction == "mean" else loss_B.sum())


def test_by_default_the_loss_is_the_plain_one():
    assert loss() is None


@pytest.mark.parametrize("kind", ["inverse", "effective"])
def test_a_clip_has_the_weight_of_its_class(kind):
    found = loss(f"losses.class_weights={kind}", "losses.effective_beta=0.9")
    weight_C = torch.tensor(class_weights(np.array([6.0, 3.0, 1.0]), kind, 0.9), dtype=torch.float32)
    expected = (weight_C * functional.cross_entropy(LOGITS, torch.arange(3), reduction="none")).mean()
    assert float(found(LOGITS, batch())) == pytest.approx(float(expected), rel=1e-6)


def test_weights_keep_the_size_of_the_loss_over_all_training_clips():
    logits = torch.ones(len(LABELS), 3)
    for kind in ("inverse", "effective"):
        found = loss(f"losses.class_weights={kind}")(logits, batch(LABELS.tolist()))
        assert float(found) == pytest.approx(np.log(3), rel=1e-6)


@pytest.mark.parametrize("tau", [1.0, 1.5])
def test_the_log_prior_is_added_to_the_logits(tau):
    found = loss(f"losses.logit_adjustment={tau}")(LOGITS, batch())
    shifted = LOGITS + tau * torch.log(torch.tensor([0.6, 0.3, 0.1]))
    assert float(found) == pytest.approx(float(functional.cross_entropy(shifted, torch.arange(3))), rel=1e-6)


def test_weights_and_prior_are_those_of_the_clips_as_they_are_drawn():
    """Square roots of 6, 3 and 1 clips."""
    roots = np.sqrt([6.0, 3.0, 1.0])
    found = loss("data.sampling=square_root", "losses.logit_adjustment=1", "losses.class_weights=inverse")
    assert found.prior_C.numpy() == pytest.approx(log_prior(roots), rel=1e-6)
    counts = 10 * roots / roots.sum()
    assert found.weight_C.numpy() == pytest.approx(class_weights(counts, "inverse", 0), rel=1e-6)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_smoothing_is_that_of_torch(reduction):
    found = loss("losses.label_smoothing=0.2", f"losses.reduction={reduction}")(LOGITS, batch())
    expected = functional.cross_entropy(LOGITS, torch.arange(3), label_smoothing=0.2, reduction=reduction)
    assert float(found) == pytest.approx(float(expected), rel=1e-6)


def test_targets_are_distributions_and_weights_follow_them_before_smoothing():
    target = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.25, 0.75], [0.0, 0.0, 1.0]])
    found = loss("losses.class_weights=inverse", "losses.label_smoothing=0.3")
    weight_B = target @ found.weight_C
    expected = by_hand(LOGITS, 0.7 * target + 0.1, weight_B)
    assert float(found(LOGITS, batch(target=target))) == pytest.approx(expected, rel=1e-5)


def test_cross_entropy_of_votes_has_the_gradient_of_the_kullback_leibler_divergence():
    target = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.25, 0.75], [0.0, 0.0, 1.0]])
    found = ClassLoss(weight_C=None, prior_C=None, smoothing=0.0, reduction="mean")
    logits, same = (LOGITS.clone().requires_grad_() for _ in range(2))
    found(logits, batch(target=target)).backward()
    functional.kl_div(torch.log_softmax(same, dim=1), target, reduction="batchmean").backward()
    torch.testing.assert_close(logits.grad, same.grad)


def voted(path, votes, **changes):
    static = tiny_static()
    tiny_cache(path, votes=np.broadcast_to(np.float32(votes), static["votes"].shape).copy(), **changes)
    return path


@pytest.mark.parametrize(
    ("temperature", "expected"), [(1.0, [0.2, 0.8, 0]), (0.5, [1 / 17, 16 / 17, 0]), (2.0, [1 / 3, 2 / 3, 0])]
)
def test_a_temperature_sharpens_or_flattens_votes(tmp_path, temperature, expected):
    with FeatureCache.open(voted(tmp_path / "c.zarr", [0.2, 0.8, 0.0])) as cache:
        clips = ClipSource.of(cache, np.arange(4), TrainConfig())
        target_NC, num_voted = vote_targets([clips], temperature, 3)
    assert num_voted == 4
    assert target_NC == pytest.approx(np.tile(expected, (4, 1)), rel=1e-5)


def test_a_clip_without_votes_keeps_its_label(tmp_path):
    votes = np.tile(np.float32([0.2, 0.8, 0.0]), (48, 1))
    votes[1::2] = np.nan
    with FeatureCache.open(tiny_cache(tmp_path / "c.zarr", votes=votes)) as cache:
        clips = ClipSource.of(cache, np.array([0, 5, 7]), TrainConfig())
        target_NC, num_voted = vote_targets([clips], 1.0, 3)
    assert num_voted == 1
    assert target_NC == pytest.approx(np.array([[0.2, 0.8, 0], [0, 0, 1], [0, 1, 0]]), abs=1e-6)
    notes = train(
        tmp_path / "c.zarr", tmp_path / "run", override(smoke(), [*EPOCH, "losses.targets=votes"])
    ).notes
    assert any("training clips have votes; the others keep their label" in note for note in notes)


def test_a_cache_without_votes_is_rejected_before_the_run_begins(tmp_path):
    path = tiny_cache(tmp_path / "c.zarr")
    with pytest.raises(
        ConfigError, match=r"none of the \d+ training clips of '.*' has annotators' votes; give"
    ):
        train(path, tmp_path / "run", override(smoke(), ["losses.targets=votes"]), device="cpu")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("votes", [[0.2, 0.2, 0.2], [1.5, -0.5, 0.0], [np.nan, 0.5, 0.5]])
def test_votes_that_are_no_fractions_are_damage(tmp_path, votes):
    with (
        FeatureCache.open(voted(tmp_path / "c.zarr", votes)) as cache,
        pytest.raises(CacheError, match="the votes of 3 clips are not fractions with a sum of 1: 'clip000'"),
    ):
        vote_targets([ClipSource.of(cache, np.arange(3), TrainConfig())], 1.0, 3)


@pytest.mark.parametrize(
    "change",
    [
        "losses.class_weights=effective",
        "losses.logit_adjustment=1",
        "losses.label_smoothing=0.1",
        "losses.targets=votes",
        "data.sampling=balanced",
        "data.sampling=square_root",
    ],
)
def test_each_setting_changes_the_training_and_only_it(tmp_path, change):
    """Classes are unequally frequent, so that every setting has an effect."""
    static = tiny_static()
    label_N = np.where(static["label"] == 2, np.arange(48) % 2, static["label"])
    label_N[::9] = 2
    votes = 0.8 * np.eye(3, dtype=np.float32)[label_N] + np.float32(0.2 / 3)
    path = tiny_cache(tmp_path / "c.zarr", label=label_N.astype(np.int16), votes=votes)
    config = override(smoke(), [*EPOCH, "optim.lr=1e-12"])
    plain = train(path, tmp_path / "plain", config, device="cpu")
    changed = train(path, tmp_path / "changed", override(config, [change]), device="cpu")
    assert changed.best.train.losses["contrast"] != pytest.approx(
        plain.best.train.losses["contrast"], rel=1e-6
    )
    assert changed.best.validation.loss == pytest.approx(plain.best.validation.loss, rel=1e-5)
    assert load_info(changed.run_dir).num_train == load_info(plain.run_dir).num_train
    assert changed.num_steps == plain.num_steps


def test_the_number_that_chose_the_checkpoint_is_shown_wherever_the_rule_is(tmp_path):
    path = tiny_cache(tmp_path / "c.zarr")
    config = override(smoke(), ["schedule.max_epochs=4", "schedule.select=uar", "optim.lr=5e-3"])
    trained = train(path, tmp_path / "run", config, device="cpu", encoder_weights=None)
    records = [json.loads(line) for line in (trained.run_dir / "metrics.jsonl").read_text().splitlines()]
    best = min(records, key=lambda record: (-record["validation"]["uar"], record["validation"]["loss"]))
    info = load_info(trained.run_dir)
    assert (info.selected_by, info.selection, info.best_epoch) == ("uar", "holdout", best["epoch"])
    assert info.best_loss == best["validation"]["loss"]
    assert f"best epoch {best['epoch']} of 4, by the UAR on 3 validation clips (holdout)" in repr(trained)
    assert to_json_values(evaluate(tmp_path / "run", device="cpu"))["selected_by"] == "uar"
    report([tmp_path / "run"], tmp_path / "report", lambda _: None, device="cpu")
    assert "holdout, by UAR" in (tmp_path / "report" / "report.md").read_text()

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from trainer.config import OptimConfig, ScheduleConfig
from trainer.optim import Progress, annealed, build_adam, set_rate, step, warmed_up


def test_warm_up_rises_linearly_to_the_rate():
    assert [warmed_up(1.0, steps, 4) for steps in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert warmed_up(1.0, 0, 0) == 1.0


@pytest.mark.parametrize(
    ("clip_norm", "expected"), [(0.0, (3.0, 4.0)), (1.0, (0.6, 0.8)), (10.0, (3.0, 4.0))]
)
def test_step_clips_the_gradients_norm(clip_norm, expected):
    weight = nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([3.0, 4.0])
    descent = torch.optim.SGD([weight], lr=99.0)
    set_rate(descent, 1.0)
    step(descent, [weight], clip_norm)
    torch.testing.assert_close(weight.detach(), -torch.tensor(expected))
    assert weight.grad is None


def test_weight_decay_is_the_l2_term_of_adam():
    weight = nn.Parameter(torch.tensor([2.0]))
    adam = build_adam([weight], OptimConfig(lr=0.1, weight_decay=0.5))
    weight.grad = torch.zeros(1)
    step(adam, [weight], clip_norm=0.0)
    assert float(weight.detach()) == pytest.approx(1.9, abs=1e-6)  # Adam's first step has length lr


def test_weight_decay_of_adamw_is_not_part_of_the_gradient():
    """It multiplies by 1 - 0.1 x 0.5, whatever the gradient; Adam's first step has length 0.1."""
    weight = nn.Parameter(torch.tensor([2.0]))
    adamw = build_adam([weight], OptimConfig(name="adamw", lr=0.1, weight_decay=0.5))
    weight.grad = torch.zeros(1)
    step(adamw, [weight], clip_norm=0.0)
    assert float(weight.detach()) == pytest.approx(1.9, abs=1e-6)
    weight.grad = torch.tensor([1e-3])
    step(adamw, [weight], clip_norm=0.0)
    adam_step = 0.1 * (0.1 / 0.19) / (0.001 / 0.001999) ** 0.5  # moments of the gradients 0 and 0.001
    assert float(weight.detach()) == pytest.approx(1.9 * 0.95 - adam_step, abs=1e-4)


def test_a_cosine_starts_after_the_warm_up_and_ends_at_the_lowest_rate():
    rates = [annealed(1.0, 0.2, steps, 3, 9) for steps in range(9)]
    assert rates[:3] == pytest.approx([1 / 3, 2 / 3, 1])
    assert rates[5] == pytest.approx(0.6)  # half of the six steps after it
    assert rates[8] == pytest.approx(0.2)
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert annealed(1.0, 0.2, 20, 3, 9) == pytest.approx(0.2)


def test_a_run_shorter_than_its_warm_up_only_warms_up():
    assert [annealed(1.0, 0.2, steps, 10, 4) for steps in range(4)] == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_with_a_cosine_no_plateau_lowers_the_rate():
    _, rates, _ = run([1.0, *[2.0] * 11], ScheduleConfig(decay="cosine"))
    assert set(rates) == {0.9}


@pytest.mark.parametrize(
    ("graphed", "is_cuda", "on_device"),
    [(True, True, True), (True, False, False), (False, True, False), (False, False, False)],
)
def test_only_on_cuda_does_a_graphed_adam_keep_its_rate_on_the_device(
    monkeypatch, graphed, is_cuda, on_device
):
    monkeypatch.setattr("torch.optim.Adam", lambda _, **settings: SimpleNamespace(**settings))
    config = OptimConfig(lr=0.5, graphed=graphed)
    adam, elsewhere = (
        build_adam([SimpleNamespace(is_cuda=is_cuda, device=torch.device(name))], config)
        for name in ("cpu", "meta")
    )
    assert adam.capturable is on_device
    assert adam.lr == 0.5
    assert isinstance(adam.lr, torch.Tensor) is on_device
    assert not on_device or elsewhere.lr.device == torch.device("meta")


def test_a_rate_that_is_a_tensor_is_written_in_place():
    rate = torch.tensor(0.5)
    adam = torch.optim.Adam([nn.Parameter(torch.zeros(2))], lr=rate, foreach=False)
    set_rate(adam, 0.25)
    assert adam.param_groups[0]["lr"] is rate
    assert float(rate) == 0.25


def run(losses, schedule, lr=0.9):
    progress, rates, bests = Progress(lr=lr), [], []
    for epoch, loss in enumerate(losses, start=1):
        bests.append(progress.after_epoch(epoch, loss, 0.5, schedule))
        rates.append(progress.lr)
    return progress, rates, bests


def test_rate_is_cut_to_a_third_after_five_epochs_without_a_lower_loss():
    losses = [1.0, 0.5, 0.5, 0.6, 0.7, 0.5, 0.9, 0.9]  # epochs 3 to 7 are the five
    _, rates, bests = run(losses, ScheduleConfig())
    assert rates == pytest.approx([0.9] * 6 + [0.3] * 2)
    assert bests == [True, True, *[False] * 6]


def test_rate_is_cut_again_after_five_more_epochs_without_a_lower_loss():
    _, rates, _ = run([1.0, *[2.0] * 11], ScheduleConfig())
    assert rates == pytest.approx([0.9] * 5 + [0.3] * 5 + [0.1] * 2)


def test_a_better_epoch_starts_the_count_again():
    _, rates, _ = run([1.0, *[2.0] * 4, 0.5, *[2.0] * 4], ScheduleConfig())
    assert rates == pytest.approx([0.9] * 10)


def test_best_epoch_is_the_one_of_lowest_loss():
    progress, _, _ = run([1.0, 0.4, 0.6, 0.4], ScheduleConfig())
    assert (progress.best_epoch, progress.best_loss) == (2, 0.4)


def test_run_is_converged_under_1e_7():
    schedule = ScheduleConfig(stop_patience=0)
    assert Progress(lr=1e-7).stop_reason(1, 1, schedule) == ""
    assert Progress(lr=9.9e-8).stop_reason(1, 1, schedule).startswith("converged: learning rate 9.9e-08")


@pytest.mark.parametrize(
    ("epoch", "steps", "schedule", "reason"),
    [
        (9, 30, ScheduleConfig(max_steps=30), "schedule.max_steps=30 reached"),
        (60, 99, ScheduleConfig(stop_patience=0), "schedule.max_epochs=60 reached"),
        (59, 99, ScheduleConfig(stop_patience=0), ""),
        (13, 99, ScheduleConfig(stop_patience=12), "no lower validation loss for 12 epochs"),
        (12, 99, ScheduleConfig(stop_patience=12), ""),
    ],
)
def test_rules_for_stopping(epoch, steps, schedule, reason):
    assert Progress(lr=1.0, best_epoch=1).stop_reason(epoch, steps, schedule) == reason


def test_training_accuracy_above_80_percent_is_flagged_once():
    progress = Progress(lr=1.0)
    for epoch, accuracy in enumerate([0.7, 0.8, 0.81, 0.99], start=1):
        progress.after_epoch(epoch, 1.0, accuracy, ScheduleConfig())
    assert progress.overfit_epoch == 3


@pytest.mark.parametrize(
    ("select", "bests"),
    [("loss", [1, 2, 3]), ("uar", [1, 2, 5])],
)
def test_the_selected_number_chooses_and_the_lower_loss_decides_ties(select, bests):
    """Epochs 4 and 5 have the best UAR again, first with a higher and then with a lower loss."""
    progress = Progress(lr=1.0)
    losses, uars = [1.0, 0.9, 0.5, 0.95, 0.8], [0.3, 0.6, 0.4, 0.6, 0.6]
    schedule = ScheduleConfig(select=select)
    found = [
        epoch
        for epoch, (loss, uar) in enumerate(zip(losses, uars, strict=True), 1)
        if progress.after_epoch(epoch, loss, 0.5, schedule, chosen=loss if select == "loss" else uar)
    ]
    assert found == bests
    assert (progress.best_epoch, progress.best_loss) == (bests[-1], losses[bests[-1] - 1])


def test_an_accuracy_of_zero_can_be_the_best_so_far():
    progress = Progress(lr=1.0)
    schedule = ScheduleConfig(select="war")
    assert progress.after_epoch(1, 5.0, 0.0, schedule, chosen=0.0)
    assert progress.after_epoch(2, 4.0, 0.0, schedule, chosen=0.0)
    assert not progress.after_epoch(3, 4.0, 0.0, schedule, chosen=0.0)


@pytest.mark.parametrize(("select", "named"), [("war", "WAR"), ("uar", "UAR")])
def test_plateau_and_stop_follow_the_selected_number(select, named):
    progress = Progress(lr=0.9)
    schedule = ScheduleConfig(select=select, plateau_patience=2, stop_patience=3)
    for epoch, loss in enumerate([1.0, 0.9, 0.8, 0.7], 1):
        progress.after_epoch(epoch, loss, 0.5, schedule, chosen=0.5 - 0.1 * epoch)
    assert progress.best_epoch == 1
    assert progress.lr == pytest.approx(0.3)
    assert progress.stop_reason(4, 4, schedule) == f"no better validation {named} for 3 epochs"

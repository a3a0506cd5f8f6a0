import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import override
from pipeline.display.json_values import to_json_values
from pipeline.display.text import lines as lines_of
from tests.tiny_cache import tiny_cache, tiny_meta
from trainer.calibration import (
    FEWEST_CLIPS,
    HIGHEST,
    LOWEST,
    Calibration,
    Fit,
    best_temperature,
    expected_calibration_error,
    fit_temperature,
)
from trainer.evaluation import evaluate
from trainer.measurement import measure
from trainer.presets import smoke
from trainer.run_directory import load_info
from trainer.training import train

pytestmark = pytest.mark.usefixtures("one_tiny_encoder")


def logits_of(*probabilities):
    return np.log(np.array(probabilities)).astype(np.float32)


def drawn(temperature, num=4000, seed=0):
    """Logits, and labels that are drawn from softmax(logits / temperature)."""
    generator = np.random.default_rng(seed)
    logits = (2 * temperature * generator.normal(size=(num, 7))).astype(np.float32)
    p = np.exp(logits / temperature)
    p /= p.sum(axis=1, keepdims=True)
    return logits, (p.cumsum(axis=1) < generator.random((num, 1))).sum(axis=1)


def cross_entropy(logits, label, temperature):
    scaled = torch.from_numpy(logits).double() / temperature
    return float(torch.nn.functional.cross_entropy(scaled, torch.from_numpy(label)))


def test_the_error_is_that_of_guo_by_hand():
    """Bins of 0.0667: 0.9 and 0.91 share (0.867, 0.933], 0.6 is in (0.533, 0.6], 0.7 in (0.667, 0.733]."""
    logits = logits_of((0.9, 0.1), (0.91, 0.09), (0.4, 0.6 - 1e-9), (0.3, 0.7))
    label = np.array([0, 1, 1, 0])  # right, wrong, right, wrong
    expected = (abs(0.5 - 0.905) * 2 + abs(1 - 0.6) + abs(0 - 0.7)) / 4
    assert expected_calibration_error(logits, label) == pytest.approx(expected, abs=1e-6)


def test_bins_are_open_below_and_closed_above():
    """0.6 is the upper end of the 9th bin: with 0.599 it shares it, with 0.601 it does not."""
    low, edge, high = (0.599, 0.401), (0.6, 0.4), (0.601, 0.399)
    label = np.array([0, 1])  # the first is right, the second wrong
    for other, one_bin in ((low, True), (high, False)):
        logits = np.log(np.array([other, edge]))
        gaps = [1 - other[0], -0.6]
        expected = abs(sum(gaps)) / 2 if one_bin else sum(map(abs, gaps)) / 2
        assert expected_calibration_error(logits, label) == pytest.approx(expected, abs=1e-9)


def test_certain_and_right_has_no_error_certain_and_wrong_has_all():
    logits = np.array([[500.0, 0.0], [0.0, 500.0]], dtype=np.float32)
    assert expected_calibration_error(logits, np.array([0, 1])) == 0
    assert expected_calibration_error(logits, np.array([1, 0])) == 1
    assert expected_calibration_error(logits, np.array([1, 0]), temperature=1e6) == pytest.approx(
        0.5, abs=1e-3
    )


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5, 8.0])
def test_the_temperature_that_drew_the_labels_is_found(temperature):
    logits, label = drawn(temperature, num=20_000)
    assert best_temperature(logits, label) == pytest.approx(temperature, rel=0.03)
    fit = fit_temperature(logits, label, "holdout")
    assert fit.reason == ""
    assert fit.ece_after < 0.012
    if temperature != 1.0:
        assert fit.ece_before > 3 * fit.ece_after


@pytest.mark.parametrize("seed", range(5))
def test_no_other_temperature_has_a_lower_cross_entropy(seed):
    logits, label = drawn(3.0, num=80, seed=seed)
    best = best_temperature(logits, label)
    lowest = cross_entropy(logits, label, best)
    grid = np.exp(np.linspace(np.log(LOWEST), np.log(HIGHEST), 2001))
    assert all(lowest <= cross_entropy(logits, label, other) + 1e-12 for other in grid)


def test_lbfgs_gives_the_same_temperature():
    logits, label = drawn(2.0, num=300)
    inverse = torch.ones((), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [inverse], max_iter=100, tolerance_grad=1e-12, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def closure():
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(
            torch.from_numpy(logits).double() * inverse, torch.from_numpy(label)
        )
        loss.backward()
        return loss

    optimiser.step(closure)
    assert best_temperature(logits, label) == pytest.approx(1 / float(inverse.detach()), rel=1e-6)


def test_without_a_minimum_there_is_no_temperature():
    logits, _ = drawn(1.0, num=100)
    right, wrong = logits.argmax(axis=1), logits.argmin(axis=1)
    for label in (right, wrong):
        assert best_temperature(logits, label) is None
        fit = fit_temperature(logits, label, "given")
        assert fit == Fit(reason=fit.reason)
        assert "100 validation clips has no minimum from 0.05 to 20; too few" in fit.reason


def test_the_limits_are_limits_of_the_temperature():
    logits, label = drawn(1.0, num=2000)
    best = best_temperature(logits, label)
    for factor, is_within in (
        (0.9 * HIGHEST, True),
        (1.1 * HIGHEST, False),
        (1.1 * LOWEST, True),
        (0.9 * LOWEST, False),
    ):
        scaled = (logits * factor / best).astype(np.float32)
        found = best_temperature(scaled, label)
        assert (found is not None) == is_within
        if found is not None:
            assert found == pytest.approx(factor, rel=1e-5)


@pytest.mark.parametrize("selection", ["test", "train"])
def test_selection_on_test_or_training_clips_has_no_temperature(selection):
    fit = fit_temperature(*drawn(2.0), selection)
    reason = f"the checkpoint was selected on {selection} clips, which cannot show its errors"
    assert fit == Fit(reason=reason)


def test_few_clips_have_no_temperature():
    logits, label = drawn(2.0, num=FEWEST_CLIPS)
    assert fit_temperature(logits, label, "holdout").temperature > 0
    fewer = fit_temperature(logits[1:], label[1:], "holdout")
    assert fewer == Fit(reason=f"{FEWEST_CLIPS - 1} validation clips; {FEWEST_CLIPS} or more are needed")


@given(seed=st.integers(0, 10**6), temperature=st.floats(LOWEST, HIGHEST))
def test_the_error_is_a_share_in_any_order_of_the_clips(seed, temperature):
    logits, label = drawn(1.0, num=40, seed=seed)
    found = expected_calibration_error(logits, label, temperature)
    assert 0 <= found <= 1
    order = np.random.default_rng(seed).permutation(40)
    assert expected_calibration_error(logits[order], label[order], temperature) == pytest.approx(
        found, abs=1e-12
    )


def test_no_random_number_is_taken():
    logits, label = drawn(2.0)
    torch_state, numpy_state = torch.random.get_rng_state(), np.random.get_state()  # noqa: NPY002
    fit_temperature(logits, label, "holdout")
    assert torch.equal(torch.random.get_rng_state(), torch_state)
    assert all(map(np.array_equal, np.random.get_state(), numpy_state))  # noqa: NPY002


def test_a_run_without_a_temperature_has_an_error_and_a_reason():
    logits, label = drawn(2.0)
    found = Calibration.of(logits, label, 0.0, "few clips")
    assert (found.temperature, found.ece_calibrated, found.reason) == (None, None, "few clips")
    assert found.ece == expected_calibration_error(logits, label)


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    """A cache whose classes overlap, half of whose training clips are held out, and a run on it."""
    folder = tmp_path_factory.mktemp("noisy")
    cache = tiny_cache(folder / "feats.zarr", tiny_meta(num_clips=300), signal=0.08)
    settings = ["optim.lr=0.001", "optim.warmup_steps=0", "schedule.max_epochs=8", "model.polarity=false"]
    config = override(smoke(), [*settings, "data.holdout_share=0.5"])
    return cache, config, train(cache, folder / "run", config, device="cpu")


def test_the_temperature_is_that_of_the_best_checkpoint(noisy):
    _, _, result = noisy
    assert result.info.best_epoch < result.num_epochs, "the last epoch must not be the best one here"
    info, measured = load_info(result.run_dir), measure(result.run_dir, "validation", device="cpu")
    assert info == result.info
    assert len(measured.scores.label_N) >= FEWEST_CLIPS
    assert info.temperature == best_temperature(measured.scores.logits_NC, measured.scores.label_N)
    found = measured.calibration()
    assert (found.ece, found.ece_calibrated) == (info.ece_before, info.ece_after)
    assert (found.temperature, info.not_calibrated) == (info.temperature, "")


def test_calibration_changes_no_other_number_of_training(noisy, tmp_path, monkeypatch):
    cache, config, result = noisy
    monkeypatch.setattr("trainer.epochs.fit_temperature", lambda *_: Fit(reason="not now"))
    plain = train(cache, tmp_path / "run", config, device="cpu")
    assert plain.info.not_calibrated == "not now"

    def files(run_dir):
        values = json.loads((run_dir / "run.json").read_text())
        for name in ("temperature", "ece_before", "ece_after", "not_calibrated", "cache_from_run"):
            del values[name]
        epochs = [
            json.loads(line) | {"seconds": 0} for line in (run_dir / "metrics.jsonl").read_text().splitlines()
        ]
        return values, epochs, (run_dir / "best.safetensors").read_bytes()

    assert files(plain.run_dir) == files(result.run_dir)


def test_evaluate_shows_the_error_without_and_with_the_temperature(noisy):
    _, _, result = noisy
    found = evaluate(result.run_dir, device="cpu")
    scores = measure(result.run_dir, device="cpu").scores
    before = expected_calibration_error(scores.logits_NC, scores.label_N)
    after = expected_calibration_error(scores.logits_NC, scores.label_N, result.info.temperature)
    assert to_json_values(found)["calibration"] == {
        "ece": before, "temperature": result.info.temperature, "ece_calibrated": after, "reason": "",
    }  # fmt: skip
    shown = f"{result.info.temperature:.3g}"
    line = f"  ECE              {before:8.2%}  {after:.2%} with the run's temperature, {shown}"
    assert line in lines_of(found)
    line_start = f"  temperature {shown}; calibration error (ECE) of the validation clips "
    assert any(line.startswith(line_start) for line in lines_of(result))


def test_evaluate_shows_why_a_run_has_no_temperature(noisy, tmp_path):
    config = override(smoke(), ["data.validation=test", "schedule.max_steps=1"])
    result = train(noisy[0], tmp_path / "run", config, device="cpu")
    found = evaluate(result.run_dir, device="cpu")
    line = next(line for line in lines_of(found) if line.startswith("  ECE"))
    assert line.endswith(
        "  no temperature: the checkpoint was selected on test clips, which cannot show its errors"
    )
    assert to_json_values(found)["calibration"]["temperature"] is None

"""Logits of validation clips -> the temperature of a run, and the calibration error of its probabilities.

A model is calibrated if, of the clips that it answers with probability 0.8, 80% are right. The probabilities
of a run are softmax(logits / T). One temperature T cannot change an answer, and so neither WAR nor UAR
(decision 0028).

Letters: N clips; C classes; M bins.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.errors import counted
from pipeline.types import Doubles, Floats, Ints

FEWEST_CLIPS = 50
"""Validation clips that a temperature needs (decision 0028)."""

LOWEST, HIGHEST = 0.05, 20.0
"""Limits of a temperature. If the minimum is beyond them, the clips do not determine it."""

_BINS = 15
_HALVINGS = 60


@dataclass(frozen=True, kw_only=True)
class Fit:
    """The temperature of a run, or the reason why it has none.

    Attributes:
        temperature: Divisor of the logits; 0 if it was not fitted.
        ece_before, ece_after: `expected_calibration_error` of the validation clips without and with it; 0 if
            it was not fitted.
        reason: Why it was not fitted; empty if it was.
    """

    temperature: float = 0.0
    ece_before: float = 0.0
    ece_after: float = 0.0
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Calibration of measured clips.

    Attributes:
        ece: `expected_calibration_error` of their probabilities.
        temperature: The run's temperature; None if it has none.
        ece_calibrated: Error of the probabilities with this temperature; None without one.
        reason: Why the run has no temperature; empty if it has one, and in runs of versions that fitted none.
    """

    ece: float
    temperature: float | None
    ece_calibrated: float | None
    reason: str

    @classmethod
    def of(cls, logits_NC: Floats, label_N: Ints, temperature: float, reason: str) -> "Calibration":
        """Return the calibration of clips.

        Args:
            logits_NC: Logits.
            label_N: True classes.
            temperature: `RunInfo.temperature`: 0 for none.
            reason: `RunInfo.not_calibrated`.
        """
        fitted = temperature > 0
        return cls(
            ece=expected_calibration_error(logits_NC, label_N),
            temperature=temperature if fitted else None,
            ece_calibrated=expected_calibration_error(logits_NC, label_N, temperature) if fitted else None,
            reason=reason,
        )


def fit_temperature(logits_NC: Floats, label_N: Ints, selection: str) -> Fit:
    """Fit the temperature of a run on its validation clips.

    Args:
        logits_NC: Logits of the best checkpoint, not those of the last epoch.
        label_N: True classes.
        selection: Rule that chose the checkpoint, as in `RunInfo`.
    """
    if selection in ("test", "train"):
        return Fit(reason=f"the checkpoint was selected on {selection} clips, which cannot show its errors")
    if len(label_N) < FEWEST_CLIPS:
        return Fit(reason=f"{counted(len(label_N), 'validation clip')}; {FEWEST_CLIPS} or more are needed")
    temperature = best_temperature(logits_NC, label_N)
    if temperature is None:
        return Fit(
            reason=f"the cross-entropy of the {len(label_N):,} validation clips has no minimum from "
            f"{LOWEST:g} to {HIGHEST:g}; too few of them are wrong, or too many"
        )
    return Fit(
        temperature=temperature,
        ece_before=expected_calibration_error(logits_NC, label_N),
        ece_after=expected_calibration_error(logits_NC, label_N, temperature),
    )


def best_temperature(logits_NC: Floats, label_N: Ints) -> float | None:
    """Return the temperature of the lowest cross-entropy (temperature scaling; Guo et al. 2017, section 4.2).

    The cross-entropy is convex in b = 1/T. Its slope in b, mean(sum_c p_c z_c - z_y), therefore rises and has
    one root, which is bracketed by the limits and halved in log T. Unlike LBFGS over log T, where the
    cross-entropy is not convex, this cannot diverge. It takes no random numbers.

    Args:
        logits_NC: Logits z.
        label_N: True classes y.

    Returns:
        T; None if the minimum is not between `LOWEST` and `HIGHEST`. If the true class has the largest logit
        in every clip, there is no minimum: the cross-entropy falls as T approaches 0.
    """
    z_NC = logits_NC.astype(np.float64)
    low, high = np.log(LOWEST), np.log(HIGHEST)
    if not _slope(z_NC, label_N, low) > 0 > _slope(z_NC, label_N, high):
        return None
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _slope(z_NC, label_N, middle) > 0 else (low, middle)
    return float(np.exp((low + high) / 2))


def expected_calibration_error(logits_NC: Floats, label_N: Ints, temperature: float = 1.0) -> float:
    """Return the expected calibration error (ECE), 0 to 1.

    Guo et al., "On Calibration of Modern Neural Networks" (ICML 2017), section 2: ECE = sum_m |B_m| / N
    |acc(B_m) - conf(B_m)| over M = 15 bins of equal width. B_m are the clips whose largest probability is in
    ((m - 1) / M, m / M], conf(B_m) is the mean of these probabilities, and acc(B_m) the share of right
    answers. With few clips, it is above 0 for perfect probabilities too.

    Args:
        logits_NC: Logits.
        label_N: True classes.
        temperature: Divisor of the logits.
    """
    return error_of_probabilities(probabilities(logits_NC, temperature), label_N)


def error_of_probabilities(p_NC: Doubles, label_N: Ints) -> float:
    """Return the `expected_calibration_error` of probabilities [N, C]."""
    confidence_N = p_NC.max(axis=1)
    right_N = p_NC.argmax(axis=1) == label_N
    bin_N = np.clip(np.ceil(confidence_N * _BINS).astype(np.int64) - 1, 0, _BINS - 1)
    gap_M = np.bincount(bin_N, weights=right_N - confidence_N, minlength=_BINS)
    return float(np.abs(gap_M).sum() / len(label_N))


def probabilities(logits_NC: Floats, temperature: float) -> Doubles:
    """Return softmax(logits / temperature), [N, C] in float64."""
    return _softmax(logits_NC.astype(np.float64) / temperature)


def _slope(z_NC: Doubles, label_N: Ints, log_temperature: float) -> float:
    """Return the derivative of the mean cross-entropy by 1 / T."""
    p_NC = _softmax(z_NC * np.exp(-log_temperature))
    true_N = z_NC[np.arange(len(z_NC)), label_N]
    return float(((p_NC * z_NC).sum(axis=1) - true_N).mean())


def _softmax(z_NC: Doubles) -> Doubles:
    exp_NC = np.exp(z_NC - z_NC.max(axis=1, keepdims=True))
    softmax_NC: Doubles = exp_NC / exp_NC.sum(axis=1, keepdims=True)
    return softmax_NC

"""Mean features -> logistic regression with an L2 penalty, whose strength the validation clips choose.

This module and `trainer.report.stages` alone import scikit-learn.

Letters: N clips; C classes; F width of the feature.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from pipeline.cancel import CancelToken
from pipeline.errors import ConfigError, OusError
from pipeline.types import Doubles, Ints

_MOST_STEPS = 10_000
_SMALLEST_PROBABILITY = 1e-15
_CONSTANT_STD = 1e-6
"""A deviation up to this counts as 0, as in `layers.Standardise`."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A fitted probe.

    Attributes:
        mean_F, std_F: Scale of the features, of the training clips.
        model: The logistic regression of scikit-learn.
        c: The chosen C.
        is_at_end: Whether it is the smallest or the largest of several C, so that a better one may be beyond.
        num_classes: C of the dataset. Classes without training clips are never predicted.
    """

    mean_F: Doubles
    std_F: Doubles
    model: LogisticRegression
    c: float
    is_at_end: bool
    num_classes: int

    def log_probabilities(self, feature_NF: Doubles) -> Doubles:
        """Return the logarithms of the probabilities [N, C]; that of 1e-15 for a class not trained on."""
        found = np.full((len(feature_NF), self.num_classes), np.log(_SMALLEST_PROBABILITY))
        scaled_NF = (feature_NF - self.mean_F) / self.std_F
        found[:, self.model.classes_] = self.model.predict_log_proba(scaled_NF)
        return found

    def loss(self, feature_NF: Doubles, label_N: Ints) -> float:
        """Return the mean negative log-likelihood of labelled clips."""
        return -float(self.log_probabilities(feature_NF)[np.arange(len(label_N)), label_N].mean())


def fit_probe(
    train: tuple[Doubles, Ints],
    validation: tuple[Doubles, Ints],
    num_classes: int,
    c_values: Sequence[float],
    cancel: CancelToken | None = None,
) -> Probe:
    """Fit the probe for every C to the training clips; return the one of the lowest validation loss.

    It is not fitted again to the validation clips, as no other run of a sweep is. Of equal losses, the
    smaller C counts.

    Args:
        train: Features [N, F], float64, and labels of the training clips.
        validation: The same of the validation clips.
        num_classes: Number of classes of the dataset.
        c_values: Values of C.
        cancel: Checked before every fit.

    Raises:
        ConfigError: All training clips are of one class.
        OusError: A fit has not converged.
        TaskCancelledError: `cancel` was set.
    """
    feature_NF, label_N = train
    if len(np.unique(label_N)) < 2:
        msg = f"All {len(label_N)} training clips have one class; a linear probe needs two classes or more."
        raise ConfigError(msg)
    mean_F, std_F = feature_NF.mean(axis=0), feature_NF.std(axis=0)
    std_F = np.where(std_F > _CONSTANT_STD, std_F, 1.0)
    probes = []
    c_values = sorted(set(c_values))
    for c in c_values:
        if cancel is not None:
            cancel.raise_if_cancelled()
        model = _fitted((feature_NF - mean_F) / std_F, label_N, c)
        is_at_end = len(c_values) > 1 and c in (c_values[0], c_values[-1])
        probes.append(
            Probe(mean_F=mean_F, std_F=std_F, model=model, c=c, is_at_end=is_at_end, num_classes=num_classes)
        )
    return min(probes, key=lambda probe: probe.loss(*validation))


def _fitted(scaled_NF: Doubles, label_N: Ints, c: float) -> LogisticRegression:
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            return LogisticRegression(C=c, max_iter=_MOST_STEPS).fit(scaled_NF, label_N)
        except ConvergenceWarning as error:
            msg = (
                f"The linear probe with C = {c:g} has not converged in {_MOST_STEPS:,} steps; leave this "
                "value out of baseline.c."
            )
            raise OusError(msg) from error

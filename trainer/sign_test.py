"""Tests of two models on the same clips: McNemar's exact test, or a sign-flip test over groups of clips."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import binomtest

MCNEMAR, SIGN_FLIP = "McNemar's exact test", "exact sign-flip test"


def mcnemar(won: int, lost: int) -> float:
    """Return the two-sided p value under the hypothesis that gain and loss are equally likely."""
    decided = won + lost
    return float(binomtest(won, decided, 0.5).pvalue) if decided else 1.0


def sign_flip(nets: Sequence[int]) -> float:
    """Return the two-sided p value under the hypothesis that both signs of a group's net are equally likely.

    The clips of a group change sign together, because they are not independent. With one decided clip per
    group, this is McNemar's exact test. The distribution of the sum is exact. Source: Winkler et al.,
    Permutation inference for the general linear model, NeuroImage 92, 2014 (sign flipping of whole
    exchangeability blocks).

    Args:
        nets: Clips gained minus clips lost, by group.
    """
    sizes = [abs(net) for net in nets if net]
    chance = np.ones(1)  # of each sum from -len // 2 to len // 2
    for size in sizes:
        wider = np.zeros(len(chance) + 2 * size)
        wider[: len(chance)] += chance / 2
        wider[2 * size :] += chance / 2
        chance = wider
    middle = len(chance) // 2
    far = np.abs(np.arange(len(chance)) - middle) >= abs(sum(nets))
    return min(1.0, float(chance[far].sum()))

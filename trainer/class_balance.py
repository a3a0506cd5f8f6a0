"""Training clips -> how often each is drawn, and the weight and prior of each class.

Letters: N training clips; C classes; S caches.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline.types import Ints

Doubles = npt.NDArray[np.float64]


def drawing_shares(label_N: Ints, sampling: str) -> Doubles:
    """Return the probability of each training clip in one draw, 1 in all.

    A class of n clips is drawn with a probability proportional to n^q, and each of its clips with the same
    probability: q is 1, 1/2 or 0 (Kang et al., "Decoupling Representation and Classifier for Long-Tailed
    Recognition", ICLR 2020, eq. 1).

    Args:
        label_N: Classes.
        sampling: ``natural`` (q = 1), ``square_root`` (1/2) or ``balanced`` (0).
    """
    power = {"natural": 1.0, "square_root": 0.5, "balanced": 0.0}[sampling]
    _, class_N, count_C = np.unique(label_N, return_inverse=True, return_counts=True)
    share_N: Doubles = (count_C.astype(np.float64) ** (power - 1))[class_N]
    share_N /= share_N.sum()
    return share_N


def mixture_shares(label_SN: Sequence[Ints], sampling: str, mixture: str) -> Doubles:
    """Return the probability of each training clip of several caches in one draw, 1 in all [N].

    Args:
        label_SN: Classes of the clips of each cache; N is the number of all clips, in this order.
        sampling: See `drawing_shares`.
        mixture: ``size``: `drawing_shares` of all clips, as if they were of one cache. ``equal``:
            `drawing_shares` within each cache, and each cache with the same probability.
    """
    if mixture == "size":
        return drawing_shares(np.concatenate(label_SN), sampling)
    return np.concatenate([drawing_shares(label_N, sampling) / len(label_SN) for label_N in label_SN])


def class_counts(target_NC: Doubles, share_N: Doubles) -> Doubles:
    """Return the expected clips of each class in an epoch [C]; a class without any counts as one clip.

    Args:
        target_NC: Distribution over the classes of each training clip; for labels, 1 at the label.
        share_N: Result of `drawing_shares` or `mixture_shares`.
    """
    counts_C: Doubles = len(share_N) * (share_N @ target_NC)
    return np.where(counts_C > 0, counts_C, 1.0)


def class_weights(counts_C: Doubles, kind: str, beta: float) -> Doubles:
    """Return the weight of each class [C], such that the mean over the clips is 1.

    Cui et al., "Class-Balanced Loss Based on Effective Number of Samples" (CVPR 2019), eq. 5: a clip of a
    class of n clips has the weight (1 - beta) / (1 - beta^n). They scale the weights to a mean of 1 over the
    classes; a mean over the clips keeps the size of the loss, and with it the meaning of ``losses.alpha`` and
    ``optim.lr``.

    Args:
        counts_C: Result of `class_counts`.
        kind: ``inverse`` or ``effective``.
        beta: 0 to 1, for ``effective``.
    """
    inverse_C = 1 / counts_C if kind == "inverse" else (1 - beta) / (1 - beta**counts_C)
    scaled_C: Doubles = inverse_C * counts_C.sum() / (counts_C * inverse_C).sum()
    return scaled_C


def log_prior(counts_C: Doubles) -> Doubles:
    """Return the log of the share of each class [C] in `counts_C`, a result of `class_counts`."""
    prior_C: Doubles = np.log(counts_C / counts_C.sum())
    return prior_C

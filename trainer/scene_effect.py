"""Measure the Rigid Cognitive Problem (I and III of the paper): the effect of the scene on each prediction.

A face-only model and a model with scene predict the same clips. If the predictions differ, the scene made the
result better or worse, or changed one wrong class into another.

Letters: C classes; N clips.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from pipeline.errors import counted
from pipeline.groups import has_groups
from pipeline.types import Floats, Ints, Polarity
from trainer.intervals import Z_95
from trainer.sign_test import MCNEMAR, SIGN_FLIP, mcnemar, sign_flip

ENTROPY_BINS = ((0.0, 0.5), (0.5, 1.0), (1.0, 1.5), (1.5, float("inf")))
"""Bins of the entropy of annotators' votes, in bits: from agreement to disagreement."""

POLARITY_OF = {
    "clip": "Polarity: given clip by clip.",
    "class": "Polarity: that of the class, because no clip has its own; a row merges classes, not scenes.",
}
"""Sentence on the source of the polarity in rows by polarity."""


@dataclass(frozen=True, kw_only=True)
class PairedPredictions:
    """Predictions of two models for N clips.

    Attributes:
        label_N: True classes.
        face_N, full_N: Classes predicted by the face-only and the full model.
        polarity_N: Polarities, as `Polarity`.
        votes_NC: Fractions of the annotators' votes, NaN for clips without votes; None without any.
        group_N: Groups of the clips; None without groups.
    """

    class_names: tuple[str, ...]
    clip_ids: tuple[str, ...]
    label_N: Ints
    face_N: Ints
    full_N: Ints
    polarity_N: Ints
    votes_NC: Floats | None = None
    group_N: Ints | None = None

    def __post_init__(self) -> None:
        sizes = {len(self.clip_ids), *(len(a) for a in (self.label_N, self.face_N, self.full_N))}
        if sizes != {len(self.polarity_N)} or not self.clip_ids:
            msg = f"answers of {sizes} clips; one of each kind per clip, and a clip at least, is needed"
            raise ValueError(msg)

    @property
    def polarity_of(self) -> Literal["clip", "class"]:
        """``class`` if the clips of each class have one polarity, else ``clip``. No cache stores this."""
        labels = np.unique(self.label_N)
        by_class = all(len(np.unique(self.polarity_N[self.label_N == label])) == 1 for label in labels)
        return "class" if by_class else "clip"


@dataclass(frozen=True, kw_only=True)
class Flips:
    """Numbers of clips of one kind by the predictions of both models.

    Attributes:
        both_right: Both are right.
        won: Only the full model is right.
        lost: Only the face-only model is right.
        moved: Both are wrong, with different classes.
        both_wrong: Both are wrong, with the same class.
        nets: Clips won minus clips lost, by group; None without groups.
    """

    kind: str
    num_clips: int
    both_right: int
    won: int
    lost: int
    moved: int
    both_wrong: int
    nets: tuple[int, ...] | None = None

    @property
    def net(self) -> float:
        """Change of the accuracy on these clips by the scene, -1 to 1."""
        return (self.won - self.lost) / self.num_clips

    @property
    def net_interval(self) -> tuple[float, float]:
        """95% interval of `net` for independent clips: adjusted Wald for paired proportions, -1 to 1.

        Source: Bonett and Price, 2012, Adjusted Wald confidence interval for a difference of binomial
        proportions based on paired data, J. Educ. Behav. Stat. 37(4).
        """
        num = self.num_clips + 2
        won, lost = (self.won + 1) / num, (self.lost + 1) / num
        half = Z_95 * math.sqrt((won + lost - (won - lost) ** 2) / num)
        return max(-1.0, won - lost - half), min(1.0, won - lost + half)

    @property
    def p_value(self) -> float:
        """Two-sided p value of `test`."""
        return mcnemar(self.won, self.lost) if self.nets is None else sign_flip(self.nets)

    @property
    def test(self) -> str:
        """Name of the test of `p_value`, with its number of groups."""
        if self.nets is None:
            return MCNEMAR
        return f"{SIGN_FLIP} over {counted(len(self.nets), 'group')} of clips"


@dataclass(frozen=True, kw_only=True)
class SceneEffect:
    """Effect of the scene: overall, by class, by polarity and by disagreement of the annotators.

    Attributes:
        by_polarity: If the polarity is that of the class, only polarities of several classes.
        polarity_of: See `PairedPredictions`.
        moves: (true class, class by the face-only model, class by the full model) and number of clips, most
            first.
        won, lost: Ids of clips that only one of the models predicts correctly.
    """

    overall: Flips
    by_class: tuple[Flips, ...]
    by_polarity: tuple[Flips, ...]
    polarity_of: Literal["clip", "class"]
    by_entropy: tuple[Flips, ...]
    moves: tuple[tuple[tuple[str, str, str], int], ...]
    won: tuple[str, ...]
    lost: tuple[str, ...]

    @property
    def polarity_note(self) -> str:
        """A sentence on the source of the polarity; empty without rows by polarity."""
        return POLARITY_OF[self.polarity_of] if self.by_polarity else ""


def measure_scene_effect(predictions: PairedPredictions) -> SceneEffect:
    """Count the effect of the scene over all clips and over each kind of clips."""
    names = predictions.class_names
    everything = np.ones(len(predictions.label_N), dtype=bool)
    face_right, full_right = (
        predictions.face_N == predictions.label_N,
        predictions.full_N == predictions.label_N,
    )
    changed = predictions.face_N != predictions.full_N
    moves: dict[tuple[str, str, str], int] = {}
    for row in np.flatnonzero(changed).tolist():
        label, face, full = (
            names[int(of[row])] for of in (predictions.label_N, predictions.face_N, predictions.full_N)
        )
        moves[label, face, full] = moves.get((label, face, full), 0) + 1
    return SceneEffect(
        overall=_flips("all clips", predictions, everything),
        by_class=_groups({name: predictions.label_N == c for c, name in enumerate(names)}, predictions),
        by_polarity=_groups(_by_polarity(predictions), predictions),
        polarity_of=predictions.polarity_of,
        by_entropy=_groups(_by_entropy(predictions), predictions),
        moves=tuple(sorted(moves.items(), key=lambda move: (-move[1], move[0]))),
        won=_ids(predictions, ~face_right & full_right),
        lost=_ids(predictions, face_right & ~full_right),
    )


def vote_entropy(votes_NC: Floats) -> Floats:
    """Return the entropy of each clip's votes in bits [N]: 0 if all agree, NaN without votes."""
    shares = votes_NC.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        bits = -np.where(shares > 0, shares * np.log2(shares), 0.0).sum(axis=1)
    return np.where(np.isnan(shares).any(axis=1), np.nan, np.abs(bits)).astype(np.float32)


def _by_polarity(predictions: PairedPredictions) -> Mapping[str, Any]:
    """Return the clips of each polarity; if classes determine it, only of polarities with several classes."""
    rows_of = {polarity: predictions.polarity_N == polarity for polarity in reversed(Polarity)}
    if predictions.polarity_of == "clip":
        return {f"{polarity.name.lower()} polarity": rows for polarity, rows in rows_of.items()}
    merged = {}
    for polarity, rows in rows_of.items():
        labels = np.unique(predictions.label_N[rows])
        if polarity is not Polarity.UNKNOWN and len(labels) > 1 and not rows.all():
            names = ", ".join(predictions.class_names[label] for label in labels)
            merged[f"{polarity.name.lower()} classes merged: {names}"] = rows
    return merged


def _by_entropy(predictions: PairedPredictions) -> Mapping[str, Any]:
    if predictions.votes_NC is None:
        return {}
    bits = vote_entropy(predictions.votes_NC)
    return {
        f"votes {low:g} to {high:g} bits" if high < float("inf") else f"votes {low:g} bits and more": (
            (bits >= low) & (bits < high)
        )
        for low, high in ENTROPY_BINS
    }


def _groups(chosen: Mapping[str, Any], predictions: PairedPredictions) -> tuple[Flips, ...]:
    return tuple(_flips(kind, predictions, rows) for kind, rows in chosen.items() if rows.any())


def _flips(kind: str, predictions: PairedPredictions, rows: Any) -> Flips:
    label, face, full = predictions.label_N[rows], predictions.face_N[rows], predictions.full_N[rows]
    face_right, full_right = face == label, full == label
    wrong = ~face_right & ~full_right
    nets = None
    if predictions.group_N is not None and has_groups(predictions.group_N):
        _, group = np.unique(predictions.group_N[rows], return_inverse=True)
        change = full_right.astype(np.int64) - face_right
        nets = tuple(int(net) for net in np.bincount(group, weights=change))
    return Flips(
        kind=kind,
        num_clips=len(label),
        both_right=int((face_right & full_right).sum()),
        won=int((~face_right & full_right).sum()),
        lost=int((face_right & ~full_right).sum()),
        moved=int((wrong & (face != full)).sum()),
        both_wrong=int((wrong & (face == full)).sum()),
        nets=nets,
    )


def _ids(predictions: PairedPredictions, rows: Sequence[bool] | Any) -> tuple[str, ...]:
    return tuple(predictions.clip_ids[row] for row in np.flatnonzero(rows).tolist())

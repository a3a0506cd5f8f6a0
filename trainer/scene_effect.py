"""The Rigid Cognitive Problem (I and III of the paper), measured: what the scene changes, clip by clip.

A model that sees faces only and one that sees the scene too answer the same clips. Where the answers
differ, the scene decided: for the better, for the worse, or from one wrong answer to another.

Letters: C classes; N clips.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from pipeline.errors import counted
from pipeline.groups import has_groups
from pipeline.types import Floats, Ints, Polarity
from trainer.sign_test import MCNEMAR, SIGN_FLIP, mcnemar, sign_flip

ENTROPY_BINS = ((0.0, 0.5), (0.5, 1.0), (1.0, 1.5), (1.5, float("inf")))
"""Of the annotators' votes, in bits: from clips on which all agree to those on which few do."""

POLARITY_OF = {
    "clip": "Polarity: given clip by clip.",
    "class": "Polarity: that of the class, no clip has its own; its rows are classes merged, not scenes.",
}
"""Whose polarity the rows by polarity show, in a sentence."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What two models say of N clips, whose own facts stand beside.

    face_N, full_N: the predicted class of the model that sees faces only, and of the full one.
    polarity_N: of the scene, as `Polarity`. votes_NC: shares of the annotators' votes; NaN, or None for
    a data set without any. group_N: of each clip; None where every clip is on its own.
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
        """Whether clips of a class differ in polarity, or it follows from the class.

        A cache does not store which of the two was given, and where it follows from the class there is no
        difference.
        """
        labels = np.unique(self.label_N)
        by_class = all(len(np.unique(self.polarity_N[self.label_N == label])) == 1 for label in labels)
        return "class" if by_class else "clip"


@dataclass(frozen=True, kw_only=True)
class Flips:
    """How many clips of some kind the scene won and lost.

    gained: the face alone misleads, the scene puts it right. lost: the other way round. moved: from one
    wrong class to another. both_right, both_wrong: alike in both models. nets: of each group of clips, those
    gained minus those lost; None where every clip is on its own.
    """

    kind: str
    num_clips: int
    both_right: int
    gained: int
    lost: int
    moved: int
    both_wrong: int
    nets: tuple[int, ...] | None = None

    @property
    def net(self) -> float:
        """What the scene adds to the accuracy on these clips, -1 to 1."""
        return (self.gained - self.lost) / self.num_clips

    @property
    def p_value(self) -> float:
        """How likely so uneven a split is if gain and loss were a fair coin's: by `test`."""
        return mcnemar(self.gained, self.lost) if self.nets is None else sign_flip(self.nets)

    @property
    def test(self) -> str:
        """The test that gives `p_value`, in words, with the number of groups that it is over."""
        if self.nets is None:
            return MCNEMAR
        return f"{SIGN_FLIP} over {counted(len(self.nets), 'group')} of clips"


@dataclass(frozen=True, kw_only=True)
class SceneEffect:
    """What the scene contributes: in all, by class, by polarity and by the annotators' disagreement.

    polarity_of: see `Answers`; of the class, by_polarity merges classes, and is empty where no polarity has
    several of them. moves: (true class, answer of the face, answer of the full model) and how many clips,
    most first.
    gained, lost: ids of the clips that the scene decided.
    """

    overall: Flips
    by_class: tuple[Flips, ...]
    by_polarity: tuple[Flips, ...]
    polarity_of: Literal["clip", "class"]
    by_entropy: tuple[Flips, ...]
    moves: tuple[tuple[tuple[str, str, str], int], ...]
    gained: tuple[str, ...]
    lost: tuple[str, ...]

    @property
    def polarity_note(self) -> str:
        """Whose polarity the rows show, in a sentence; empty where there are no rows by polarity."""
        return POLARITY_OF[self.polarity_of] if self.by_polarity else ""


def measure_scene_effect(answers: Answers) -> SceneEffect:
    """Count what the scene changes, over all clips and within each kind of clip that there is."""
    names = answers.class_names
    everything = np.ones(len(answers.label_N), dtype=bool)
    face_right, full_right = answers.face_N == answers.label_N, answers.full_N == answers.label_N
    changed = answers.face_N != answers.full_N
    moves: dict[tuple[str, str, str], int] = {}
    for row in np.flatnonzero(changed).tolist():
        label, face, full = (names[int(of[row])] for of in (answers.label_N, answers.face_N, answers.full_N))
        moves[label, face, full] = moves.get((label, face, full), 0) + 1
    return SceneEffect(
        overall=_flips("all clips", answers, everything),
        by_class=_groups({name: answers.label_N == c for c, name in enumerate(names)}, answers),
        by_polarity=_groups(_by_polarity(answers), answers),
        polarity_of=answers.polarity_of,
        by_entropy=_groups(_by_entropy(answers), answers),
        moves=tuple(sorted(moves.items(), key=lambda move: (-move[1], move[0]))),
        gained=_ids(answers, ~face_right & full_right),
        lost=_ids(answers, face_right & ~full_right),
    )


def vote_entropy(votes_NC: Floats) -> Floats:
    """Entropy of each clip's votes in bits, 0 where all agree; NaN without votes; [N]."""
    shares = votes_NC.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        bits = -np.where(shares > 0, shares * np.log2(shares), 0.0).sum(axis=1)
    return np.where(np.isnan(shares).any(axis=1), np.nan, np.abs(bits)).astype(np.float32)


def _by_polarity(answers: Answers) -> Mapping[str, Any]:
    """The clips of each polarity. Where it follows from the class: of those that several classes share."""
    rows_of = {polarity: answers.polarity_N == polarity for polarity in reversed(Polarity)}
    if answers.polarity_of == "clip":
        return {f"{polarity.name.lower()} polarity": rows for polarity, rows in rows_of.items()}
    merged = {}
    for polarity, rows in rows_of.items():
        labels = np.unique(answers.label_N[rows])
        if polarity is not Polarity.UNKNOWN and len(labels) > 1 and not rows.all():
            names = ", ".join(answers.class_names[label] for label in labels)
            merged[f"{polarity.name.lower()} classes merged: {names}"] = rows
    return merged


def _by_entropy(answers: Answers) -> Mapping[str, Any]:
    if answers.votes_NC is None:
        return {}
    bits = vote_entropy(answers.votes_NC)
    return {
        f"votes {low:g} to {high:g} bits" if high < float("inf") else f"votes {low:g} bits and more": (
            (bits >= low) & (bits < high)
        )
        for low, high in ENTROPY_BINS
    }


def _groups(chosen: Mapping[str, Any], answers: Answers) -> tuple[Flips, ...]:
    return tuple(_flips(kind, answers, rows) for kind, rows in chosen.items() if rows.any())


def _flips(kind: str, answers: Answers, rows: Any) -> Flips:
    label, face, full = answers.label_N[rows], answers.face_N[rows], answers.full_N[rows]
    face_right, full_right = face == label, full == label
    wrong = ~face_right & ~full_right
    nets = None
    if answers.group_N is not None and has_groups(answers.group_N):
        _, group = np.unique(answers.group_N[rows], return_inverse=True)
        change = full_right.astype(np.int64) - face_right
        nets = tuple(int(net) for net in np.bincount(group, weights=change))
    return Flips(
        kind=kind,
        num_clips=len(label),
        both_right=int((face_right & full_right).sum()),
        gained=int((~face_right & full_right).sum()),
        lost=int((face_right & ~full_right).sum()),
        moved=int((wrong & (face != full)).sum()),
        both_wrong=int((wrong & (face == full)).sum()),
        nets=nets,
    )


def _ids(answers: Answers, rows: Sequence[bool] | Any) -> tuple[str, ...]:
    return tuple(answers.clip_ids[row] for row in np.flatnonzero(rows).tolist())

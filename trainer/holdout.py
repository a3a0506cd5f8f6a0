"""Validation clips held out of the training split: a share of each class, by clip or by whole groups.

Letters: C classes; G groups of clips.
"""

import numpy as np

from pipeline.types import Floats, Ints

CLIPS, GROUPS = "holdout", "holdout by group"
"""How validation clips were held out, as a run stores it."""


def hold_out(rows: Ints, label_N: Ints, share: float, seed: int) -> tuple[Ints, Ints]:
    """Split rows into training and held-out ones, the share taken from every class.

    Of a class with two clips or more, at least one is held out and one kept; a single clip trains.
    """
    generator = np.random.default_rng(seed)
    held = [np.empty(0, dtype=np.int64)]
    for label in np.unique(label_N[rows]):
        of_class = rows[label_N[rows] == label]
        held.append(generator.permutation(of_class)[: _wanted(len(of_class), share)])
    validation = np.sort(np.concatenate(held))
    return np.setdiff1d(rows, validation), validation


def hold_out_groups(rows: Ints, label_N: Ints, group_N: Ints, share: float, seed: int) -> tuple[Ints, Ints]:
    """Split rows into training and held-out ones by whole groups, near the share of every class.

    The groups are taken in an order drawn by the seed. One is held out if that brings the numbers of held-out
    clips nearer to those that `hold_out` would take, over all classes (`_distance`). Then each class that has
    no held-out clip yet, rarest first, gets the group that leaves these numbers nearest. No group is held out
    that has the last training clips of a class; if every group has, none is.
    """
    groups, group_of_row = np.unique(group_N[rows], return_inverse=True)
    classes, class_of_row = np.unique(label_N[rows], return_inverse=True)
    clips_GC = np.zeros((len(groups), len(classes)), dtype=np.int64)
    np.add.at(clips_GC, (group_of_row, class_of_row), 1)
    is_held_G = _chosen(clips_GC, share, np.random.default_rng(seed).permutation(len(groups)))
    is_held_N = is_held_G[group_of_row]
    return rows[~is_held_N], rows[is_held_N]


def _wanted(num_clips: int, share: float) -> int:
    """The clips of a class to hold out: the share, but at least one, and one to train."""
    return min(max(1, int(share * num_clips + 0.5)), num_clips - 1)


def _chosen(clips_GC: Ints, share: float, order_G: Ints) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Whether each group is held out."""
    total_C = clips_GC.sum(axis=0)
    wanted_C = np.array([_wanted(total, share) for total in total_C.tolist()], dtype=np.int64)
    held_C = np.zeros_like(total_C)
    is_held_G = np.zeros(len(clips_GC), dtype=np.bool_)
    for group in order_G.tolist():
        with_it_C = held_C + clips_GC[group]
        if _leaves_training(with_it_C, total_C) and (
            _distance(with_it_C, wanted_C) < _distance(held_C, wanted_C)
        ):
            is_held_G[group], held_C = True, with_it_C
    for label in np.argsort(total_C, kind="stable").tolist():
        if held_C[label]:
            continue
        with_each = [
            (_distance(held_C + clips_GC[group], wanted_C), place, group)
            for place, group in enumerate(order_G.tolist())
            if clips_GC[group, label] and _leaves_training(held_C + clips_GC[group], total_C)
        ]
        if with_each:
            _, _, group = min(with_each)
            is_held_G[group] = True
            held_C = held_C + clips_GC[group]
    return is_held_G


def _leaves_training(held_C: Ints, total_C: Ints) -> bool:
    return bool((held_C < total_C).all())


def _distance(held_C: Ints, wanted_C: Ints) -> float:
    """How far the held-out clips are from the wanted ones: the sum of squared relative differences."""
    relative_C: Floats = (held_C - wanted_C) / wanted_C.clip(min=1)
    return float((relative_C**2).sum())

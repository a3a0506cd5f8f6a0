"""Validation clips held out of the training split: a fraction of each class, by clip or by group.

Letters: N clips; C classes; G groups of clips.
"""

import numpy as np

from pipeline.types import Floats, Ints

CLIPS, GROUPS = "holdout", "holdout by group"
"""Values of `FoldRows.rule`, which runs store."""


def hold_out(rows: Ints, label_N: Ints, share: float, seed: int) -> tuple[Ints, Ints]:
    """Split rows into training and held-out rows, class by class.

    If a class has two clips or more, at least one is held out and at least one trains. A single clip trains.

    Args:
        rows: Rows of the training split, in increasing order.
        label_N: Class of every row of the cache.
        share: Fraction to hold out, 0 to 1.
        seed: Seed of the draw.

    Returns:
        Training rows and held-out rows, in increasing order.
    """
    generator = np.random.default_rng(seed)
    held = [np.empty(0, dtype=np.int64)]
    for label in np.unique(label_N[rows]):
        of_class = rows[label_N[rows] == label]
        held.append(generator.permutation(of_class)[: _wanted(len(of_class), share)])
    validation = np.sort(np.concatenate(held))
    return np.setdiff1d(rows, validation), validation


def hold_out_groups(rows: Ints, label_N: Ints, group_N: Ints, share: float, seed: int) -> tuple[Ints, Ints]:
    """Split rows into training and held-out rows by whole groups.

    Groups are considered in random order. A group is held out if that brings the numbers of held-out clips of
    all classes nearer to those that `hold_out` would take (`_distance`). Then, for each class without
    held-out clips, rarest first, the group that leaves these numbers nearest is held out. A group with the
    last training clips of a class is never held out.

    Args:
        rows: Rows of the training split, in increasing order.
        label_N: Class of every row of the cache.
        group_N: Group of every row of the cache.
        share: Fraction to hold out, 0 to 1.
        seed: Seed of the order.

    Returns:
        Training rows and held-out rows, in increasing order. No row is held out if every group has the last
        training clips of a class.
    """
    groups, group_of_row = np.unique(group_N[rows], return_inverse=True)
    classes, class_of_row = np.unique(label_N[rows], return_inverse=True)
    clips_GC = np.zeros((len(groups), len(classes)), dtype=np.int64)
    np.add.at(clips_GC, (group_of_row, class_of_row), 1)
    is_held_G = _chosen(clips_GC, share, np.random.default_rng(seed).permutation(len(groups)))
    is_held_N = is_held_G[group_of_row]
    return rows[~is_held_N], rows[is_held_N]


def _wanted(num_clips: int, share: float) -> int:
    """Return the number of clips of a class to hold out; at least one, and at least one remains."""
    return min(max(1, int(share * num_clips + 0.5)), num_clips - 1)


def _chosen(clips_GC: Ints, share: float, order_G: Ints) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return whether each group is held out [G]."""
    total_C = clips_GC.sum(axis=0)
    wanted_C = np.array([_wanted(total, share) for total in total_C.tolist()], dtype=np.int64)
    held_C = np.zeros_like(total_C)
    is_held_G = np.zeros(len(clips_GC), dtype=np.bool_)
    for group in order_G.tolist():
        added_C = held_C + clips_GC[group]
        if _leaves_training(added_C, total_C) and (
            _distance(added_C, wanted_C) < _distance(held_C, wanted_C)
        ):
            is_held_G[group], held_C = True, added_C
    for label in np.argsort(total_C, kind="stable").tolist():
        if held_C[label]:
            continue
        options = [
            (_distance(held_C + clips_GC[group], wanted_C), place, group)
            for place, group in enumerate(order_G.tolist())
            if clips_GC[group, label] and _leaves_training(held_C + clips_GC[group], total_C)
        ]
        if options:
            _, _, group = min(options)
            is_held_G[group] = True
            held_C = held_C + clips_GC[group]
    return is_held_G


def _leaves_training(held_C: Ints, total_C: Ints) -> bool:
    return bool((held_C < total_C).all())


def _distance(held_C: Ints, wanted_C: Ints) -> float:
    """Return the sum of squared relative differences between held-out and wanted numbers of clips."""
    relative_C: Floats = (held_C - wanted_C) / wanted_C.clip(min=1)
    return float((relative_C**2).sum())

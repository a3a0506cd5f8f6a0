"""Groups of clips: clips that are not independent of each other, because they share a source.

The dataset names groups (a source video, a subject, a film). Clips without a name are one group if they
are of one file: windows of it, one path, or copies with one hash. Every other clip is a group of its own.
A holdout takes whole groups, and confidence intervals are computed over groups (decision 0016).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pipeline.footage import CachedFiles, FileKey, Footage
from pipeline.types import Ints

if TYPE_CHECKING:
    from pipeline.store.reader import FeatureCache  # as in pipeline.footage


def groups_of_cache(cache: "FeatureCache") -> Ints:
    """Return the number of each clip's group, by row of a cache [N]; see `number_groups`."""
    names = cache.read("group").tolist()
    files = CachedFiles.of(cache)
    group_N = np.arange(len(names), dtype=np.int64)
    first_of: dict[str, int] = {}
    for row, name in enumerate(names):
        if name:
            group_N[row] = first_of.setdefault(name, row)
    rows = files.sharing(row for row, name in enumerate(names) if not name)
    group_N[rows] = np.array(rows, dtype=np.int64)[number_groups(files.footage(rows), [""] * len(rows))]
    return group_N


def number_groups(footage: Sequence[Footage], names: Sequence[str]) -> Ints:
    """Return the number of each clip's group, int64 [N]: the position of the first clip in the group.

    Two clips without a group name are of one group if any key of their files is equal, or if other clips
    connect them in this way.

    Args:
        footage: Footage of N clips.
        names: Names of their groups [N]; empty for a clip without a named group.
    """
    first_of: dict[FileKey, int] = {}
    root_of = list(range(len(footage)))

    def root(number: int) -> int:
        while root_of[number] != number:
            root_of[number] = root_of[root_of[number]]
            number = root_of[number]
        return number

    for number, (part, name) in enumerate(zip(footage, names, strict=True)):
        keys: tuple[FileKey, ...] = (("group", name),) if name else part.files
        for key in keys:
            one, other = sorted((root(first_of.setdefault(key, number)), root(number)))
            root_of[other] = one
    return np.array([root(number) for number in range(len(footage))], dtype=np.int64)


def has_groups(group_N: Ints) -> bool:
    """Return whether any two clips are of one group."""
    return len(np.unique(group_N)) < len(group_N)

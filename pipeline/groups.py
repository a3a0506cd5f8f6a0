"""Groups of clips: clips that are not independent of each other, because they share a source.

A group is what the data set names (a source video, a subject, a film). Clips without a name are one group
where they are of one file, as windows of it, under one path, or as copies with one hash. Every other clip
is a group of its own. A holdout takes whole groups, and intervals are taken over groups (decision 0016).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pipeline.footage import FileKey, Footage, cached_footage
from pipeline.types import Ints

if TYPE_CHECKING:
    from pipeline.store.reader import FeatureCache  # as in pipeline.footage


def groups_of_cache(cache: "FeatureCache") -> Ints:
    """Return the number of each clip's group, by row of a cache [N]; see `number_groups`."""
    return number_groups(cached_footage(cache), cache.read("group").tolist())


def number_groups(footage: Sequence[Footage], names: Sequence[str]) -> Ints:
    """Return the number of each clip's group [N]: that of the first clip in it.

    footage: of N clips. names: of their groups, empty for a clip of no named group. Two clips without a name
    are of one group where any key of their files is equal, or where others join them in this way.
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
    """Return whether any two of some clips are of one group."""
    return len(np.unique(group_N)) < len(group_N)

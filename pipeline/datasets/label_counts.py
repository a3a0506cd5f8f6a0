"""Counts of the labels of a list, compared with the published counts of classes."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pipeline.datasets.list_parser import Line
from pipeline.datasets.official_counts import Published
from pipeline.errors import counted, some
from pipeline.types import Split

CLOSE = 0.05
"""Fraction of a list's clips that may be of another class if its counts are close to the published ones."""

_FAR = 0.15
"""Fraction above which a list as long as the published one is not in that order."""

Meaning: TypeAlias = Callable[[str], str]
"""Returns the class that a label means in one label order; empty if it means none."""


@dataclass(frozen=True, kw_only=True)
class LabelCounts:
    """Counts of labels of a list and of all lists of its fold, with the published counts by class.

    Published counts are None if they are not known. A clip that lists repeat counts once.
    """

    labels: Mapping[str, int]
    fold_labels: Mapping[str, int]
    published: Mapping[str, int] | None
    published_of_fold: Mapping[str, int] | None

    @classmethod
    def of(
        cls,
        lines: Sequence[Line],
        lines_of_fold: Sequence[Line],
        key: tuple[str, Split],
        published: Published,
    ) -> "LabelCounts":
        """Count the labels of a list.

        Args:
            lines: Its lines.
            lines_of_fold: Lines of all lists of its fold.
            key: Its fold and split.
            published: Published counts of the dataset.
        """
        fold, split = key
        return cls(
            labels=count_labels(lines),
            fold_labels=count_labels(lines_of_fold),
            published=_by_class(published, published.classes.get((fold, split.name.lower()))),
            published_of_fold=_by_class(published, published.class_totals),
        )

    @property
    def num_clips(self) -> int:
        """Number of clips of the list."""
        return sum(self.labels.values())

    def are_published(self, meaning: Meaning) -> bool:
        """Return whether the classes have the published counts, in the list or in its fold."""
        return _classes(self.labels, meaning) == self.published or (
            _classes(self.fold_labels, meaning) == self.published_of_fold
        )

    def clips_away(self, meaning: Meaning) -> int:
        """Return how many clips would have to be of another class for the published proportions.

        If no proportions are published, these are all clips.
        """
        expected = self.published or self.published_of_fold
        if expected is None:
            return self.num_clips
        mine, part = _classes(self.labels, meaning), self.num_clips / sum(expected.values())
        names = {*mine, *expected}
        return round(sum(abs(mine.get(name, 0) - part * expected.get(name, 0)) for name in names) / 2)

    def are_close(self, meaning: Meaning) -> bool:
        """Return whether the proportions of the classes are nearly the published ones."""
        return self.clips_away(meaning) <= CLOSE * self.num_clips

    def do_not_fit(self, meaning: Meaning) -> bool:
        """Return whether the list is as long as the published one and its classes have other proportions."""
        return self.is_whole and self.clips_away(meaning) > _FAR * self.num_clips

    def contradiction(self, meaning: Meaning) -> str:
        """Return why these labels cannot have this meaning, in words; empty if they can.

        A list of distinct clips never holds more clips of a class than train and test together. A list
        about as long as the published one has each class, unless the counts of the others are exactly the
        published ones.
        """
        mine, total = _classes(self.labels, meaning), self.published_of_fold or {}
        for name in total:
            if mine.get(name, 0) > total[name]:
                many = counted(mine[name], "clip")
                return f"{many} would be {name}, of which train and test have {total[name]} in all"
        if self.published is None or not self.is_whole:
            return ""
        absent = [name for name in self.published if not mine.get(name)]
        if absent and any(many != self.published.get(name) for name, many in mine.items()):
            none = some([f"{name} ({self.published[name]} published)" for name in absent])
            return f"no clip would be {none}"
        return ""

    @property
    def is_whole(self) -> bool:
        """Whether the list is about as long as the published one, so that its counts should be close."""
        if self.published is None:
            return False
        whole = sum(self.published.values())
        return abs(self.num_clips - whole) <= CLOSE * whole


def count_labels(lines: Sequence[Line]) -> Mapping[str, int]:
    """Count the clips of each label, as it is written. A clip that lines repeat counts once."""
    return Counter({line.clip_id or line.clip: line.label for line in lines}.values())


def _classes(labels: Mapping[str, int], meaning: Meaning) -> dict[str, int]:
    found: Counter[str] = Counter()
    for label, many in labels.items():
        found[meaning(label)] += many
    return dict(found)


def _by_class(published: Published, counts: Sequence[int] | None) -> dict[str, int] | None:
    if counts is None:
        return None
    return {name: many for name, many in zip(published.class_names, counts, strict=True) if many}

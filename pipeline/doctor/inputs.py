"""Inputs of the checks: lists, files and published counts of a dataset."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pipeline.datasets.official_counts import Published
from pipeline.datasets.official_reader import ClipList, Entry, Inventory
from pipeline.types import ClipRef, Split

SPLITS = (Split.TRAIN, Split.TEST)
"""Splits of the published datasets."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Dataset as it was read, before any check.

    Attributes:
        name: Name of the dataset, as for `read_dataset`.
        root: Its directory.
        class_names: Its classes, in the order of labels.
        fold_names: Its folds.
        lists: Its lists. Those of a user's own clips are made from the index.
        inventory: Its clips on disk.
        clips: Clips to check, by id, each with its actual or expected path.
        form: Form in which they are read: ``video``, ``frames`` or ``crops``.
        crops: Directories of face crops beside them, by clip id.
        published: Published facts; None for a user's own clips.
        votes: Votes of the annotators, by clip id.
        refusal: Why extraction would reject the dataset; empty if it would not.
        notes: Notes of its reader.
    """

    name: str
    root: Path
    class_names: tuple[str, ...]
    fold_names: tuple[str, ...]
    lists: tuple[ClipList, ...]
    inventory: Inventory
    clips: Mapping[str, ClipRef]
    form: str = "video"
    crops: Mapping[str, str] = field(default_factory=dict)
    published: Published | None = None
    votes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    refusal: str = ""
    notes: tuple[str, ...] = ()

    @cached_property
    def lists_by_split(self) -> Mapping[tuple[str, Split], tuple[ClipList, ...]]:
        """Lists by fold and split."""
        found: dict[tuple[str, Split], tuple[ClipList, ...]] = {}
        for each in self.lists:
            key = (each.fold, each.split)
            found[key] = (*found.get(key, ()), each)
        return found

    @cached_property
    def splits_of(self) -> Mapping[str, Mapping[str, frozenset[Split]]]:
        """Splits of each clip in the lists, by clip id and fold."""
        found: dict[str, dict[str, frozenset[Split]]] = defaultdict(dict)
        for each in self.lists:
            for entry in each.entries:
                if entry.clip_id is not None:
                    before = found[entry.clip_id].get(each.fold, frozenset())
                    found[entry.clip_id][each.fold] = before | {each.split}
        return found

    def where(self, clip_list: ClipList) -> str:
        """Return a list's path, relative to the root if it is inside."""
        return shown_path(clip_list.path, self.root)

    def lines(self) -> Iterator[tuple[ClipList, Entry]]:
        """Yield every line of every list, with the list."""
        for each in self.lists:
            for entry in each.entries:
                yield each, entry


def shown_path(path: Path, root: Path) -> str:
    """Return a path relative to the root if it is inside, else the whole path."""
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def quoted(text: str) -> str:
    """Return a text in quotes, for a sentence."""
    return f"'{text}'"

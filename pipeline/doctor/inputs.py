"""Inputs of the checks: a data set's lists, the files in its tree, the counts that its authors publish."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pipeline.datasets.official_counts import Published
from pipeline.datasets.official_reader import ClipList, Entry, Inventory
from pipeline.types import ClipRef, Split

SPLITS = (Split.TRAIN, Split.TEST)
"""Those that owners publish."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """A data set before anything is judged.

    published: None for a user's own clips. clips: by id, those to be checked, each with the path at
    which it lies or should. form: in which they are read (``video``, ``frames``, ``crops``). crops: by clip
    id, folders of face crops beside them. votes: by clip id. refusal: why extraction would not read the
    data set; empty where it would. notes: what its reader says.
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
    def groups(self) -> Mapping[tuple[str, Split], tuple[ClipList, ...]]:
        """The lists of every fold and split for which there is one."""
        found: dict[tuple[str, Split], tuple[ClipList, ...]] = {}
        for each in self.lists:
            key = (each.fold, each.split)
            found[key] = (*found.get(key, ()), each)
        return found

    @cached_property
    def splits_of(self) -> Mapping[str, Mapping[str, frozenset[Split]]]:
        """By clip id and fold, the splits that lists put the clip in."""
        found: dict[str, dict[str, frozenset[Split]]] = defaultdict(dict)
        for each in self.lists:
            for entry in each.entries:
                if entry.clip_id is not None:
                    before = found[entry.clip_id].get(each.fold, frozenset())
                    found[entry.clip_id][each.fold] = before | {each.split}
        return found

    def where(self, clip_list: ClipList) -> str:
        """A list's path as a user would name it: relative to the root where it is inside."""
        return shown_path(clip_list.path, self.root)

    def lines(self) -> Iterator[tuple[ClipList, Entry]]:
        """Every line of every list."""
        for each in self.lists:
            for entry in each.entries:
                yield each, entry


def shown_path(path: Path, root: Path) -> str:
    """A path relative to the data set's root where it is inside, else whole."""
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def quoted(text: str) -> str:
    """A clip's id, or what a list says, in a sentence."""
    return f"'{text}'"

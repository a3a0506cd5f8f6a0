"""The data sets that their owners publish, read from the owner's tree: what their readers share.

A reader is an `OfficialSet`: where lists and clips lie, and how a name is a clip's id.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.datasets.published import Published
from pipeline.types import Split


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of a list. clip_id: None where the line names no clip of the data set.

    written: the clip as the line names it. label: as the line says it. class_name: what that means;
    empty where it means none. num_frames: as the line claims, if it does. line: its number.
    """

    clip_id: str | None
    written: str
    label: str
    class_name: str
    line: int
    num_frames: int | None = None


@dataclass(frozen=True, kw_only=True)
class ClipList:
    """A list of clips as it lies on disk, of one split of one fold.

    kind: the format by its content, in words. order: by which of the published orders its integers
    were read; empty for a list of names. has_header, has_crlf, is_padded: how it is written (padded:
    numbers with leading zeros).
    """

    path: Path
    fold: str
    split: Split
    kind: str
    entries: tuple[Entry, ...]
    order: str = ""
    has_header: bool = False
    has_crlf: bool = False
    is_padded: bool = False


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """The clips that lie in a tree, by id: as paths relative to its root, with '/'.

    videos: files of whole frames. frames: folders of whole frames. crops: folders, or videos, of
    aligned faces. strangers: files and folders among them that are no clip by their name. twice: ids
    for which there are two files of one form, with both paths.
    """

    videos: Mapping[str, str] = field(default_factory=dict)
    frames: Mapping[str, str] = field(default_factory=dict)
    crops: Mapping[str, str] = field(default_factory=dict)
    strangers: tuple[str, ...] = ()
    twice: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class OfficialSet:
    """All that tells one published data set from another.

    clip_id_of: a name or path, as lists and trees write it, as the clip's id; None when it is none.
    find_lists: the owner's lists in a tree, as (path, fold, split). find_clips: what lies in a tree.
    find_votes: by clip id, the annotators' votes, one count per class in the order of class_names.
    """

    name: str
    published: Published
    clip_id_of: Callable[[str], str | None]
    find_lists: Callable[[Path], list[tuple[Path, str, Split]]]
    find_clips: Callable[[Path], Inventory]
    find_votes: Callable[[Path], Mapping[str, tuple[int, ...]]] = lambda root: {}

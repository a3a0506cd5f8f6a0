"""The data sets that their owners publish, read from the owner's tree: what their readers share.

A reader is an `OfficialSet`: where lists and clips lie, and how a name is a clip's id.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.datasets.emotions import class_of
from pipeline.datasets.given_lists import given_lists
from pipeline.datasets.lists import ListFile, read_list
from pipeline.datasets.orders import Order, Placed, orders_of
from pipeline.datasets.published import Published
from pipeline.datasets.tree import require_root
from pipeline.errors import DatasetError
from pipeline.types import ReadOptions, Split

_SHOWN = 100
"""Characters of a wrong value that a message shows."""

ALL_OPTIONS = ("lists", "label_order", "all_clips", "source")
"""What `ReadOptions` says means something for every published set."""

_NAMES = ("dfew", "ferv39k", "mafw")
"""The published sets, as the paths in lists that circulate name them."""


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
    were read; empty for a list of names. first: the number of that order's first class, 0 or 1.
    told_by: what told the order, in words. has_header, has_crlf, is_padded: how it is written (padded:
    numbers with leading zeros).
    """

    path: Path
    fold: str
    split: Split
    kind: str
    entries: tuple[Entry, ...]
    order: str = ""
    first: int = 0
    told_by: str = ""
    has_header: bool = False
    has_crlf: bool = False
    is_padded: bool = False


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """The clips that lie in a tree, by id: as paths relative to its root, with '/'.

    videos: files of whole frames. frames: folders of whole frames. crops: folders, or videos, of
    aligned faces. beside: of the crops, the folders with a picture for each frame of the clip, which
    can stand beside its whole frames. strangers: files and folders among them that are no clip by
    their name. twice: ids for which there are two files of one form, with both paths.
    """

    videos: Mapping[str, str] = field(default_factory=dict)
    frames: Mapping[str, str] = field(default_factory=dict)
    crops: Mapping[str, str] = field(default_factory=dict)
    beside: Mapping[str, str] = field(default_factory=dict)
    strangers: tuple[str, ...] = ()
    twice: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class OfficialSet:
    """All that tells one published data set from another.

    places: by form of clip (``video``, ``frames``, ``crops``) and for ``lists``, where the owner keeps
    them: a pattern of paths below the root. clip_id_of: a name or path, as lists and trees write it, as
    the clip's id; None when it is none. path_of: where a clip of such a form lies, by (form, id).
    find_lists: the owner's lists in a tree, as (path, fold, split). find_clips: what lies in a tree.
    find_votes: by clip id, the annotators' votes, one count per class in the order of class_names; they
    lie at votes_at. find_labels: by clip id, class names of clips that are in no list. owner_header: of
    the owner's lists whose integers count the owner's order from 1.
    """

    name: str
    published: Published
    places: Mapping[str, str]
    clip_id_of: Callable[[str], str | None]
    path_of: Callable[[str, str], str]
    find_lists: Callable[[Path], list[tuple[Path, str, Split]]]
    find_clips: Callable[[Path], Inventory]
    find_votes: Callable[[Path], Mapping[str, tuple[int, ...]]] = lambda root: {}
    find_labels: Callable[[Path], Mapping[str, str]] = lambda root: {}
    votes_at: str = ""
    owner_header: tuple[str, ...] = ()


def read_lists(official: OfficialSet, root: Path, options: ReadOptions) -> tuple[ClipList, ...]:
    """The lists of a data set: the owner's in the tree, or those of `options` instead, all as written.

    A line that names no clip, or whose label means no class, is an entry that says so. Raises
    DatasetError where there is no list, where one cannot be read, and where integers have no order.
    """
    return read_lists_with_notes(official, root, options)[0]


def read_lists_with_notes(
    official: OfficialSet, root: Path, options: ReadOptions
) -> tuple[tuple[ClipList, ...], tuple[str, ...]]:
    """The same, and what a user should know of how they were chosen and read."""
    require_root(official.published.title, root, list(official.places.values()))
    notes: list[str] = []
    if options.lists:
        found, notes = given_lists(options.lists, official.published.fold_names)
    else:
        found = official.find_lists(root)
    if not found:
        msg = (
            f"No lists of {official.published.title} at '{root}': looked for {official.places['lists']}. "
            "Put the owner's lists there, or name lists by --lists PATH."
        )
        raise DatasetError(msg)
    named = {Path(text).absolute() for text in options.lists}
    placed = []
    for path, fold, split in found:
        file = read_list(path, official.clip_id_of)
        other = _other_set(file, official)
        if other and path in named:
            line = file.lines[0]
            msg = (
                f"{path}, line {line.number}: '{line.clip[-_SHOWN:]}' is a clip of {other}; "
                f"give lists of {official.published.title}."
            )
            raise DatasetError(msg)
        if other:
            notes.append(f"'{path.name}' in --lists is left alone: its clips are those of {other}")
        else:
            placed.append(Placed(file=file, fold=fold, split=split))
    if not placed:
        msg = f"--lists {', '.join(options.lists)}: no list of {official.published.title} among them."
        raise DatasetError(msg)
    orders = orders_of(placed, official.published, options.label_order, official.owner_header)
    if options.label_order is not None and not any(orders):
        notes.append("--label-order means nothing here: the lists name their classes")
    told: dict[str, int] = {}
    for order in orders:
        if order is not None:
            how = f"the label order '{order.name}', counted from {order.first}: told by {order.told_by}"
            told[how] = told.get(how, 0) + 1
    notes += [f"integers in {many} of {len(orders)} lists are in {how}" for how, many in told.items()]
    lists = [_clip_list(*both, official) for both in zip(placed, orders, strict=True)]
    return tuple(lists), tuple(notes)


def _other_set(file: ListFile, official: OfficialSet) -> str:
    """Another published set that the paths of a list name, where they do not name this one."""
    path = file.lines[0].clip.lower()
    others = [name for name in _NAMES if name in path]
    return "" if not others or official.name in others else others[0].upper()


def _clip_list(placed: Placed, order: Order | None, official: OfficialSet) -> ClipList:
    file = placed.file
    names = official.published.class_names
    entries = []
    for line in file.lines:
        class_name = order.class_name(line.label) if order else class_of(line.label)
        entries.append(
            Entry(
                clip_id=official.clip_id_of(line.clip),
                written=line.clip,
                label=line.label,
                class_name=class_name if class_name in names else "",
                line=line.number,
                num_frames=line.num_frames,
            )
        )
    return ClipList(
        path=file.path,
        fold=placed.fold,
        split=placed.split,
        kind=file.kind,
        entries=tuple(entries),
        order=order.name if order else "",
        first=order.first if order else 0,
        told_by=order.told_by if order else "",
        has_header=bool(file.header),
        has_crlf=file.has_crlf,
        is_padded=any(line.clip.replace("\\", "/").rsplit("/", 1)[-1].startswith("0") for line in file.lines),
    )

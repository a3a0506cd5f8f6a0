"""Types of published datasets, and the reader of their lists.

An `OfficialSet` describes one dataset: the places of its lists and clips, and the clip ids of their names.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.datasets.emotions import class_of
from pipeline.datasets.families import require_one_family
from pipeline.datasets.file_scan import require_root
from pipeline.datasets.label_encoding import ListInSplit, OrderDecision, determine_orders, require_orders
from pipeline.datasets.list_files import given_lists
from pipeline.datasets.list_parser import ListFile, read_list
from pipeline.datasets.official_counts import Published
from pipeline.errors import DatasetError, counted, some
from pipeline.footage import OFFICIAL_SPLITS
from pipeline.types import ReadOptions, Split

_SHOWN = 100
"""Characters of a wrong value that a message shows."""

ALL_OPTIONS = ("lists", "label_order", "all_clips", "source")
"""Options of `ReadOptions` that apply to every published dataset."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Line of a list.

    Attributes:
        clip_id: None if the line names no clip of the dataset.
        written: The clip as it is written.
        label: The label as it is written.
        class_name: Class that the label means; empty if it means none.
        line: Number of the line, from 1.
        num_frames: Number of frames that the line states; None without one.
    """

    clip_id: str | None
    written: str
    label: str
    class_name: str
    line: int
    num_frames: int | None = None


@dataclass(frozen=True, kw_only=True)
class ClipList:
    """List of the clips of one split of one fold.

    Attributes:
        path: The file.
        fold: Name of the fold.
        split: Split of the fold.
        kind: Format of the file, in words.
        entries: Its lines.
        order: Name of the published order of its integers; empty for a list of names.
        first: Number of that order's first class, 0 or 1.
        evidence: What determined the order, in words.
        is_open: Whether it holds integers of an unknown order, so that no entry has a class name.
        has_header: Whether the first line is a header.
        has_crlf: Whether lines end in CRLF.
    """

    path: Path
    fold: str
    split: Split
    kind: str
    entries: tuple[Entry, ...]
    order: str = ""
    first: int = 0
    evidence: str = ""
    is_open: bool = False
    has_header: bool = False
    has_crlf: bool = False


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """Clips on disk by id, as paths relative to the root, with '/'.

    Attributes:
        videos: Files of whole frames.
        frames: Directories of whole frames.
        crops: Directories, or videos, of aligned faces.
        beside: Those crops that have one image for each whole frame, so that both can be used together.
        strangers: Files and directories among the clips whose names are no clip's.
        twice: Ids with two files of one form, and both paths.
    """

    videos: Mapping[str, str] = field(default_factory=dict)
    frames: Mapping[str, str] = field(default_factory=dict)
    crops: Mapping[str, str] = field(default_factory=dict)
    beside: Mapping[str, str] = field(default_factory=dict)
    strangers: tuple[str, ...] = ()
    twice: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class OfficialSet:
    """Description of one published dataset.

    Attributes:
        name: Its name for --dataset.
        published: Facts that its authors publish.
        places: Patterns of paths below the root, by form of clip (``video``, ``frames``, ``crops``) and for
            ``lists``.
        clip_id_of: Returns the clip id of a name or path of a list or directory, None if it is no clip.
        path_of: Returns the path of a clip, given its form and id.
        find_lists: Returns the authors' lists below a root, as (path, fold, split).
        find_clips: Returns the clips below a root.
        find_votes: Returns the annotators' votes by clip id: a count for each of class_names, in that order.
        find_labels: Returns the class names of clips that are in no list, by clip id.
        votes_at: Path of the votes below the root; empty without votes.
        owner_header: Header of the authors' lists whose integers count the authors' order from 1.
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


def read_lists(
    official: OfficialSet, root: Path, options: ReadOptions
) -> tuple[tuple[ClipList, ...], tuple[str, ...]]:
    """Read the lists of a dataset: the authors' lists below the root, or those of `options` instead.

    Args:
        official: Description of the dataset.
        root: Its directory.
        options: The user's lists and label order, if any.

    Returns:
        The lists, and notes on their choice and order. An entry has no clip id if its line names no clip, and
        no class name if its label means no class.

    Raises:
        DatasetError: There is no list, one cannot be read, or nothing determines the order of its integers.
    """
    found, notes = find_lists(official, root, options)
    files = [
        ListInSplit(file=read_list(path, official.clip_id_of), fold=fold, split=split)
        for path, fold, split in found
    ]
    split_lists, left_alone = own_lists(official, files, options)
    decisions = determine_orders(split_lists, official.published, options.label_order, official.owner_header)
    require_orders(split_lists, decisions)
    lists = tuple(clip_list(*both, official) for both in zip(split_lists, decisions, strict=True))
    return lists, (*notes, *left_alone, *order_notes(lists, options.label_order))


def find_lists(
    official: OfficialSet, root: Path, options: ReadOptions
) -> tuple[list[tuple[Path, str, Split]], list[str]]:
    """Find the lists to read.

    Args:
        official: Description of the dataset.
        root: Its directory.
        options: The user's lists, if any.

    Returns:
        The lists as (path, fold, split), and notes on files that are left alone.

    Raises:
        DatasetError: There is no list, or the root is not a directory of the dataset.
    """
    require_root(official.published.title, root, list(official.places.values()))
    notes: list[str] = []
    if options.lists:
        found, notes = given_lists(options.lists, official.published, official.clip_id_of)
    else:
        found = official.find_lists(root)
    if not found:
        msg = (
            f"No lists of {official.published.title} at '{root}': looked for {official.places['lists']}. "
            "Put the authors' lists there, or name lists by --lists PATH."
        )
        raise DatasetError(msg)
    return found, notes


def own_lists(
    official: OfficialSet, files: Sequence[ListInSplit], options: ReadOptions
) -> tuple[list[ListInSplit], list[str]]:
    """Select the lists of this dataset, by the paths of their clips.

    Args:
        official: Description of the dataset.
        files: Lists that were read.
        options: The user's lists, if any.

    Returns:
        The lists of this dataset, and notes on lists of other datasets.

    Raises:
        DatasetError: The user named a list of another dataset itself, no list is left, or a directory holds
            several families of lists.
    """
    named = {Path(text).absolute() for text in options.lists}
    own, others = [], defaultdict[str, list[str]](list)
    for split_list in files:
        path, line = split_list.file.path, split_list.file.lines[0]
        other = _other_set(split_list.file, official)
        if other and path in named:
            msg = (
                f"{path}, line {line.number}: '{line.clip[-_SHOWN:]}' is a clip of {other}; "
                f"give lists of {official.published.title}."
            )
            raise DatasetError(msg)
        if other:
            others[other].append(path.name)
        else:
            own.append(split_list)
    if files and not own:
        msg = f"--lists {some(options.lists)}: no list of {official.published.title} among them."
        raise DatasetError(msg)
    require_one_family(own, options.lists, official.published.title, official.places["lists"])
    return own, [
        f"{counted(len(names), 'list')} of {other} in --lists left alone: {some(names)}"
        for other, names in others.items()
    ]


def order_notes(lists: Sequence[ClipList], asked: str | None) -> list[str]:
    """Return notes on the label orders of integers, and on a --label-order that does not apply."""
    notes = []
    if asked is not None and not any(one.order or one.is_open for one in lists):
        notes.append("--label-order does not apply: the lists name their classes")
    many = Counter(
        f"the label order '{one.order}', counted from {one.first}: determined by {one.evidence}"
        for one in lists
        if one.order
    )
    return [
        *notes,
        *(f"integers in {number} of {len(lists)} lists are in {how}" for how, number in many.items()),
    ]


def _other_set(file: ListFile, official: OfficialSet) -> str:
    """Return another published dataset that the paths of a list name, in capitals; empty if none."""
    path = file.lines[0].clip.lower()
    others = [name for name in OFFICIAL_SPLITS if name in path]
    return "" if not others or official.name in others else others[0].upper()


def clip_list(split_list: ListInSplit, decision: OrderDecision | None, official: OfficialSet) -> ClipList:
    """Convert the labels of a list to class names.

    Args:
        split_list: The list.
        decision: Order of its integers; None for a list of names. Without an order, no entry has a class
            name.
        official: Description of the dataset.
    """
    order, is_open = (decision.order, decision.order is None) if decision else (None, False)
    file = split_list.file
    names = official.published.class_names
    entries = []
    for line in file.lines:
        named = "" if is_open else class_of(line.label)
        class_name = order.class_name(line.label) if order else named
        entries.append(
            Entry(
                clip_id=line.clip_id,
                written=line.clip,
                label=line.label,
                class_name=class_name if class_name in names else "",
                line=line.number,
                num_frames=line.num_frames,
            )
        )
    return ClipList(
        path=file.path,
        fold=split_list.fold,
        split=split_list.split,
        kind=file.kind,
        entries=tuple(entries),
        order=order.name if order else "",
        first=order.first if order else 0,
        evidence=order.evidence if order else "",
        is_open=is_open,
        has_header=bool(file.header),
        has_crlf=file.has_crlf,
    )

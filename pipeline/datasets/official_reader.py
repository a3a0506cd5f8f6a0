"""The data sets that their owners publish, read from the owner's tree: what their readers share.

A reader is an `OfficialSet`: where lists and clips lie, and how a name is a clip's id.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.datasets.emotions import class_of
from pipeline.datasets.families import require_one_family
from pipeline.datasets.file_scan import require_root
from pipeline.datasets.label_encoding import Placed, Ruling, require_orders, rule_orders
from pipeline.datasets.list_files import given_lists
from pipeline.datasets.list_parser import ListFile, read_list
from pipeline.datasets.official_counts import Published
from pipeline.errors import DatasetError, counted, some
from pipeline.footage import OFFICIAL_SPLITS
from pipeline.types import ReadOptions, Split

_SHOWN = 100
"""Characters of a wrong value that a message shows."""

ALL_OPTIONS = ("lists", "label_order", "all_clips", "source")
"""What `ReadOptions` says means something for every published set."""


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
    evidence: what determined the order, in words. is_open: whether it holds integers whose order nothing
    determines, so that no entry has a class name. has_header, has_crlf: how it is written.
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


def read_lists(
    official: OfficialSet, root: Path, options: ReadOptions
) -> tuple[tuple[ClipList, ...], tuple[str, ...]]:
    """Return the lists of a dataset, all as written, and notes on how they were chosen and read.

    They are the authors' lists in the tree, or those of `options` instead. A line that names no clip has an
    entry without a clip id; one whose label means no class has an entry without a class name.

    Raises:
        DatasetError: There is no list, one cannot be read, or nothing determines the order of its integers.
    """
    found, notes = find_lists(official, root, options)
    files = [
        Placed(file=read_list(path, official.clip_id_of), fold=fold, split=split)
        for path, fold, split in found
    ]
    placed, left_alone = own_lists(official, files, options)
    rulings = rule_orders(placed, official.published, options.label_order, official.owner_header)
    require_orders(placed, rulings)
    lists = tuple(clip_list(*both, official) for both in zip(placed, rulings, strict=True))
    return lists, (*notes, *left_alone, *order_notes(lists, options.label_order))


def find_lists(
    official: OfficialSet, root: Path, options: ReadOptions
) -> tuple[list[tuple[Path, str, Split]], list[str]]:
    """The paths of lists to be read, with fold and split, and notes; DatasetError where there is none."""
    require_root(official.published.title, root, list(official.places.values()))
    notes: list[str] = []
    if options.lists:
        found, notes = given_lists(options.lists, official.published, official.clip_id_of)
    else:
        found = official.find_lists(root)
    if not found:
        msg = (
            f"No lists of {official.published.title} at '{root}': looked for {official.places['lists']}. "
            "Put the owner's lists there, or name lists by --lists PATH."
        )
        raise DatasetError(msg)
    return found, notes


def own_lists(
    official: OfficialSet, files: Sequence[Placed], options: ReadOptions
) -> tuple[list[Placed], list[str]]:
    """The lists of this data set, and notes of others that are in a folder of lists.

    Raises DatasetError for a list of another data set that the user named itself, where none is left, and
    for a folder that holds several families of lists.
    """
    named = {Path(text).absolute() for text in options.lists}
    own, others = [], defaultdict[str, list[str]](list)
    for placed in files:
        path, line = placed.file.path, placed.file.lines[0]
        other = _other_set(placed.file, official)
        if other and path in named:
            msg = (
                f"{path}, line {line.number}: '{line.clip[-_SHOWN:]}' is a clip of {other}; "
                f"give lists of {official.published.title}."
            )
            raise DatasetError(msg)
        if other:
            others[other].append(path.name)
        else:
            own.append(placed)
    if files and not own:
        msg = f"--lists {some(options.lists)}: no list of {official.published.title} among them."
        raise DatasetError(msg)
    require_one_family(own, options.lists, official.published.title, official.places["lists"])
    return own, [
        f"{counted(len(names), 'list')} of {other} in --lists left alone: {some(names)}"
        for other, names in others.items()
    ]


def order_notes(lists: Sequence[ClipList], asked: str | None) -> list[str]:
    """How integers were read, and that a label order which was asked for has no use."""
    notes = []
    if asked is not None and not any(one.order or one.is_open for one in lists):
        notes.append("--label-order means nothing here: the lists name their classes")
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
    """Another published set that the paths of a list name, as those that circulate do, but not this one."""
    path = file.lines[0].clip.lower()
    others = [name for name in OFFICIAL_SPLITS if name in path]
    return "" if not others or official.name in others else others[0].upper()


def clip_list(placed: Placed, ruling: Ruling | None, official: OfficialSet) -> ClipList:
    """A list with its labels as class names, of which there are none where a ruling has no order."""
    order, is_open = (ruling.order, ruling.order is None) if ruling else (None, False)
    file = placed.file
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
        fold=placed.fold,
        split=placed.split,
        kind=file.kind,
        entries=tuple(entries),
        order=order.name if order else "",
        first=order.first if order else 0,
        evidence=order.evidence if order else "",
        is_open=is_open,
        has_header=bool(file.header),
        has_crlf=file.has_crlf,
    )

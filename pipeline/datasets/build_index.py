"""Index of a published dataset, from its lists, its files and its votes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.datasets.emotions import class_of_folder, polarity_of_class
from pipeline.datasets.names import ignored_note
from pipeline.datasets.official_reader import ClipList, Entry, Inventory, OfficialSet, read_lists
from pipeline.datasets.votes import contradicted
from pipeline.errors import DatasetError, counted, some
from pipeline.types import ClipRef, DatasetIndex, ReadOptions, Split

NO_SCENE = "aligned faces only: there is no scene, and what stands for it is the picture of the face again"
"""Warning that caches store. A cache that grows would have it twice if the text changed."""

_SHOWN = 100
"""Characters of a wrong value that a message shows."""


@dataclass(kw_only=True)
class _Member:
    """Clip of the lists: its class, the first line that names it, and by fold its split and the line."""

    class_name: str
    first: str
    splits: dict[str, tuple[Split, str]] = field(default_factory=dict)


def read_official(official: OfficialSet, root: Path, options: ReadOptions) -> DatasetIndex:
    """Index a published dataset, with every fold whose lists are there.

    A listed clip that is not on disk stays in the index, under its expected path.

    Args:
        official: Facts and functions of the dataset.
        root: Its directory.
        options: The user's choice of lists, label order and form of clips.

    Raises:
        DatasetError: The lists contradict themselves, each other or the votes, or no listed clip is there.
    """
    published = official.published
    lists, list_notes = read_lists(official, root, options)
    notes = list(list_notes)
    inventory = official.find_clips(root)
    members = _members(lists, official, notes)
    source = _source(official, inventory, list(members), options.source, root, notes)
    there = {"video": inventory.videos, "frames": inventory.frames, "crops": inventory.crops}[source]
    folds = tuple(name for name in published.fold_names if any(one.fold == name for one in lists))
    _note_folds(lists, folds, notes)
    _note_missing([clip_id for clip_id in members if clip_id not in there], len(members), notes)
    votes = official.find_votes(root)
    if official.votes_at and not votes:
        notes.append(f"no votes of the annotators: there is no {official.votes_at}")
    _require_labels_of(votes, members, official, notes)
    if options.all_clips:
        labels = official.find_labels(root)
        extra = {clip_id: labels.get(clip_id, "") for clip_id in there if clip_id not in members}
        members |= {clip_id: _Member(class_name=name, first="") for clip_id, name in extra.items()}
        unlabelled = sum(not name for name in extra.values())
        notes.append(f"{counted(len(extra), 'clip')} in no list, {unlabelled} of them without a label")
    _require_once(inventory, members, there)
    if inventory.strangers:
        notes.append(ignored_note(inventory.strangers, "file or directory", "files and directories"))
    places = {name: number for number, name in enumerate(published.class_names)}
    beside: Mapping[str, str] = {} if source == "crops" else inventory.beside
    if beside:
        notes.append(
            f"there are face crops besides the whole frames of {_of(len(members.keys() & beside), members)}"
        )
    elif source != "crops" and inventory.crops:
        notes.append("there are face crops that cannot be used beside whole frames: 16 images, or a video")
    paths = {clip_id: there.get(clip_id) or official.path_of(source, clip_id) for clip_id in members}
    clips = [
        ClipRef(
            clip_id=clip_id,
            path=paths[clip_id],
            label=places.get(member.class_name, -1),
            splits=tuple(member.splits.get(fold, (Split.ABSENT, ""))[0] for fold in folds),
            polarity=polarity_of_class(member.class_name),
            face_path=paths[clip_id] if source == "crops" else beside.get(clip_id),
            votes=votes.get(clip_id),
        )
        for clip_id, member in sorted(members.items())
    ]
    return DatasetIndex(
        name=official.name,
        root=root,
        class_names=published.class_names,
        fold_names=folds,
        clips=tuple(clips),
        notes=tuple(notes),
        warnings=(NO_SCENE,) if source == "crops" else (),
        options=options,
    )


def _require_labels_of(
    votes: Mapping[str, tuple[int, ...]],
    members: Mapping[str, "_Member"],
    official: OfficialSet,
    notes: list[str],
) -> None:
    """Reject labels that the votes of most clips contradict, because then the label order is wrong."""
    listed = {clip_id: member.class_name for clip_id, member in members.items()}
    wrong, compared = contradicted(listed, votes, official.published.class_names)
    if not wrong:
        return
    first = min(wrong)
    case = f"'{first}' is {listed[first]} by the lists, {wrong[first]} by most of its votes"
    many = (
        f"the votes in {official.votes_at} contradict the labels of {len(wrong)} of {compared} clips ({case})"
    )
    if 2 * len(wrong) > compared:
        orders = ", ".join(official.published.orders)
        msg = (
            f"{many}: the lists are in another label order, or the votes are of other clips. Name the order "
            f"with --label-order ({orders}), or take lists and votes from the authors' archive."
        )
        raise DatasetError(msg)
    notes.append(many)


def _members(lists: Sequence[ClipList], official: OfficialSet, notes: list[str]) -> dict[str, _Member]:
    """Merge the lists by clip id. Reject lines without clip or class, and clips of two classes or splits."""
    members: dict[str, _Member] = {}
    twice: list[str] = []
    for one in lists:
        for entry in one.entries:
            where = f"{one.path}, line {entry.line}"
            clip_id = _require_clip(entry, where, official)
            member = members.setdefault(clip_id, _Member(class_name=entry.class_name, first=where))
            if member.class_name != entry.class_name:
                msg = (
                    f"{where}: clip '{clip_id}' is {entry.class_name} here, but {member.class_name} at "
                    f"{member.first}; a clip has one class. Correct the lists."
                )
                raise DatasetError(msg)
            before = member.splits.get(one.fold)
            if before is None:
                member.splits[one.fold] = (one.split, where)
            elif before[0] is one.split:
                twice.append(clip_id)
            else:
                msg = (
                    f"{where}: clip '{clip_id}' is in {one.split.name.lower()} here, and in "
                    f"{before[0].name.lower()} of the same fold {one.fold} at {before[1]}; that would leak. "
                    "Correct the lists, or leave one out."
                )
                raise DatasetError(msg)
    if twice:
        repeat = counted(len(twice), "line repeats", "lines repeat")
        notes.append(f"{repeat} a clip of the same split and class: {some(twice)}")
    return members


def _require_clip(entry: Entry, where: str, official: OfficialSet) -> str:
    published = official.published
    if entry.clip_id is None:
        msg = (
            f"{where}: '{entry.written[:_SHOWN]}' is not a clip of {published.title}; its clips have names "
            f"like {official.places['video']}. Correct the line."
        )
        raise DatasetError(msg)
    if not entry.class_name:
        msg = (
            f"{where}: label {entry.label[:_SHOWN]!r} is none of {published.title}'s classes; allowed: "
            f"{', '.join(published.class_names)}."
        )
        raise DatasetError(msg)
    if (class_of_folder(entry.written) or entry.class_name) != entry.class_name:
        msg = (
            f"{where}: label {entry.label[:_SHOWN]!r} means {entry.class_name}, but the clip is "
            f"'{entry.written[-_SHOWN:]}'; correct the list."
        )
        raise DatasetError(msg)
    return entry.clip_id


def _source(
    official: OfficialSet,
    inventory: Inventory,
    listed: Sequence[str],
    source: str,
    root: Path,
    notes: list[str],
) -> str:
    """Choose the form in which the clips are read. Reject a form in which no listed clip is there."""
    forms = {"video": inventory.videos, "frames": inventory.frames, "crops": inventory.crops}
    many = {form: sum(clip_id in there for clip_id in listed) for form, there in forms.items()}
    chosen = ("frames" if many["frames"] > many["video"] else "video") if source == "auto" else source
    if many[chosen] == 0:
        sought = ["video", "frames"] if source == "auto" else [source]
        looked = " and ".join(official.places[form] for form in sought)
        others = [form for form in many if many[form] and form not in sought]
        remedy = "Put them there, or give the right --root."
        if others:
            faces = " (aligned faces, without a scene)" if others[0] == "crops" else ""
            remedy = f"--source {others[0]}{faces} would find {_of(many[others[0]], listed)}."
        msg = f"No clip of {official.published.title}'s lists is at '{root}': looked for {looked}. {remedy}"
        raise DatasetError(msg)
    if source == "auto" and many["video"] and many["frames"]:
        notes.append(
            f"clips are read as {chosen}: videos of {_of(many['video'], listed)} are there, directories of "
            f"frames of {many['frames']}"
        )
    return chosen


def _require_once(inventory: Inventory, members: Mapping[str, _Member], there: Mapping[str, str]) -> None:
    for clip_id, (one, other) in inventory.twice.items():
        if clip_id in members and there.get(clip_id) == one:
            msg = f"Clip '{clip_id}' exists twice, as '{one}' and as '{other}'; remove one of them."
            raise DatasetError(msg)


def _note_folds(lists: Sequence[ClipList], folds: Sequence[str], notes: list[str]) -> None:
    for fold in folds:
        splits = {one.split for one in lists if one.fold == fold}
        lacking = [split.name.lower() for split in (Split.TRAIN, Split.TEST) if split not in splits]
        if lacking:
            notes.append(f"fold {fold} has no {' and no '.join(lacking)} list")


def _note_missing(missing: Sequence[str], num_listed: int, notes: list[str]) -> None:
    if missing:
        notes.append(
            f"{len(missing)} of {counted(num_listed, 'listed clip')} not found, to be recorded as failed: "
            f"{some(missing)}"
        )


def _of(many: int, listed: Sequence[str] | Mapping[str, _Member]) -> str:
    return f"{many} of {counted(len(listed), 'clip')}"

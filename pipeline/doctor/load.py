"""Reader of the inputs of the checks: as extraction reads a dataset, and line by line if that fails."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import cast

from pipeline.datasets import READERS, read_dataset
from pipeline.datasets.file_scan import require_root
from pipeline.datasets.label_encoding import ListInSplit, OrderDecision, determine_orders
from pipeline.datasets.list_parser import read_list
from pipeline.datasets.official_reader import (
    ClipList,
    Entry,
    Inventory,
    OfficialSet,
    clip_list,
    find_lists,
    order_notes,
    own_lists,
)
from pipeline.doctor.finding import Finding
from pipeline.doctor.inputs import Inputs, quoted, shown_path
from pipeline.errors import DatasetError
from pipeline.types import ClipRef, DatasetIndex, ReadOptions, Split


def load_inputs(name: str, root: Path, options: ReadOptions) -> tuple[Inputs, list[Finding]]:
    """Read a dataset for its checks.

    Args:
        name: Name of the dataset, as for `read_dataset`.
        root: Its directory.
        options: The user's choice of lists, label order and form of clips.

    Returns:
        The inputs, and findings on lists that cannot be read.

    Raises:
        ConfigError: The name or an option is unknown.
        DatasetError: There is no such dataset at the root, or a user's own clips cannot be read.
    """
    official = (
        cast(OfficialSet | None, getattr(import_module(READERS[name]), "SET", None))
        if name in READERS
        else None
    )
    try:
        index, refusal = read_dataset(name, root, options), ""
    except DatasetError as error:
        if official is None or not root.exists():
            raise
        index, refusal = None, str(error)
    if official is None:
        assert index is not None, "a dataset that is not published is read or rejected"
        return _own_inputs(index), []
    require_root(official.published.title, root, list(official.places.values()))
    lists, notes, findings = _lists(official, root, options)
    inputs = _official_inputs(official, root, options, lists, notes, refusal)
    try:
        inputs = replace(inputs, votes=official.find_votes(root))
    except DatasetError as error:
        findings = [*findings, Finding(kind="not-read", what=str(error))]
    return inputs, findings


def _own_inputs(index: DatasetIndex) -> Inputs:
    """Return the inputs for a user's own clips, with lists made from their index."""
    where = index.source or index.root
    lists = [
        ClipList(path=where, fold=fold, split=split, kind="", entries=entries)
        for number, fold in enumerate(index.fold_names)
        for split in (Split.TRAIN, Split.VALIDATION, Split.TEST)
        if (entries := tuple(_entries(index, number, split)))
    ]
    return Inputs(
        name=index.name,
        root=index.root,
        class_names=index.class_names,
        fold_names=index.fold_names,
        lists=tuple(lists),
        inventory=Inventory(videos={clip.clip_id: clip.path for clip in index.clips}),
        clips={clip.clip_id: clip for clip in index.clips},
        crops={clip.clip_id: path for clip in index.clips if (path := clip.face_path) is not None},
        notes=index.notes,
    )


def _entries(index: DatasetIndex, fold: int, split: Split) -> Iterator[Entry]:
    for clip in index.clips:
        if clip.splits[fold] is split:
            name = index.class_names[clip.label] if clip.label >= 0 else ""
            yield Entry(clip_id=clip.clip_id, written=clip.path, label=name, class_name=name, line=0)


def _official_inputs(
    official: OfficialSet,
    root: Path,
    options: ReadOptions,
    lists: tuple[ClipList, ...],
    notes: tuple[str, ...],
    refusal: str,
) -> Inputs:
    inventory = Inventory()
    try:
        inventory = official.find_clips(root)
    except DatasetError as error:
        refusal = refusal or str(error)
    listed = {entry.clip_id for each in lists for entry in each.entries if entry.clip_id is not None}
    forms = {"video": inventory.videos, "frames": inventory.frames, "crops": inventory.crops}
    form = options.source if options.source != "auto" else _likelier(forms, listed)
    wanted = listed | set(forms[form]) if options.all_clips else listed
    return Inputs(
        name=official.name,
        root=root,
        class_names=official.published.class_names,
        fold_names=tuple(
            fold for fold in official.published.fold_names if any(each.fold == fold for each in lists)
        ),
        lists=lists,
        inventory=inventory,
        clips={
            clip_id: ClipRef(
                clip_id=clip_id,
                path=forms[form].get(clip_id) or official.path_of(form, clip_id),
                label=-1,
                splits=(),
            )
            for clip_id in sorted(wanted)
        },
        form=form,
        crops={}
        if form == "crops"
        else {key: path for key, path in inventory.beside.items() if key in wanted},
        published=official.published,
        refusal=refusal,
        notes=notes,
    )


def _likelier(forms: Mapping[str, Mapping[str, str]], listed: set[str]) -> str:
    """Return ``video``, or ``frames`` if there are frames of more of the listed clips."""
    return "frames" if len(listed & forms["frames"].keys()) > len(listed & forms["video"].keys()) else "video"


def _lists(
    official: OfficialSet, root: Path, options: ReadOptions
) -> tuple[tuple[ClipList, ...], tuple[str, ...], list[Finding]]:
    """Return all lists that can be read, notes on their choice and order, and findings on problems."""
    found, notes = find_lists(official, root, options)
    files, findings = [], []
    for path, fold, split in found:
        try:
            files.append(ListInSplit(file=read_list(path, official.clip_id_of), fold=fold, split=split))
        except DatasetError as error:
            findings.append(Finding(kind="not-read", what=str(error)))
    split_lists, left_alone = own_lists(official, files, options)
    decisions = determine_orders(split_lists, official.published, options.label_order, official.owner_header)
    lists = tuple(clip_list(*both, official) for both in zip(split_lists, decisions, strict=True))
    findings += _order_findings(split_lists, decisions, root)
    return lists, (*notes, *left_alone, *order_notes(lists, options.label_order)), findings


def _order_findings(
    split_lists: Sequence[ListInSplit], decisions: Sequence[OrderDecision | None], root: Path
) -> Iterator[Finding]:
    """Yield one finding for all lists whose integers have the same problem."""
    alike: dict[str, list[str]] = {}
    for one, decision in zip(split_lists, decisions, strict=True):
        if decision is not None and decision.problem:
            alike.setdefault(decision.problem, []).append(
                quoted(shown_path(one.file.path, root)) + decision.detail
            )
    for problem, cases in alike.items():
        what = "1 list that " if len(cases) == 1 else f"{len(cases)} lists, each of which "
        yield Finding(kind="label-order", what=what + problem, cases=tuple(cases))

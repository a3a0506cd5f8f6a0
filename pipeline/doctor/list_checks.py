"""Checks of lists, line by line: unknown clips and labels, repetitions, contradictions."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from pipeline.datasets.emotions import class_of, class_of_folder
from pipeline.datasets.official_reader import ClipList, Entry
from pipeline.datasets.votes import contradicted
from pipeline.doctor.finding import Finding
from pipeline.doctor.inputs import Inputs, quoted
from pipeline.errors import counted
from pipeline.types import Split


def check_lists(inputs: Inputs) -> Iterator[Finding]:
    """Run every check that needs only the lists."""
    yield from _check_lines(inputs)
    yield from _check_repetition(inputs)
    yield from _check_leaks(inputs)
    yield from _check_partition(inputs)
    yield from _check_writing(inputs)
    yield from _check_votes(inputs)


def _check_lines(inputs: Inputs) -> Iterator[Finding]:
    unknown, unlabelled, contradicted = [], [], []
    for clip_list, entry in inputs.lines():
        if entry.clip_id is None:
            unknown.append(f"{quoted(entry.written)} ({_place(inputs, clip_list, entry)})")
        elif not entry.class_name and entry.label and not clip_list.is_open:
            case = f"{quoted(entry.label)} of {quoted(entry.clip_id)}"
            unlabelled.append(f"{case} ({_place(inputs, clip_list, entry)})")
        elif _contradicts(entry.written, entry.class_name):
            case = f"{quoted(entry.written)} has the label {entry.class_name}"
            contradicted.append(f"{case} ({_place(inputs, clip_list, entry)})")
    for kind, what, cases in (
        ("clip-unknown", "that name no clip", unknown),
        ("label-unknown", "with a label that is not a class", unlabelled),
        ("folder-label", "whose label differs from the clip's directory", contradicted),
    ):
        if cases:
            yield Finding(kind=kind, what=f"{counted(len(cases), 'line')} {what}", cases=tuple(cases))


def _place(inputs: Inputs, clip_list: ClipList, entry: Entry) -> str:
    """Return the file and line of an entry."""
    return inputs.where(clip_list) + (f", line {entry.line}" if entry.line else "")


def _contradicts(written: str, class_name: str) -> bool:
    """Return whether the directory of a clip names another emotion than its class."""
    folder, mine = class_of_folder(written), class_of(class_name)
    return None not in (folder, mine) and folder != mine


def _check_repetition(inputs: Inputs) -> Iterator[Finding]:
    """Report clips that are twice in a list with one label, or in any lists with two labels."""
    labels: dict[str, dict[str, ClipList]] = defaultdict(dict)
    times: Counter[tuple[str, Split, str]] = Counter()
    for clip_list, entry in inputs.lines():
        if entry.clip_id is None:
            continue
        times[clip_list.fold, clip_list.split, entry.clip_id] += 1
        if entry.class_name:
            labels[entry.clip_id].setdefault(entry.class_name, clip_list)
    two = {clip_id: found for clip_id, found in labels.items() if len(found) > 1}
    if two:
        cases = [
            f"{quoted(clip_id)} "
            + " and ".join(f"{name} ({inputs.where(clip_list)})" for name, clip_list in found.items())
            for clip_id, found in sorted(two.items())
        ]
        yield Finding(
            kind="two-labels", what=f"{counted(len(two), 'clip')} with two labels", cases=tuple(cases)
        )
    twice = [
        f"{quoted(clip_id)} ({split.name.lower()} of fold {fold})"
        for (fold, split, clip_id), many in times.items()
        if many > 1 and clip_id not in two
    ]
    if twice:
        what = f"{counted(len(twice), 'clip')} more than once in a list"
        yield Finding(kind="listed-twice", what=what, cases=tuple(twice))


def _check_leaks(inputs: Inputs) -> Iterator[Finding]:
    leaks = [
        f"{quoted(clip_id)} (fold {fold}: {' and '.join(split.name.lower() for split in sorted(splits))})"
        for clip_id, folds in sorted(inputs.splits_of.items())
        for fold, splits in folds.items()
        if len(splits) > 1
    ]
    if leaks:
        what = f"{counted(len(leaks), 'time')} a clip is in two splits of a fold"
        yield Finding(kind="leak", what=what, cases=tuple(leaks))


def _check_partition(inputs: Inputs) -> Iterator[Finding]:
    """Check that test sets of published folds have no clip in common, and together hold every clip."""
    published = inputs.published
    if published is None or len(published.fold_names) == 1:
        return
    tested = {
        clip_id: [fold for fold, splits in folds.items() if Split.TEST in splits]
        for clip_id, folds in sorted(inputs.splits_of.items())
    }
    twice = [
        f"{quoted(clip_id)} (folds {', '.join(folds)})" for clip_id, folds in tested.items() if len(folds) > 1
    ]
    if twice:
        what = f"{counted(len(twice), 'clip')} in the test sets of several folds"
        yield Finding(kind="test-overlap", what=what, cases=tuple(twice))
    never = [quoted(clip_id) for clip_id, folds in tested.items() if not folds]
    if never and all((fold, Split.TEST) in inputs.lists_by_split for fold in published.fold_names):
        what = f"{counted(len(never), 'listed clip')} in no fold's test set"
        yield Finding(kind="test-gap", what=what, cases=tuple(never))


def _check_writing(inputs: Inputs) -> Iterator[Finding]:
    """Check the form of lists: zeros before numbers, headers, line ends."""
    names = [entry.written for _, entry in inputs.lines()]
    if padding := _two_paddings(names):
        yield Finding(kind="padding-mixed", what=f"Lists write numbers in two ways, as {padding}")
    if padding := _two_paddings(inputs.inventory.videos.values()):
        yield Finding(kind="padding-mixed", what=f"Files are numbered in two ways, as {padding}")
    without = [each for each in inputs.lists if not each.has_header]
    if 0 < len(without) < len(inputs.lists):
        yield _some("header-mixed", "without a header, others with one", without, inputs)
    if ends := [each for each in inputs.lists if each.has_crlf]:
        yield _some("crlf", "with CRLF at the ends of lines", ends, inputs)


def _two_paddings(names: Iterable[str]) -> str:
    """Return an example of a number with leading zeros and one without; empty unless both occur."""
    stems = [os.path.splitext(name.replace("\\", "/").rsplit("/", 1)[-1])[0] for name in names]  # noqa: PTH122 - of many
    numbers = [stem for stem in stems if stem.isdecimal()]
    padded = next((stem for stem in numbers if stem.startswith("0")), None)
    bare = next((stem for stem in numbers if padded and len(stem) < len(padded)), None)
    return f"{quoted(padded)} and {quoted(bare)}" if padded and bare else ""


def _some(kind: str, what: str, lists: list[ClipList], inputs: Inputs) -> Finding:
    cases = tuple(inputs.where(each) for each in lists)
    return Finding(kind=kind, what=f"{counted(len(lists), 'list')} {what}", cases=cases)


def _check_votes(inputs: Inputs) -> Iterator[Finding]:
    if not inputs.votes:
        return
    missing = [quoted(clip_id) for clip_id in sorted(inputs.splits_of) if clip_id not in inputs.votes]
    if missing:
        what = f"{counted(len(missing), 'listed clip')} without votes"
        yield Finding(kind="votes-missing", what=what, cases=tuple(missing))
    listed = {entry.clip_id: entry.class_name for _, entry in inputs.lines() if entry.clip_id is not None}
    wrong, compared = contradicted(listed, inputs.votes, inputs.class_names)
    if wrong:
        cases = [
            f"{quoted(clip_id)} has the label {listed[clip_id]}, most votes are for {wrong[clip_id]}"
            for clip_id in sorted(wrong)
        ]
        what = f"{len(wrong)} of {counted(compared, 'clip')} with another label than most annotators chose"
        yield Finding(kind="votes-label", what=what, cases=tuple(cases))
    sums = {clip_id: sum(votes) for clip_id, votes in inputs.votes.items()}
    usual, _ = Counter(sums.values()).most_common(1)[0]
    odd = [f"{quoted(clip_id)} ({total})" for clip_id, total in sorted(sums.items()) if total != usual]
    if odd:
        what = f"{counted(len(odd), 'clip')} whose votes do not sum to {usual}"
        yield Finding(kind="votes-sum", what=what, cases=tuple(odd))

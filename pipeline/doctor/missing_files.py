"""Comparison of the files on disk with the lists: missing, empty, incomplete and unlisted clips."""

from collections.abc import Iterator, Mapping

from pipeline.doctor.finding import Finding
from pipeline.doctor.inputs import Inputs, quoted
from pipeline.doctor.scan import OnDisk
from pipeline.errors import counted


def check_files(
    inputs: Inputs, on_disk: Mapping[str, OnDisk], crops: Mapping[str, OnDisk]
) -> Iterator[Finding]:
    """Compare the files on disk with the lists.

    Args:
        inputs: Inputs of the checks.
        on_disk: Files and directories at the paths of clips, by clip id.
        crops: Those at the paths of their face crops, by clip id.
    """
    yield from _check_presence(inputs, on_disk)
    yield from _check_names(inputs)
    yield from _check_folders(on_disk, crops)


def unlisted(inputs: Inputs) -> tuple[list[str], int]:
    """Return the clips on disk that no list names, and the number that the authors leave out.

    There are none for a user's own clips.
    """
    published = inputs.published
    if published is None:
        return [], 0
    there = {*inputs.inventory.videos, *inputs.inventory.frames, *inputs.inventory.crops}
    extra = sorted(there - set(inputs.splits_of))
    listed = max((sum(pair) for pair in published.splits.values()), default=0)
    return extra, max(0, published.num_clips - listed)


def _check_presence(inputs: Inputs, on_disk: Mapping[str, OnDisk]) -> Iterator[Finding]:
    forms: dict[str, list[str]] = {form: [] for form in ("nothing", "link", "other", "file", "folder")}
    for clip_id, found in on_disk.items():
        is_empty = not (found.num_bytes if found.form == "file" else found.pictures)
        if found.form in ("nothing", "link", "other") or is_empty:
            forms[found.form].append(clip_id)
    missing = [quoted(clip_id) for clip_id in forms["nothing"]]
    if missing:
        what = f"{len(missing)} of {counted(len(on_disk), 'clip')} not on disk"
        first = inputs.clips[forms["nothing"][0]].path
        kind = "path-missing" if inputs.published is None else "clip-missing"
        yield Finding(kind=kind, what=f"{what}, the first looked for at '{first}'", cases=tuple(missing))
    for kind, what, form in (
        ("link-dangling", "behind a link to a file that does not exist", "link"),
        ("not-a-file", "neither file nor directory", "other"),
        ("file-empty", "of no bytes", "file"),
        ("folder-empty", "without images in their directories", "folder"),
    ):
        if forms[form]:
            cases = tuple(quoted(inputs.clips[clip_id].path) for clip_id in forms[form])
            yield Finding(kind=kind, what=f"{counted(len(cases), 'clip')} {what}", cases=cases)
    extra, expected = unlisted(inputs)
    if len(extra) > expected and inputs.lists:
        what = f"{counted(len(extra), 'clip')} on disk in no list"
        left_out = f"; the authors leave out {expected}" if expected else ""
        yield Finding(kind="clip-unlisted", what=what + left_out, cases=tuple(map(quoted, extra)))


def _check_names(inputs: Inputs) -> Iterator[Finding]:
    twice = inputs.inventory.twice
    if twice:
        cases = tuple(f"{quoted(first)} and {quoted(second)}" for first, second in twice.values())
        yield Finding(kind="name-twice", what=f"{counted(len(twice), 'clip')} with two files", cases=cases)
    strangers = inputs.inventory.strangers
    if strangers:
        why = (
            "its name is not that of a clip" if len(strangers) == 1 else "their names are not those of clips"
        )
        what = f"{counted(len(strangers), 'file')} among the clips, but {why}"
        yield Finding(kind="name-unknown", what=what, cases=tuple(map(quoted, strangers)))


def _check_folders(on_disk: Mapping[str, OnDisk], crops: Mapping[str, OnDisk]) -> Iterator[Finding]:
    bare = [quoted(clip_id) for clip_id, found in crops.items() if not found.pictures]
    if bare:
        what = f"{counted(len(bare), 'clip')} whose face crops are not there"
        yield Finding(kind="crops-missing", what=what, cases=tuple(bare))
    unclear = [f"{quoted(i)}: {found.unclear}" for i, found in on_disk.items() if found.unclear]
    unclear += [f"the crops of {quoted(i)}: {found.unclear}" for i, found in crops.items() if found.unclear]
    if unclear:
        what = f"{counted(len(unclear), 'directory', 'directories')} of images whose names give no order"
        yield Finding(kind="frames-unclear", what=what, cases=tuple(unclear))
    gaps = [f"{quoted(i)} lacks {found.num_gaps}" for i, found in on_disk.items() if found.num_gaps]
    gaps += [
        f"the crops of {quoted(i)} lack {found.num_gaps}" for i, found in crops.items() if found.num_gaps
    ]
    if gaps:
        what = f"{counted(len(gaps), 'directory', 'directories')} with numbers missing among the images"
        yield Finding(kind="frame-gaps", what=what, cases=tuple(gaps))

"""A directory of clips without a list: ``class/clip``, with splits, with groups such as actors, or flat.

``scan``    videos and directories of pictures, found by name
``levels``  levels of directories that name the split and the class

A clip is a video file, or a directory of pictures (its frames). docs/folders.md shows every layout.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from pipeline.datasets.emotions import class_of, polarity_of_class
from pipeline.datasets.folder.levels import REMEDY, Layout, class_name, layout_of, split_of
from pipeline.datasets.folder.scan import Scan, find_clips
from pipeline.datasets.limits import require_few_names
from pipeline.datasets.names import ignored_note
from pipeline.datasets.spelling import one_spelling, why_no_name
from pipeline.errors import DatasetError, counted, printable, some
from pipeline.pictures import PICTURE_SUFFIXES, VIDEO_SUFFIXES
from pipeline.types import ClipRef, DatasetIndex, Polarity, ReadOptions, Split

__all__ = ["FOLD_NAME", "OPTIONS", "read"]

OPTIONS: tuple[str, ...] = ()
_DEFAULTS = ReadOptions()
FOLD_NAME = "1"
_UNLABELLED = frozenset(("unlabelled", "unlabeled"))
"""Names of a class directory whose clips have no label, in lower case."""


def read(root: Path, options: ReadOptions = _DEFAULTS) -> DatasetIndex:
    """Read a directory of clips; its layout gives classes and splits.

    Without directories of splits, every clip with a label is in training, and every other clip is in no
    split. Clips directly in the root take their class from their name if it is an emotion (``happy.mp4``),
    and have no label otherwise.

    Raises:
        DatasetError: There is no clip, the layout has no single meaning (the message shows the levels), or a
            name cannot be read.
    """
    if not root.is_dir():
        msg = f"--root '{root}' is not a directory; --dataset folder needs one that holds class/clip.mp4."
        raise DatasetError(msg)
    found = find_clips(root)
    clips, kind = _clips(found)
    if not clips:
        raise DatasetError(_without_clips(root, found))
    try:
        layout = layout_of(clips, kind)
        labels = _labels(clips, kind, layout)
    except DatasetError as error:
        msg = f"'{printable(str(root))}': {error}"
        raise DatasetError(msg) from error
    spelling = one_spelling(labels.values())
    names = spelling.names
    require_few_names("classes", names, root)
    group = layout.group_depth(clips)
    refs = tuple(_clip(path, spelling.name_of[labels[path]], names, layout, group) for path in sorted(clips))
    return DatasetIndex(
        name="folder",
        root=root,
        class_names=names,
        fold_names=(FOLD_NAME,),
        clips=refs,
        notes=(*_layout_notes(layout, refs, group), *spelling.notes, *_left_alone(found, kind)),
    )


def _clips(found: Scan) -> tuple[list[str], str]:
    """Return the clips and their kind: videos, or image folders if there are more of them."""
    if len(found.frames) > len(found.videos):
        return found.frames, "image folder"
    return found.videos, "video"


def _labels(clips: Sequence[str], kind: str, layout: Layout) -> Mapping[str, str]:
    """Return the class of each clip, as its directory or file spells it; empty for a clip without a label."""
    if layout.label is None and kind == "video":
        stems = {path: PurePosixPath(path).stem for path in clips}
        return {path: stem if class_of(stem) else "" for path, stem in stems.items()}
    if layout.label is None:
        for path in clips:
            if class_of(class_name(path)):
                msg = (
                    f"the directory '{printable(path)}' names a class and holds images directly, so it "
                    "would be one clip. Each clip needs its own directory, as class/clip/0001.jpg; still "
                    "pictures are not read."
                )
                raise DatasetError(msg)
        return dict.fromkeys(clips, "")
    named = {path: class_name(path.split("/")[layout.label]) for path in clips}
    for name in sorted(set(named.values())):
        if why_no_name(name) is not None:
            msg = (
                f"a directory among the classes is named '{printable(name)}', which is a number or stands "
                "for a missing value; rename it to its class, or to 'unlabelled' if its clips have none."
            )
            raise DatasetError(msg)
    return {path: "" if name.lower() in _UNLABELLED else name for path, name in named.items()}


def _clip(path: str, name: str, names: tuple[str, ...], layout: Layout, group: int | None) -> ClipRef:
    parts = path.split("/")
    split = None if layout.split is None else split_of(parts[layout.split])
    return ClipRef(
        clip_id=path,
        path=path,
        label=names.index(name) if name else -1,
        splits=(split or (Split.TRAIN if name else Split.ABSENT),),
        polarity=polarity_of_class(name) if name else Polarity.UNKNOWN,
        group="" if group is None else parts[group],
    )


def _layout_notes(layout: Layout, clips: Sequence[ClipRef], group: int | None) -> list[str]:
    """Return notes on the levels of a layout beyond class/clip, and on clips without a label."""
    notes = []
    if len(layout.levels) > 1:
        meanings = f"read as {layout}"
        for depth, level in layout.groups:
            names = some([f"'{printable(name)}'" for name in level.names])
            meanings += f"; {names} group the clips and are neither class nor split"
            if depth == group:
                meanings += ": clips of one group are not independent, so a holdout takes whole groups"
        notes.append(meanings)
    unlabelled = [f"'{clip.path}'" for clip in clips if clip.label < 0]
    if unlabelled and layout.label is None:
        notes.append(
            f"{counted(len(unlabelled), 'clip')} without a label, because their names are not emotions and "
            f"no directory names a class: {some(unlabelled)}. For labels, arrange the clips as class/clip or "
            "list them in a manifest"
        )
    return notes


def _left_alone(found: Scan, kind: str) -> list[str]:
    """Return notes on files and directories that are not clips, so that a misnamed clip is noticed."""
    notes = []
    other, clips = ("video", found.videos) if kind == "image folder" else ("image folder", found.frames)
    if clips:
        notes.append(
            f"clips are read as {kind}s; {counted(len(clips), other)} left alone, because there are fewer of "
            f"them: {some([printable(path) for path in clips])}"
        )
    if found.others:
        notes.append(ignored_note([printable(path) for path in found.others], "file", "files"))
    if found.unfetched:
        named = some([printable(path) for path in found.unfetched])
        is_one = len(found.unfetched) == 1
        links = "1 link or placeholder" if is_one else f"{len(found.unfetched)} links or placeholders"
        files, them = ("a file that is", "it") if is_one else ("files that are", "them")
        notes.append(f"{links} of {files} not there left alone; fetch {them} to have {them} read: {named}")
    if found.empty:
        named = some([printable(path) for path in found.empty])
        notes.append(f"{counted(len(found.empty), 'directory', 'directories')} without a clip: {named}")
    return notes


def _without_clips(root: Path, found: Scan) -> str:
    there = some([printable(path) for path in (*found.others, *found.unfetched, *found.empty)])
    videos, pictures = (" ".join(sorted(suffixes)) for suffixes in (VIDEO_SUFFIXES, PICTURE_SUFFIXES))
    return (
        f"'{printable(str(root))}' holds no clip: no video ({videos}) and no directory of images "
        f"({pictures}); found: {there or 'nothing'}. {REMEDY}"
    )

"""A plain folder of videos: ``class/clip.mp4``, or ``class.mp4`` where the stem is the class."""

from pathlib import Path

from pipeline.datasets.bounds import Folder, require_few_names
from pipeline.datasets.emotions import polarity_of_class
from pipeline.datasets.names import fits_one_line, on_one_line
from pipeline.errors import DatasetError
from pipeline.types import ClipRef, DatasetIndex, ReadOptions, Split

OPTIONS: tuple[str, ...] = ()
_DEFAULTS = ReadOptions()
FOLD_NAME = "1"
_NAMED = 3
VIDEO_SUFFIXES = frozenset(
    [
        ".3gp", ".avi", ".flv", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv",
        ".ts", ".vob", ".webm", ".wmv",
    ]
)  # fmt: skip


def read(root: Path, options: ReadOptions = _DEFAULTS) -> DatasetIndex:
    """Read a folder: sub-folders are classes, or else file stems are.

    Every file with a video's suffix is a clip; others are noted, hidden ones passed over. Nothing in a
    folder tells training from test: each clip is in training and, so that the trained model can be
    looked at, the fold has no test split.
    """
    if not root.is_dir():
        msg = f"--root '{root}' is not a folder; --dataset folder needs one of class/*.mp4 or CLASS.mp4."
        raise DatasetError(msg)
    nested = {path: path.parent.name for path in _videos(root, "*/*")}
    flat = {path: path.stem for path in _videos(root, "*")}
    if nested and flat:
        msg = (
            f"'{root}' holds videos both directly ('{next(iter(flat)).name}') and in sub-folders "
            f"('{next(iter(nested)).relative_to(root)}'); keep one kind, so that the classes are clear."
        )
        raise DatasetError(msg)
    class_of = nested or flat
    if not class_of:
        suffixes = " ".join(sorted(VIDEO_SUFFIXES))
        msg = f"'{root}' holds no videos; allowed: class/*.mp4 or CLASS.mp4 ({suffixes})."
        raise DatasetError(msg)
    folder = Folder(root)
    for path in class_of:
        if not fits_one_line(str(path.relative_to(root))):
            msg = f"{str(path)!r} has a name that is no plain text in UTF-8; rename it."
            raise DatasetError(msg)
        if (elsewhere := folder.way_out(str(path.relative_to(root)))) is not None:
            msg = f"'{path}' is a link out of '{root}', to '{on_one_line(elsewhere)}'; copy the file instead."
            raise DatasetError(msg)
    names = tuple(sorted(set(class_of.values())))
    require_few_names("classes", names, root)
    clips = [_clip(path.relative_to(root).as_posix(), name, names) for path, name in class_of.items()]
    return DatasetIndex(
        name="folder",
        root=root,
        class_names=names,
        fold_names=(FOLD_NAME,),
        clips=tuple(sorted(clips, key=lambda clip: clip.clip_id)),
        notes=_notes(root, set(class_of)),
    )


def _notes(root: Path, clips: set[Path]) -> tuple[str, ...]:
    """Files beside the clips are told, so that none is missed for its suffix."""
    others = sorted(
        on_one_line(path.relative_to(root).as_posix())
        for path in (*root.glob("*"), *root.glob("*/*"))
        if path.is_file() and path not in clips and not _is_hidden(path, root)
    )
    if not others:
        return ()
    named = ", ".join(others[:_NAMED]) + (", ..." if len(others) > _NAMED else "")
    return (f"{len(others)} files without a video's suffix are left alone: {named}",)


def _is_hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def _videos(root: Path, pattern: str) -> list[Path]:
    return [
        path
        for path in sorted(root.glob(pattern))
        if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file() and not _is_hidden(path, root)
    ]


def _clip(path: str, class_name: str, names: tuple[str, ...]) -> ClipRef:
    return ClipRef(
        clip_id=path,
        path=path,
        label=names.index(class_name),
        splits=(Split.TRAIN,),
        polarity=polarity_of_class(class_name),
    )

"""Comparison of the source files now with those of earlier runs: missing files are noted, others rejected."""

import stat
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.errors import counted, some
from pipeline.file_status import FileStatus
from pipeline.pictures import holds_picture, num_bytes_of
from pipeline.types import ClipRef, Status

_MISSING = -1


@dataclass(frozen=True, kw_only=True)
class SourceChanges:
    """Differences between the source files now and those that the features were made from.

    notes: for the user; the run continues. difference: why the cache is of other files, in words; empty if
    it is not.
    """

    notes: tuple[str, ...] = ()
    difference: str = ""


def size_of(files: FileStatus, clip: ClipRef, *, with_crops: bool) -> int:
    """Return the bytes of a clip's file, or of all pictures of its directory. No file is opened.

    Args:
        files: Files of the dataset.
        clip: The clip.
        with_crops: Count its ready face crops too, as is done if they are the face stream.

    Returns:
        -1 for a missing file, and for a directory without a picture.
    """
    frames = _size_at(files, clip.path)
    if frames == _MISSING or not with_crops or clip.face_path in (None, clip.path):
        return frames
    return frames + max(0, _size_at(files, str(clip.face_path), folders_only=True))


def is_missing(files: FileStatus, clip: ClipRef) -> bool:
    """Return whether a clip has no file, or a directory without a picture. No file is opened.

    A file that exists and cannot be read is not missing, because it fails with its own reason.

    Args:
        files: Files of the dataset.
        clip: The clip.
    """
    try:
        found = files.of(clip.path)
        return found is None or (stat.S_ISDIR(found.st_mode) and not holds_picture(files.root / clip.path))
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False


def _size_at(files: FileStatus, path: str, *, folders_only: bool = False) -> int:
    try:
        found = files.of(path)
        if found is None:
            return _MISSING
        if stat.S_ISDIR(found.st_mode):
            return num_bytes_of(files.root / path) or _MISSING
    except OSError:
        return _MISSING
    return _MISSING if folders_only else found.st_size


def compare_sources(
    clip_ids: Sequence[str],
    bytes_here: npt.NDArray[np.int64],
    bytes_there: npt.NDArray[np.int64],
    status: npt.NDArray[np.uint8],
) -> SourceChanges:
    """Compare the sizes of clips' files now with those when they were decoded.

    A file of another size is another clip, which is a difference. If a file is missing, its features are
    kept, or the clip is recorded as failed. Other clips are still extracted. `cache verify` finds changed
    content of the same size by its hash.

    Args:
        clip_ids: Ids of the clips.
        bytes_here: Sizes now in bytes, [N], -1 for no file.
        bytes_there: Sizes when they were decoded, [N], -1 for clips without features.
        status: Their status in the cache, [N].
    """
    done = (status == Status.DONE) | (status == Status.DONE_WITHOUT_FACE)
    gone, other = bytes_here == _MISSING, done & (bytes_here != bytes_there)
    lost = np.flatnonzero(gone & done).tolist()
    names = some([clip_ids[row] for row in lost])
    clips = counted(len(lost), "clip with features has", "clips with features have")
    note = f"{clips} no file any more ({names}); the features stay, unchecked"
    notes = (note,) if lost else ()
    changed = np.flatnonzero(other & ~gone)
    if not len(changed):
        return SourceChanges(notes=notes)
    row = int(changed[0])
    difference = (
        f"the files of {counted(len(changed), 'clip')} have another size than at extraction, first "
        f"'{clip_ids[row]}': {int(bytes_here[row])} bytes here, {int(bytes_there[row])} there"
    )
    return SourceChanges(notes=notes, difference=difference)

"""Files that vanish, appear or change between the runs that fill a cache: what is told, what is refused."""

import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.errors import some
from pipeline.pictures import holds_picture, num_bytes_of
from pipeline.types import ClipRef, Status

_MISSING = -1


@dataclass(frozen=True, kw_only=True)
class SourceChanges:
    """How the source files differ from those that the features were made of.

    notes: what a run should say and go on. difference: why the cache is not one of these files, in
    words; empty where it is.
    """

    notes: tuple[str, ...] = ()
    difference: str = ""


def size_of(root: Path, clip: ClipRef, *, with_crops: bool) -> int:
    """Bytes of what a clip is read from: its file, or its folder's pictures together; -1 where it is gone.

    with_crops: its ready face crops count too, as they do where they are the face stream. No file is
    opened. A folder without a picture is as good as gone.
    """
    frames = _size_at(root / clip.path)
    if frames == _MISSING or not with_crops or clip.face_path in (None, clip.path):
        return frames
    return frames + max(0, _size_at(root / str(clip.face_path), folders_only=True))


def is_missing(root: Path, clip: ClipRef) -> bool:
    """Return whether a clip has no file, or a folder without a picture; no file is opened.

    What is there and cannot be read is not missing: it fails with its own reason.
    """
    path = root / clip.path
    try:
        return stat.S_ISDIR(path.stat().st_mode) and not holds_picture(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False


def _size_at(path: Path, *, folders_only: bool = False) -> int:
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            return num_bytes_of(path) or _MISSING
    except OSError:
        return _MISSING
    return _MISSING if folders_only else found.st_size


def compare_sources(
    clip_ids: Sequence[str],
    bytes_here: npt.NDArray[np.int64],
    bytes_there: npt.NDArray[np.int64],
    status: npt.NDArray[np.uint8],
) -> SourceChanges:
    """What follows from the sizes of the clips' files now (`here`) and when they were decoded (`there`).

    Sizes are in bytes, -1 for no file; only clips with features have one `there`. Their file with
    another size is another clip: a difference. A file that vanished leaves its features as they are,
    or becomes a recorded failure when its turn comes; neither keeps other clips from being done. A
    changed content of the same size is found by its hash, when features are verified.
    """
    done = (status == Status.DONE) | (status == Status.DONE_WITHOUT_FACE)
    gone, other = bytes_here == _MISSING, done & (bytes_here != bytes_there)
    lost = np.flatnonzero(gone & done).tolist()
    names = some([clip_ids[row] for row in lost])
    note = f"{len(lost)} clips with features have no file any more ({names}); the features stay, unchecked"
    notes = (note,) if lost else ()
    changed = np.flatnonzero(other & ~gone)
    if not len(changed):
        return SourceChanges(notes=notes)
    row = int(changed[0])
    difference = (
        f"the file of {len(changed)} clips is another than its features come from, first "
        f"'{clip_ids[row]}': {int(bytes_here[row])} bytes here, {int(bytes_there[row])} there"
    )
    return SourceChanges(notes=notes, difference=difference)

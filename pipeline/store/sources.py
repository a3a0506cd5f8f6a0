"""Files that vanish, appear or change between the runs that fill a cache: what is told, what is refused."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.types import Status

_MISSING = -1
_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class SourceChanges:
    """How the source files differ from those of the cache's creation.

    notes: what a run should say and go on. difference: why the cache is not one of these files, in
    words; empty where it is.
    """

    notes: tuple[str, ...] = ()
    difference: str = ""


def compare_sources(
    clip_ids: Sequence[str],
    bytes_here: npt.NDArray[np.int64],
    bytes_there: npt.NDArray[np.int64],
    status: npt.NDArray[np.uint8],
) -> SourceChanges:
    """What follows from the sizes of the clips' files now (`here`) and when the cache was made (`there`).

    Sizes are in bytes, -1 for no file. A file of another size is another clip: a difference. A file
    that vanished leaves its features as they are, or becomes a recorded failure when its turn comes;
    neither keeps other clips from being done. A changed content of the same size is found by its
    hash, when features are verified or the clip is taken up again.
    """
    gone = (bytes_here == _MISSING) & (bytes_there != _MISSING)
    come = (bytes_here != _MISSING) & (bytes_there == _MISSING)
    other = (bytes_here != bytes_there) & ~gone & ~come
    done = (status == Status.DONE) | (status == Status.DONE_WITHOUT_FACE)
    kinds = (
        (gone & done, "with features have no file any more", "the features stay, unchecked"),
        (gone & (status == Status.PENDING), "to do have no file any more", "they will be recorded as failed"),
        (gone & (status == Status.FAILED), "that failed have no file any more", "they will fail again"),
        (
            come & (status == Status.FAILED),
            "that failed had no file when the cache was made, and have one now",
            "--retry-failed takes them up",
        ),
    )
    notes = tuple(
        f"{int(rows.sum())} clips {what} ({_first(clip_ids, rows)}); {so}"
        for rows, what, so in kinds
        if rows.any()
    )
    if not other.any():
        return SourceChanges(notes=notes)
    row = int(np.flatnonzero(other)[0])
    difference = (
        f"source_bytes of {int(other.sum())} clips, first '{clip_ids[row]}': {int(bytes_here[row])} here, "
        f"{int(bytes_there[row])} there"
    )
    return SourceChanges(notes=notes, difference=difference)


def _first(clip_ids: Sequence[str], rows: npt.NDArray[np.bool_]) -> str:
    named = [clip_ids[row] for row in np.flatnonzero(rows)[:_NAMED]]
    return ", ".join(named) + (", ..." if int(rows.sum()) > _NAMED else "")

"""The tiny cache as `track.method=motion` makes it: with absences and margins of the subject's track."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pipeline.store.meta import CacheMeta
from pipeline.store.writer import CacheWriter
from pipeline.types import Absence
from tests.tiny_cache import tiny_cache, tiny_meta

FOUND, MISSED = Absence.NONE, Absence.NOT_DETECTED
AWAY, ELSEWHERE = Absence.OUT_OF_VIEW, Absence.OTHER_SHOT


def people_meta(**changes: object) -> CacheMeta:
    """The attributes of the tiny cache, whose subject was chosen among everyone."""
    meta = tiny_meta(**changes)
    return tiny_meta(**changes, identity={**meta.identity, "track": {"version": 1, "method": "motion"}})


def people_cache(
    path: Path,
    meta: CacheMeta | None = None,
    static: Mapping[str, np.ndarray] | None = None,
    /,
    **changed: np.ndarray,
) -> Path:
    """Write the cache at `path`.

    static: as for `tiny_cache`. changed: whole per-block arrays of the schema, such as ``face_absence``.
    """
    tiny_cache(path, meta or people_meta(), **(static or {}))
    rewrite(path, **changed)
    return path


def rewrite(path: Path, **changed: np.ndarray) -> None:
    """Replace whole per-block arrays of a cache. A name has _ for the schema's slash."""
    writer = CacheWriter.resume(path)
    for start in range(0, writer.meta.num_clips, writer.meta.block_clips):
        rows = writer.read_block(start)
        for name, values in changed.items():
            stored = name if name in rows else name.replace("_", "/", 1)
            rows[stored][:] = values[start : start + writer.meta.block_clips]
        writer.write_block(start, rows)


def some_absent(num_clips: int = 48, num_views: int = 2) -> np.ndarray:
    """Return absences of four frames: gaps at the start and in the middle, one clip never in view."""
    absence = np.zeros((num_clips, num_views, 4), np.uint8)
    absence[0::3] = [AWAY, MISSED, ELSEWHERE, FOUND]
    absence[1::3] = [FOUND, AWAY, FOUND, MISSED]
    absence[7] = AWAY
    return absence

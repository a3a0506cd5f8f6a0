"""The cache through the project's reader, in the project's environment."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.stores.access import ARRAYS, Reader, run
from pipeline.store.raw_chunks import Scratch
from pipeline.store.reader import FeatureCache


class ProjectReader:
    """Cache, read into memory that is used again, as the trainer does."""

    def __init__(self, where: str) -> None:
        self._cache = FeatureCache.open(where)
        self._scratch = [Scratch() for _ in ARRAYS]

    def rows(self, start: int, stop: int) -> Sequence[Any]:
        """See `Reader`."""
        return [
            self._cache.read(name, start, stop, scratch=scratch)
            for name, scratch in zip(ARRAYS, self._scratch, strict=True)
        ]

    def batch(self, rows: Any) -> Sequence[Any]:
        """See `Reader`. The reader has no function for scattered rows, so they are read one by one."""
        parts = [self._cache_rows(row) for row in rows.tolist()]
        return [np.concatenate(part) for part in zip(*parts, strict=True)]

    def _cache_rows(self, row: int) -> Sequence[Any]:
        return [self._cache.read(name, row, row + 1) for name in ARRAYS]


def make(where: str) -> Callable[[], Reader]:
    """Return the function that opens the cache."""
    return lambda: ProjectReader(where)


def files(where: str) -> Sequence[Path]:
    """Return the files of the arrays that are read, and of the metadata."""
    root = Path(where)
    return [path for name in ARRAYS for path in (root / name).rglob("*") if path.is_file()]


if __name__ == "__main__":
    run(make, files)

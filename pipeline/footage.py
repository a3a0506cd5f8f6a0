"""Clips that share footage: the same file under any name, or overlapping windows of one file.

A training clip must share no footage with a test clip, because the test would measure memory.
"""

import math
import os
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np

from pipeline.errors import CacheError, counted, some
from pipeline.file_status import FileStatus
from pipeline.types import ClipRef, DatasetIndex, Split

if TYPE_CHECKING:
    from pipeline.store.reader import FeatureCache  # checks before extraction do without Zarr

OFFICIAL_SPLITS = ("dfew", "ferv39k", "mafw")
"""Datasets with splits that their authors publish. Shared footage is reported there, never rejected."""

FileKey: TypeAlias = tuple[str | int, ...]
"""Key that identifies a file: first the kind of key, such as ``("sha256", "9f86...")``."""


_Value = TypeVar("_Value", bound=Hashable)


@dataclass(frozen=True, kw_only=True, slots=True)
class Footage:
    """Part of a file that one clip shows.

    Attributes:
        clip_id: Id of the clip.
        files: Keys of the file, such as its path, inode or hash. Two clips are of one file if any key is
            equal.
        start_seconds: Start of the clip, included.
        end_seconds: End of the clip, excluded; infinite for the end of the file.
    """

    clip_id: str
    files: tuple[FileKey, ...]
    start_seconds: float = 0.0
    end_seconds: float = math.inf

    @classmethod
    def of(cls, clip: ClipRef, *files: FileKey) -> "Footage":
        """Return the footage of a clip, given keys of its file."""
        return cls(
            clip_id=clip.clip_id,
            files=files,
            start_seconds=clip.start_seconds or 0.0,
            end_seconds=math.inf if clip.end_seconds is None else clip.end_seconds,
        )

    def key(self, kind: str) -> str:
        """Return the key of a kind, such as the file's ``path`` or ``sha256``; empty if it is unknown."""
        return next((str(file[1]) for file in self.files if file[0] == kind), "")

    @property
    def is_whole_file(self) -> bool:
        """Whether the clip is its whole file."""
        return self.start_seconds == 0.0 and self.end_seconds == math.inf


@dataclass(frozen=True, kw_only=True)
class SharedFootage:
    """A test or validation clip, and a clip with the same footage in an earlier split (`seen_split`)."""

    clip_id: str
    split: Split
    seen_id: str
    seen_split: Split

    def __str__(self) -> str:
        measured, seen = self.split.name.lower(), self.seen_split.name.lower()
        return f"'{self.clip_id}' ({measured}) with '{self.seen_id}' ({seen})"


Leaks: TypeAlias = Mapping[str, Sequence[SharedFootage]]
"""By fold, clips that share footage across its splits."""


class FootageIndex:
    """Index of parts of files, which finds a part that overlaps another one."""

    def __init__(self, parts: Iterable[Footage]) -> None:
        """Sort the parts of every file by their starts."""
        by_file: dict[FileKey, list[Footage]] = defaultdict(list)
        for part in parts:
            for file in part.files:
                by_file[file].append(part)
        self._timelines = {file: _timeline(parts) for file, parts in by_file.items()}

    def overlapping(self, part: Footage) -> Footage | None:
        """Return a part of the same file that overlaps `part`, or None.

        Windows that only touch (one ends where the other starts) do not overlap.
        """
        for file in part.files:
            starts, last_to_end = self._timelines.get(file, ((), ()))
            earlier = bisect_left(starts, part.end_seconds)
            if earlier and last_to_end[earlier - 1].end_seconds > part.start_seconds:
                return last_to_end[earlier - 1]
        return None


def _timeline(parts: list[Footage]) -> tuple[Sequence[float], Sequence[Footage]]:
    """Return the starts in order, and for each the part that ends last among the parts up to there."""
    parts.sort(key=lambda part: part.start_seconds)
    return [part.start_seconds for part in parts], list(accumulate(parts, _later_end))


def _later_end(one: Footage, other: Footage) -> Footage:
    return one if one.end_seconds >= other.end_seconds else other


def shared_footage(parts: Mapping[int, Sequence[Footage]]) -> Iterator[SharedFootage]:
    """Find test clips that share footage with training or validation, and validation clips with training.

    A clip is never compared with itself.

    Args:
        parts: Footage of the clips of one fold, by `Split`.
    """
    seen = {split: FootageIndex(parts.get(split, ())) for split in (Split.TRAIN, Split.VALIDATION)}
    for split, earlier in (
        (Split.VALIDATION, (Split.TRAIN,)),
        (Split.TEST, (Split.TRAIN, Split.VALIDATION)),
    ):
        for part in parts.get(split, ()):
            for seen_split in earlier:
                other = seen[seen_split].overlapping(part)
                if other is not None and other.clip_id != part.clip_id:
                    yield SharedFootage(
                        clip_id=part.clip_id, split=split, seen_id=other.clip_id, seen_split=seen_split
                    )
                    break


def listed_footage(root: Path, clips: Iterable[ClipRef]) -> list[Footage]:
    """Return the footage of clips on disk, with path and inode as keys. No file is opened.

    Hard and symbolic links have the inode of their target. A missing file has its path as its only key.

    Args:
        root: Directory that the paths of clips start from.
        clips: The clips.
    """
    files = FileStatus(root)
    return [Footage.of(clip, _by_path(clip.path), *_by_inode(files, clip.path)) for clip in clips]


def cached_footage(cache: "FeatureCache") -> list[Footage]:
    """Return the footage of every clip of a cache, by row, with path and, once decoded, hash as keys.

    Raises:
        CacheError: A time is NaN or infinite.
    """
    return CachedFiles.of(cache).footage()


@dataclass(frozen=True, kw_only=True)
class CachedFiles:
    """Files of the clips of a cache and their windows, by row."""

    clip_ids: Sequence[str]
    """Ids of the clips."""
    paths: Sequence[str]
    """Paths of their files, normalised."""
    hashes: Sequence[str]
    """Hashes of their files; empty before they are decoded."""
    start_seconds: Sequence[float]
    """Starts of the clips in their files."""
    end_seconds: Sequence[float]
    """Ends of the clips in their files; negative for the end of the file."""

    @classmethod
    def of(cls, cache: "FeatureCache") -> "CachedFiles":
        """Read the files of a cache. Raises CacheError if a time is NaN or infinite."""
        start_N, end_N = cache.read("start_seconds"), cache.read("end_seconds")
        odd_N = ~(np.isfinite(start_N) & np.isfinite(end_N))
        if odd_N.any():
            ids = [f"'{clip_id}'" for clip_id in cache.read("clip_id")[odd_N].tolist()]
            msg = (
                f"'{cache.place}': start_seconds or end_seconds of {counted(len(ids), 'clip')} is NaN or "
                f"infinite: {some(ids)}. The clip table is damaged; extract the cache again."
            )
            raise CacheError(msg)
        return cls(
            clip_ids=cache.read("clip_id").tolist(),
            paths=list(map(os.path.normpath, cache.read("path").tolist())),
            hashes=cache.read("source_sha256").tolist(),
            start_seconds=start_N.tolist(),
            end_seconds=end_N.tolist(),
        )

    def sharing(self, rows: Iterable[int]) -> list[int]:
        """Return those of some rows whose path or hash another of them has too, in their order."""
        rows = list(rows)
        paths = _find_duplicates([self.paths[row] for row in rows])
        hashes = _find_duplicates([self.hashes[row] for row in rows]) - {""}
        if not paths and not hashes:
            return []
        return [row for row in rows if self.paths[row] in paths or self.hashes[row] in hashes]

    def footage(self, rows: Iterable[int] | None = None) -> list[Footage]:
        """Return the footage of some rows, in their order; None for all."""
        return [
            Footage(
                clip_id=self.clip_ids[row],
                files=(("path", self.paths[row]), *([by_hash(self.hashes[row])] if self.hashes[row] else [])),
                start_seconds=self.start_seconds[row],
                end_seconds=math.inf if self.end_seconds[row] < 0 else self.end_seconds[row],
            )
            for row in (range(len(self.clip_ids)) if rows is None else rows)
        ]


def by_hash(sha256: str) -> FileKey:
    """Return the key of a file with this hash."""
    return "sha256", sha256


def _by_path(path: str) -> FileKey:
    return "path", os.path.normpath(path)


def _by_inode(files: FileStatus, path: str) -> tuple[FileKey, ...]:
    inode = _inode(files, path)
    return () if inode is None else (("inode", *inode),)


def _inode(files: FileStatus, path: str) -> tuple[int, int] | None:
    """Return device and inode of a file; None if it is missing."""
    try:
        found = files.of(path)
    except (OSError, ValueError):
        return None
    return None if found is None else (found.st_dev, found.st_ino)


def _find_duplicates(values: Sequence[_Value]) -> set[_Value]:
    """Return the values that occur more than once."""
    once = set(values)
    if len(once) == len(values):
        return set()
    return {value for value, number in Counter(values).items() if number > 1}


def beyond(leaks: Leaks, known: Leaks) -> Leaks:
    """Return the leaks of clips that are not among `known` in the same fold."""
    ids = {fold: {one.clip_id for one in shared} for fold, shared in known.items()}
    new = {
        fold: [one for one in shared if one.clip_id not in ids.get(fold, ())]
        for fold, shared in leaks.items()
    }
    return {fold: shared for fold, shared in new.items() if shared}


def leak_warnings(leaks: Leaks) -> list[str]:
    """Return a line for each fold in which clips of different splits share footage."""
    return [
        f"LEAK in fold {fold}: {counted(len(shared), 'clip')} with footage that another split has too: "
        f"{some([str(one) for one in shared])}; `data check` lists all"
        for fold, shared in leaks.items()
    ]


def leaks_of_index(index: DatasetIndex) -> Leaks:
    """Find, by fold, labelled clips of a dataset that share footage across splits, by path and inode."""
    clips = [clip for clip in index.clips if clip.label >= 0]
    if not any({Split.TEST, Split.VALIDATION} & set(splits) for splits in {clip.splits for clip in clips}):
        return {}
    files = FileStatus(index.root)
    paths = [os.path.normpath(clip.path) for clip in clips]
    inodes = [_inode(files, clip.path) for clip in clips]
    same_path, same_inode = _find_duplicates(paths), _find_duplicates(inodes) - {None}
    sharing = [
        clip
        for clip, path, inode in zip(clips, paths, inodes, strict=True)
        if path in same_path or inode in same_inode
    ]
    footage = listed_footage(index.root, sharing)
    return _by_fold(footage, [clip.splits for clip in sharing], index.fold_names)


def leaks_of_cache(cache: "FeatureCache") -> Leaks:
    """Find, by fold, labelled clips of a cache that share footage across splits, by path and hash."""
    files = CachedFiles.of(cache)
    rows = files.sharing(np.flatnonzero(cache.read("label") >= 0).tolist())
    membership = cache.read("membership")[rows].tolist()
    return _by_fold(files.footage(rows), membership, cache.meta.fold_names)


def _by_fold(footage: Sequence[Footage], splits: Sequence[Sequence[int]], fold_names: Sequence[str]) -> Leaks:
    found = {}
    for column, fold in enumerate(fold_names):
        parts: dict[int, list[Footage]] = defaultdict(list)  # in a damaged cache, a value may be no split
        for part, of_folds in zip(footage, splits, strict=True):
            parts[of_folds[column]].append(part)
        if shared := list(shared_footage(parts)):
            found[fold] = shared
    return found

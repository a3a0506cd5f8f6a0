"""Clips of one file: under one path, under several, or as copies. Only files of equal sizes are hashed."""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from pipeline.doctor.finding import Finding
from pipeline.doctor.inputs import Inputs, quoted
from pipeline.doctor.scan import OnDisk, side_by_side
from pipeline.errors import FileError, counted
from pipeline.fingerprint import sha256_file
from pipeline.footage import Footage, SharedFootage, shared_footage
from pipeline.types import ClipRef, Split

_SAMPLED = 3


def clips_by_file(inputs: Inputs, on_disk: Mapping[str, OnDisk]) -> dict[str, list[str]]:
    """Return the ids of the clips of every existing file or directory, by one of its paths.

    Links, hard or symbolic, count as their target.
    """
    by_inode: dict[tuple[int, int], list[str]] = defaultdict(list)
    for clip_id in inputs.clips:
        if (inode := on_disk[clip_id].inode) is not None:
            by_inode[inode].append(clip_id)
    return {inputs.clips[ids[0]].path: ids for ids in by_inode.values()}


def suspects(inputs: Inputs, on_disk: Mapping[str, OnDisk], files: Mapping[str, list[str]]) -> list[str]:
    """Find files that may be copies of each other, because their sizes are equal.

    Directories are compared by the number of their images and the sizes of three of them.

    Args:
        inputs: Inputs of the checks.
        on_disk: Result of `scan_files`.
        files: Result of `clips_by_file`.

    Returns:
        Paths of these files.
    """
    alike: dict[tuple[int, ...], list[str]] = defaultdict(list)
    sizes = side_by_side(lambda path: _size(inputs.root / path, on_disk[files[path][0]]), files)
    for path, size in sizes:
        if size is not None:
            alike[size].append(path)
    return [path for paths in alike.values() if len(paths) > 1 for path in paths]


def check_content(
    inputs: Inputs,
    on_disk: Mapping[str, OnDisk],
    files: Mapping[str, list[str]],
    candidates: Sequence[str],
    on_clip: Callable[[], None],
) -> Iterator[Finding]:
    """Hash possible copies, and report files that several clips show.

    Across the splits of a fold, overlapping windows are a leak, and other windows of one file a note. Within
    a split, equal windows are duplicates, unless their face boxes differ.

    Args:
        inputs: Inputs of the checks.
        on_disk: Result of `scan_files`.
        files: Result of `clips_by_file`.
        candidates: Result of `suspects`.
        on_clip: Called after each candidate.
    """
    by_digest: dict[str, list[str]] = defaultdict(list)
    for path, digest in side_by_side(
        lambda path: _digest(inputs.root / path, on_disk[files[path][0]]), candidates
    ):
        if digest is not None:
            by_digest[digest].append(path)
        on_clip()
    copies = [paths for paths in by_digest.values() if len(paths) > 1]
    alone = files.keys() - {path for paths in copies for path in paths}
    sets = [
        sorted(clip_id for path in paths for clip_id in files[path])
        for paths in (*copies, *([path] for path in alone))
    ]
    leaks: list[str] = []
    same: list[str] = []
    twice: list[str] = []
    for ids in sorted(ids for ids in sets if len(ids) > 1):
        used = [clip_id for clip_id in ids if inputs.published or inputs.clips[clip_id].label >= 0]
        found, apart = _across_splits(inputs, used)
        leaks += _leaks(inputs, used, found)
        same += [f"{quoted(inputs.clips[ids[0]].path)}: {many} (fold {fold})" for fold, many in apart.items()]
        twice += [] if found else _duplicates([inputs.clips[clip_id] for clip_id in ids])
    for kind, what, cases in (
        ("leak-content", "with the same footage in two splits of a fold", leaks),
        ("same-recording", "with windows of one file, none overlapping, in two splits of a fold", same),
        ("duplicate", "with the same content", twice),
    ):
        if cases:
            number = counted(len(cases), "set of clips", "sets of clips")
            yield Finding(kind=kind, what=f"{number} {what}", cases=tuple(sorted(cases)))


def _across_splits(
    inputs: Inputs, ids: Sequence[str]
) -> tuple[dict[str, list[SharedFootage]], dict[str, str]]:
    """Return the footage of one file that splits of a fold share, else its numbers of windows per split.

    Both are by fold.
    """
    overlaps: dict[str, list[SharedFootage]] = {}
    apart: dict[str, str] = {}
    for fold in inputs.fold_names:
        parts: dict[int, list[Footage]] = defaultdict(list)
        for clip_id in ids:
            for split in inputs.splits_of.get(clip_id, {}).get(fold, ()):
                parts[split].append(Footage.of(inputs.clips[clip_id], ("file", 0)))
        if shared := list(shared_footage(parts)):
            overlaps[fold] = shared
        elif len(parts) > 1 and not any(
            part.is_whole_file for of_split in parts.values() for part in of_split
        ):
            counts = sorted((split, len(of_split)) for split, of_split in parts.items())
            apart[fold] = ", ".join(f"{many} {Split(split).name.lower()}" for split, many in counts)
    return overlaps, apart


def _leaks(inputs: Inputs, ids: Sequence[str], overlaps: Mapping[str, list[SharedFootage]]) -> Iterator[str]:
    """Yield one case for all clips of a file if each is the whole file, else one per overlapping pair."""
    if overlaps and all(Footage.of(inputs.clips[clip_id]).is_whole_file for clip_id in ids):
        yield f"{' = '.join(map(quoted, ids))} (fold {', '.join(overlaps)})"
        return
    folds: dict[SharedFootage, list[str]] = defaultdict(list)
    for fold, shared in overlaps.items():
        for one in shared:
            folds[one].append(fold)
    for one, names in folds.items():
        yield f"{one} (fold {', '.join(names)})"


def _duplicates(clips: Sequence[ClipRef]) -> Iterator[str]:
    """Yield a case for clips of one window with several paths, or with one path and the same subject.

    The subject is the same if the face boxes and the named subject are.
    """
    by_window: dict[tuple[float, float | None], list[ClipRef]] = defaultdict(list)
    for clip in clips:
        by_window[clip.start_seconds or 0.0, clip.end_seconds].append(clip)
    for alike in by_window.values():
        paths = {os.path.normpath(clip.path) for clip in alike}
        subjects = Counter(clip.given_sha256 for clip in alike)
        if len(alike) > 1 and (len(paths) > 1 or max(subjects.values()) > 1):
            yield " = ".join(quoted(clip.clip_id) for clip in alike)


def _size(path: Path, found: OnDisk) -> tuple[int, ...] | None:
    """Return the sizes that equal files or directories have in common; None for an empty one."""
    if found.form == "file":
        return (found.num_bytes,) if found.num_bytes else None
    if found.form != "folder" or not found.pictures:
        return None
    last = len(found.pictures) - 1
    places = sorted({round(part * last / (_SAMPLED - 1)) for part in range(_SAMPLED)})
    try:
        sizes = tuple((path / found.pictures[place]).stat().st_size for place in places)
    except OSError:
        return None
    return (-len(found.pictures), *sizes)


def _digest(path: Path, found: OnDisk) -> str | None:
    """Return a hash of a file, or of a directory's images in order; None if one cannot be read."""
    files = [path] if found.form == "file" else [path / name for name in found.pictures]
    try:
        digests = [sha256_file(file) for file in files]
    except FileError:
        return None
    return digests[0] if found.form == "file" else hashlib.sha256("".join(digests).encode()).hexdigest()

"""Clips with the same content: hashed only where sizes are equal."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pipeline.doctor.kinds import Finding
from pipeline.doctor.material import Material, quoted
from pipeline.doctor.survey import Lying, side_by_side
from pipeline.errors import counted
from pipeline.fingerprint import sha256_file
from pipeline.types import Split

_SAMPLED = 3


def suspects(material: Material, lying: Mapping[str, Lying]) -> dict[str, list[str]]:
    """By path, the ids of clips that may have another's content: those of equal sizes.

    Folders count as equal when the number of their pictures and the sizes of three of them are.
    Clips of one path are parts of one file, and none of them a duplicate.
    """
    ids_of: dict[str, list[str]] = defaultdict(list)
    for clip_id, clip in material.clips.items():
        ids_of[clip.path].append(clip_id)
    alike: dict[tuple[int, ...], list[str]] = defaultdict(list)
    sizes = side_by_side(lambda path: _size(material.root / path, lying[ids_of[path][0]]), ids_of)
    for path, size in sizes:
        if size is not None:
            alike[size].append(path)
    return {path: ids_of[path] for paths in alike.values() if len(paths) > 1 for path in paths}


def same_content(
    material: Material,
    lying: Mapping[str, Lying],
    candidates: Mapping[str, list[str]],
    on_clip: Callable[[], None],
) -> Iterator[Finding]:
    """Hash the candidates of `suspects`, and tell which have the same content."""
    by_digest: dict[str, list[str]] = defaultdict(list)
    hashed = side_by_side(lambda path: _digest(material.root / path, lying[candidates[path][0]]), candidates)
    for path, digest in hashed:
        if digest is not None:
            by_digest[digest].append(path)
        on_clip()
    harmless, leaks = [], []
    for paths in by_digest.values():
        if len(paths) < 2:
            continue
        ids = sorted(clip_id for path in paths for clip_id in candidates[path])
        named = " = ".join(map(quoted, ids))
        folds = _leaking_folds(material, ids)
        if folds:
            leaks.append(f"{named} (fold {', '.join(folds)})")
        else:
            harmless.append(named)
    for kind, what, cases in (
        ("leak-content", "with the same content in training and test", leaks),
        ("duplicate", "with the same content", harmless),
    ):
        if cases:
            sets = counted(len(cases), "set of clips", "sets of clips")
            yield Finding(kind=kind, what=f"{sets} {what}", cases=tuple(sorted(cases)))


def _leaking_folds(material: Material, ids: list[str]) -> list[str]:
    """Folds in whose training one of the clips is, and another in their test."""
    leaking = []
    for fold in material.fold_names:
        splits = [material.splits_of.get(clip_id, {}).get(fold, frozenset()) for clip_id in ids]
        trained = {clip for clip, there in zip(ids, splits, strict=True) if Split.TRAIN in there}
        tested = {clip for clip, there in zip(ids, splits, strict=True) if Split.TEST in there}
        if trained and tested and len(trained | tested) > 1:
            leaking.append(fold)
    return leaking


def _size(path: Path, found: Lying) -> tuple[int, ...] | None:
    """What clips of one content have in common; None for what holds nothing."""
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


def _digest(path: Path, found: Lying) -> str | None:
    """A hash of a file, or of a folder's pictures in their order; None where one cannot be read."""
    files = [path] if found.form == "file" else [path / name for name in found.pictures]
    try:
        digests = [sha256_file(file) for file in files]
    except OSError:
        return None
    return digests[0] if found.form == "file" else hashlib.sha256("".join(digests).encode()).hexdigest()

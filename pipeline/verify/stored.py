"""What a cache stores, checked without any model: its attributes, its table of clips, each block."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import CacheError, some
from pipeline.store.reader import FeatureCache
from pipeline.types import Split
from pipeline.verify.block import check_block
from pipeline.verify.report import Finding


def verify_stored(cache: FeatureCache, on_block: Callable[[], None] | None = None) -> list[Finding]:
    """Check counts, ranges, NaN, frames, boxes, membership and duplicates of a cache, block by block."""
    findings = list(_check_fingerprint(cache))
    try:
        findings += _check_clips(cache)
    except CacheError as error:
        findings.append(Finding(where="chunks", what=str(error)))
    for start in range(0, cache.meta.num_clips, cache.meta.block_clips):
        findings += check_block(cache, start)
        if on_block is not None:
            on_block()
    return findings


def _check_fingerprint(cache: FeatureCache) -> Iterator[Finding]:
    meta = cache.meta
    if not meta.is_identified:
        yield Finding(where="attributes", what="'fingerprint' is not the hash of 'identity'")


def _check_clips(cache: FeatureCache) -> Iterator[Finding]:
    ids = cache.read("clip_id").tolist()
    if len(set(ids)) < len(ids):
        twice = next(one for one, other in pairwise(sorted(ids)) if one == other)
        yield Finding(where="clip_id", what=f"'{twice}' stands there twice")
    label = cache.read("label")
    if (label >= len(cache.meta.class_names)).any():
        first = int(np.argmax(label >= len(cache.meta.class_names)))
        classes = len(cache.meta.class_names)
        yield Finding(
            where="label", what=f"clip '{ids[first]}' has label {label[first]} of {classes} classes"
        )
    membership = cache.read("membership")
    for fold, name in enumerate(cache.meta.fold_names):
        if (membership[:, fold] == Split.ABSENT).all():
            yield Finding(where="membership", what=f"no clip is in fold {name}")
    yield from _check_duplicates(cache, ids, membership)


def _check_duplicates(cache: FeatureCache, ids: list[str], membership: npt.NDArray[Any]) -> Iterator[Finding]:
    """The same file content both in training and in test of a fold is a leak."""
    rows_of: dict[str, list[int]] = defaultdict(list)
    paths = cache.read("path")
    for row, digest in enumerate(cache.read("source_sha256").tolist()):
        if digest:
            rows_of[digest].append(row)
    for rows in rows_of.values():
        if len({paths[row] for row in rows}) < 2:  # noqa: PLR2004 - parts of one file are not duplicates
            continue
        for fold, name in enumerate(cache.meta.fold_names):
            splits = {int(membership[row, fold]) for row in rows}
            if {int(Split.TRAIN), int(Split.TEST)} <= splits:
                named = some([f"'{ids[row]}'" for row in rows])
                what = f"clips {named} are one file's content, in training and in test of fold {name}"
                yield Finding(where="source_sha256", what=what)

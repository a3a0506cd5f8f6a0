"""Checks of stored values that need no model: attributes, clip table and each block."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise

import numpy as np

from pipeline.errors import CacheError, counted, some
from pipeline.footage import OFFICIAL_SPLITS, leak_warnings, leaks_of_cache
from pipeline.store.reader import FeatureCache
from pipeline.types import Split
from pipeline.verify.block import Table, check_block
from pipeline.verify.report import Finding


def verify_stored(cache: FeatureCache, on_block: Callable[[], None] | None = None) -> list[Finding]:
    """Check counts, ranges, NaN, frames, boxes, membership and shared footage of a cache, block by block."""
    findings = list(_check_fingerprint(cache))
    try:
        findings += _check_clips(cache)
    except CacheError as error:
        findings.append(Finding(where="chunks", what=str(error)))
    table = _readable_table(cache)
    for start in range(0, cache.meta.num_clips, cache.meta.block_clips):
        findings += check_block(cache, start, table)
        if on_block is not None:
            on_block()
    return findings


def _readable_table(cache: FeatureCache) -> Table:
    """Return the arrays of the clip table that can be read; every block reports the others."""
    table = {}
    for spec in cache.meta.arrays():
        if not spec.per_block:
            with suppress(CacheError):
                table[spec.name] = cache.read(spec.name)
    return table


def _check_fingerprint(cache: FeatureCache) -> Iterator[Finding]:
    meta = cache.meta
    if not meta.is_identified:
        yield Finding(where="attributes", what="'fingerprint' is not the hash of 'identity'")


def _check_clips(cache: FeatureCache) -> Iterator[Finding]:
    ids = cache.read("clip_id").tolist()
    if len(set(ids)) < len(ids):
        twice = next(one for one, other in pairwise(sorted(ids)) if one == other)
        yield Finding(where="clip_id", what=f"'{twice}' occurs twice")
    label = cache.read("label")
    if (label >= len(cache.meta.class_names)).any():
        first = int(np.argmax(label >= len(cache.meta.class_names)))
        classes = len(cache.meta.class_names)
        yield Finding(
            where="label", what=f"clip '{ids[first]}' has label {label[first]} of {classes} classes"
        )
    names = len(set(cache.read("group").tolist()) - {""})
    if names != cache.meta.num_groups:
        what = f"{names} names, but the attribute 'num_groups' is {cache.meta.num_groups}"
        yield Finding(where="group", what=what)
    membership = cache.read("membership")
    for fold, name in enumerate(cache.meta.fold_names):
        if (membership[:, fold] == Split.ABSENT).all() and (label >= 0).any():
            yield Finding(where="membership", what=f"no clip is in fold {name}")
    yield from _check_leaks(cache)


def official_leaks(cache: FeatureCache) -> list[str]:
    """Return a line per fold whose published splits share footage; empty for datasets without such splits.

    Raises CacheError where the clips cannot be read.
    """
    return leak_warnings(leaks_of_cache(cache)) if cache.meta.dataset in OFFICIAL_SPLITS else []


def _check_leaks(cache: FeatureCache) -> Iterator[Finding]:
    """Report footage that two splits of a fold share, unless the authors published these splits."""
    if cache.meta.dataset in OFFICIAL_SPLITS:
        return
    for fold, shared in leaks_of_cache(cache).items():
        what = f"{counted(len(shared), 'clip')} of fold {fold} with footage of another split"
        yield Finding(where="source_sha256", what=f"{what}: {some([str(one) for one in shared])}")

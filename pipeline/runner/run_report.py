"""State of a cache after a run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.footage import Leaks, leaks_of_cache
from pipeline.runner.progress import Speed
from pipeline.store.location import Location
from pipeline.store.people_counts import PeopleCounts, count_people
from pipeline.store.reader import FeatureCache
from pipeline.types import Status


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """Result of a run, and the state of the cache.

    Attributes:
        cache: Location of the cache.
        processed: Clips with a file that the run processed.
        counts: Number of clips by status, over the whole cache.
        failures: Id, stage and reason of every failed clip in the cache.
        face_found_share: Fraction of the valid frames of all finished clips on which the subject's face was
            detected; 0 if no clip is finished.
        warnings: Warnings that the cache contains.
        precision: Precision of encoder and detector; a detector without a network has none.
        num_missing: Clips without a file that the run recorded as failed.
        num_damaged: Clips that the run finished although some of their data did not decode.
        notes: Notes for the user about this run.
        leaks: Clips that share footage across splits, by fold.
        known_leaks: Leaks that the user has seen before.
        speed: Speed of the run; None if nothing was pending.
        num_reused: Clips of this run whose features come from an earlier cache; None without one.
        people: Numbers of clips with cuts, several people and doubtful tracks; None if the subject alone was
            followed.
    """

    cache: Location
    processed: int
    counts: dict[str, int]
    failures: tuple[tuple[str, str, str], ...]
    face_found_share: float
    warnings: tuple[str, ...]
    precision: Mapping[str, str]
    num_missing: int = 0
    num_damaged: int = 0
    notes: tuple[str, ...] = ()
    leaks: Leaks = field(default_factory=dict)
    known_leaks: Leaks = field(default_factory=dict)
    speed: Speed | None = None
    num_reused: int | None = None
    people: PeopleCounts | None = None

    @property
    def num_failed(self) -> int:
        """Failed clips in the cache."""
        return self.counts[Status.FAILED.name.lower()]


def report(
    place: Location,
    processed: int,
    *,
    num_missing: int = 0,
    num_damaged: int = 0,
    num_reused: int | None = None,
    notes: tuple[str, ...] = (),
    speed: Speed | None = None,
    known_leaks: Leaks | None = None,
) -> RunReport:
    """Report the state of a cache after a run.

    Args:
        place: Location of the cache.
        processed: Clips with a file that the run processed.
        num_missing: Clips without a file that the run recorded as failed.
        num_damaged: Clips that the run finished although some of their data did not decode.
        num_reused: Clips of the run whose features come from an earlier cache; None without one.
        notes: Notes for the user about this run.
        speed: Speed of the run; None if nothing was pending.
        known_leaks: Leaks that the user has seen before.
    """
    with FeatureCache.open(place) as cache:
        status = cache.read("status")
        failed, done = np.flatnonzero(status == Status.FAILED), cache.done_rows(status)
        columns = [_rows_of(cache, name, failed) for name in ("clip_id", "stage", "reason")]
        failures = tuple(zip(*(column.tolist() for column in columns), strict=True))
        valid, found = (_rows_of(cache, name, done) for name in ("frame_valid", "face_found"))
        return RunReport(
            cache=place,
            warnings=cache.meta.warnings,
            processed=processed,
            precision=_precision(cache),
            num_missing=num_missing,
            num_damaged=num_damaged,
            num_reused=num_reused,
            counts=cache.status_counts(status),
            failures=failures,
            face_found_share=float((found & valid).sum() / max(1, valid.sum())),
            people=count_people(cache, status),
            notes=notes,
            leaks=leaks_of_cache(cache),
            known_leaks=known_leaks or {},
            speed=speed,
        )


def _rows_of(cache: FeatureCache, name: str, rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """Return some rows, in order, of an array. No chunk before the first or after the last row is read."""
    first, end = (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, 0)
    return cache.read(name, first, end)[rows - first]


def _precision(cache: FeatureCache) -> dict[str, str]:
    """Return the precision of a cache's models, from its identity."""
    sections = {"encoder": "features", "detector": "detector"}
    if not cache.setting("identity.detector.sha256", str):
        del sections["detector"]
    return {model: cache.setting(f"identity.{section}.precision", str) for model, section in sections.items()}

"""How a cache stands after a run."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from pipeline.footage import Leaks, leaks_of_cache
from pipeline.runner.progress import Speed
from pipeline.store.location import Place
from pipeline.store.reader import FeatureCache
from pipeline.types import Status


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """What a run did, and how the cache stands: clips by status, over all clips.

    processed: clips with a file that the run took up. num_missing: clips without one that it recorded as
    failed. num_damaged: clips of the run that are done though part of their data did not decode.
    precision: of encoder and detector; a detector without a network has none.
    failures: id, stage and reason of every failed clip. face_found_share: of the valid frames of
    all done clips, those on which the subject's face was detected; 0 when no clip is done.
    notes: what a user should know of this run. leaks: by fold, clips that share footage across splits;
    known_leaks: those of them that the user has seen before. speed: None when nothing was to do.
    """

    cache: Place
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

    @property
    def num_failed(self) -> int:
        """Failed clips in the cache."""
        return self.counts[Status.FAILED.name.lower()]


def report(
    place: Place,
    processed: int,
    *,
    num_missing: int = 0,
    num_damaged: int = 0,
    notes: tuple[str, ...] = (),
    speed: Speed | None = None,
    known_leaks: Leaks | None = None,
) -> RunReport:
    """How the cache stands, with every failed clip's id, stage and reason."""
    with FeatureCache.open(place) as cache:
        failed = np.flatnonzero(cache.read("status") == Status.FAILED)
        columns = [cache.read(name)[failed] for name in ("clip_id", "stage", "reason")]
        failures = tuple(zip(*(column.tolist() for column in columns), strict=True))
        done = cache.done_rows()
        valid, found = (cache.read(name)[done] for name in ("frame_valid", "face_found"))
        return RunReport(
            cache=place,
            warnings=cache.meta.warnings,
            processed=processed,
            precision=_precision(cache),
            num_missing=num_missing,
            num_damaged=num_damaged,
            counts=cache.status_counts(),
            failures=failures,
            face_found_share=float((found & valid).sum() / max(1, valid.sum())),
            notes=notes,
            leaks=leaks_of_cache(cache),
            known_leaks=known_leaks or {},
            speed=speed,
        )


def _precision(cache: FeatureCache) -> dict[str, str]:
    """The precision of the models behind a cache, as its identity holds it."""
    sections = {"encoder": "features", "detector": "detector"}
    if not cache.setting("identity.detector.sha256", str):
        del sections["detector"]
    return {model: cache.setting(f"identity.{section}.precision", str) for model, section in sections.items()}

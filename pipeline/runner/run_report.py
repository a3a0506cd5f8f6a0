"""How a cache stands after a run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.errors import counted
from pipeline.footage import Leaks, beyond, leak_warnings, leaks_of_cache
from pipeline.program import command
from pipeline.runner.progress import Speed
from pipeline.store.place import Place
from pipeline.store.reader import FeatureCache
from pipeline.types import Status

_LISTED = 10


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

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return {
            "cache": str(self.cache),
            "processed": self.processed,
            "num_missing": self.num_missing,
            "num_damaged": self.num_damaged,
            "precision": dict(self.precision),
            "counts": self.counts,
            "face_found_share": self.face_found_share,
            "failures": [
                dict(zip(("clip_id", "stage", "reason"), row, strict=True)) for row in self.failures
            ],
            "warnings": list(self.warnings),
            "notes": [*self.notes, *leak_warnings(self.leaks)],
            "speed": None if self.speed is None else self.speed.to_dict(),
        }

    def lines(self) -> list[str]:
        """For people: the counts and the first failures."""
        counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in self.counts.items())
        lines = [
            *(f"!! {warning}" for warning in self.warnings),
            *(f"note: {note}" for note in self.notes),
            *(f"!! {warning}" for warning in leak_warnings(beyond(self.leaks, self.known_leaks))),
            *(["nothing was to do"] if self.speed is None else []),
            *(self._run(self.speed) if self.speed else []),
            f"{self.cache}: {counts}; face found on {self.face_found_share:.1%} of frames",
            *(f"  failed  {clip}  {stage}: {reason}" for clip, stage, reason in self.failures[:_LISTED]),
        ]
        if self.num_failed:
            lines.append("  --retry-failed takes failed clips up again")
        if self.num_failed > _LISTED:
            more = self.num_failed - _LISTED
            lines.append(f"  and {more} more; `{self._listing}` lists all")
        return lines

    @property
    def _listing(self) -> str:
        return command("cache", "info", self.cache, "--all-clips")

    def _run(self, speed: Speed) -> list[str]:
        """What the run did: how fast, in which precision, and on clips of which kind."""
        used = ", ".join(f"{model} in {precision}" for model, precision in self.precision.items())
        clips = counted(self.processed, "clip")
        lines = [f"{clips} in {speed.seconds:.0f} s: {speed}; {used}"]
        if self.num_missing:
            lines.append(f"{counted(self.num_missing, 'more clip')} without a file, recorded as failed")
        damaged = counted(self.num_damaged, "clip")
        more = f"; `{self._listing}` lists them" if self.num_damaged else ""
        lines.append(f"{damaged} with damage (data that did not decode, or end early){more}")
        return lines


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

"""How a cache stands after a run."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.runner.progress import Speed
from pipeline.store.place import Place
from pipeline.store.reader import FeatureCache
from pipeline.types import Status

_LISTED = 10


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """What a run did, and how the cache stands: clips by status, over all clips.

    failures: id, stage and reason of every failed clip. face_found_share: of the valid frames of
    all done clips, those on which the subject's face was detected; 0 when no clip is done.
    notes: what a user should know of this run. speed: None when nothing was to do.
    """

    cache: Place
    processed: int
    counts: dict[str, int]
    failures: tuple[tuple[str, str, str], ...]
    face_found_share: float
    warnings: tuple[str, ...]
    notes: tuple[str, ...] = ()
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
            "counts": self.counts,
            "face_found_share": self.face_found_share,
            "failures": [
                dict(zip(("clip_id", "stage", "reason"), row, strict=True)) for row in self.failures
            ],
            "warnings": list(self.warnings),
            "notes": list(self.notes),
            "speed": None if self.speed is None else self.speed.to_dict(),
        }

    def lines(self) -> list[str]:
        """For people: the counts and the first failures."""
        counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in self.counts.items())
        lines = [
            *(f"!! {warning}" for warning in self.warnings),
            *(f"note: {note}" for note in self.notes),
            *(["nothing was to do"] if self.speed is None else []),
            *([f"{self.processed} clips in {self.speed.seconds:.0f} s: {self.speed}"] if self.speed else []),
            f"{self.cache}: {counts}; face found on {self.face_found_share:.1%} of frames",
            *(f"  failed  {clip}  {stage}: {reason}" for clip, stage, reason in self.failures[:_LISTED]),
        ]
        if self.num_failed:
            lines.append("  --retry-failed takes failed clips up again")
        if self.num_failed > _LISTED:
            more = self.num_failed - _LISTED
            lines.append(f"  and {more} more; `cli.py cache info {self.cache} --all-clips` lists all")
        return lines


def report(
    place: Place, processed: int, *, notes: tuple[str, ...] = (), speed: Speed | None = None
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
            counts=cache.status_counts(),
            failures=failures,
            face_found_share=float((found & valid).sum() / max(1, valid.sum())),
            notes=notes,
            speed=speed,
        )

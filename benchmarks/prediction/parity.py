"""Features of the windows of real videos, compared bit by bit with `extract` of the same spans."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.prediction.settings import HAAR, RETINAFACE, decoders, planned, small_models
from pipeline.errors import ConfigError
from pipeline.process import Models, process_block
from pipeline.process.windows import (
    PartDecoder,
    WindowOptions,
    WindowPlan,
    WindowReader,
    WindowSample,
)
from pipeline.types import ClipDone, ClipRef, SourceScan

_FIELDS = ("face_embedding", "scene_embedding", "scene_early")
_CLIPS = 16
"""Clips of a call of `process_block`, which holds the frames of all."""


def measure_parity(
    videos: Sequence[Path],
    weights: Path | None,
    most_seconds: float | None = None,
    on_row: Callable[[dict[str, Any]], None] = lambda _: None,
) -> dict[str, Any]:
    """Compare the windows of videos, with each detector.

    Args:
        videos: The videos.
        most_seconds: Length that is used of each video, from its start; None for all.
        on_row: Called with each row.
        weights: Weights of RetinaFace; None to leave it out.

    Returns:
        A row per video and detector, and sums by the choice of people.
    """
    rows = []
    with decoders() as decoder:
        detectors = (HAAR, RETINAFACE) if weights is not None else (HAAR,)
        models_of = {detector: small_models(detector, weights) for detector in detectors}
        for path in videos:
            for detector, models in models_of.items():
                try:
                    row = {"detector": detector, **_compared(path, models, decoder, most_seconds)}
                except ConfigError as error:
                    row = {"detector": detector, "video": path.name, "not_compared": str(error)}
                rows.append(row)
                on_row(row)
    sums: dict[str, dict[str, int]] = {}
    for people in ("main", "all"):
        of_people = [row[people] for row in rows if people in row]
        sums[people] = {
            name: sum(row[name] for row in of_people)
            for name in ("windows", "compared", "differ", "without_face", "other_number_of_people")
        }
    return {"sums": sums, "videos": rows}


def _compared(path: Path, models: Models, decoder: PartDecoder, most_seconds: float | None) -> dict[str, Any]:
    scan, plan = planned(path, models.config, decoder, end_seconds=most_seconds)
    reference = _extracted(path, scan, plan, models)
    result: dict[str, Any] = {"video": path.name}
    for people in ("main", "all"):
        options = WindowOptions(people=people, min_share=0.0, min_face_px=0.0)
        reader = WindowReader(path, scan, plan, models, options, decoder)
        samples = [sample for batch in reader.batches() for sample in batch.samples]
        result[people] = _counts(plan, samples, reference)
    return result


def _extracted(path: Path, scan: SourceScan, plan: WindowPlan, models: Models) -> list[ClipDone]:
    """Return what `extract` makes of clips with the times of the windows."""
    seconds = scan.seconds_N
    clips = [
        ClipRef(
            clip_id=f"window_{number}",
            path=path.name,
            label=0,
            splits=(),
            start_seconds=float(seconds[window.first]) if window.first else None,
            end_seconds=float(seconds[window.end]) if window.end < len(seconds) else None,
        )
        for number, window in enumerate(plan.windows)
    ]
    done = []
    for start in range(0, len(clips), _CLIPS):
        for outcome in process_block(path.parent, clips[start : start + _CLIPS], models).outcomes:
            assert isinstance(outcome, ClipDone), outcome
            done.append(outcome)
    return done


def _counts(
    plan: WindowPlan, samples: Sequence[WindowSample], reference: Sequence[ClipDone]
) -> dict[str, int]:
    """Count the windows whose features differ in any bit.

    A window in which neither finds a face has no features to compare, and counts as `without_face`. One with
    another number of people than one is not compared with the single subject of `extract`.
    """
    by_window = defaultdict(list)
    for sample in samples:
        by_window[sample.window.first, sample.window.end].append(sample)
    counts = dict.fromkeys(("windows", "compared", "differ", "without_face", "other_number_of_people"), 0)
    for window, extracted in zip(plan.windows, reference, strict=True):
        counts["windows"] += 1
        found = by_window[window.first, window.end]
        if len(found) != 1:
            counts["other_number_of_people"] += 1
        elif found[0].features is None and not extracted.track.has_face:
            counts["without_face"] += 1
        else:
            counts["compared"] += 1
            counts["differ"] += not _equal(found[0], extracted)
    return counts


def _equal(sample: WindowSample, extracted: ClipDone) -> bool:
    mine, theirs = sample.features, extracted.features
    return mine is not None and all(
        np.array_equal(getattr(mine, name), getattr(theirs, name)) for name in _FIELDS
    )

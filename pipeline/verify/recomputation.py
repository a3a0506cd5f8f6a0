"""Comparison of a sample of clips, computed again from their files, with the cache."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.device import choose_device
from pipeline.errors import OusError
from pipeline.process import Models, identity_differences, load_models, process_block
from pipeline.runner import dataset_of
from pipeline.store.reader import FeatureCache
from pipeline.store.rows import fill_row
from pipeline.types import ClipFailed, ClipRef, DatasetIndex
from pipeline.verify.config import OtherAlgorithmsError, config_of
from pipeline.verify.report import Finding, Recomputed

RELATIVE_TOLERANCE = 0.02
"""Allowed difference from a stored feature, as a fraction of its norm. Other hardware and batch sizes sum in
another order, in 8-bit mantissas if the encoder runs in bf16."""

_DEFAULT_SAMPLE = 2
_PRECISIONS = ("features.precision:", "detector.precision:")
_COMPARED = ("frame_index", "frame_valid", "face_found", "status")


def recompute_sample(
    cache: FeatureCache,
    count: int | None,
    *,
    root: Path | None = None,
    encoder_weights: str | None = None,
    detector_weights: str | None = None,
) -> Recomputed:
    """Compute clips again from their files, with the models that the cache names, and compare them.

    Args:
        cache: Open cache.
        count: Number of clips. None means two, or a note if files or models are not on this machine.
        root: Directory of the dataset now; None for the one that the cache names.
        encoder_weights: Weights of the encoder now; None for those that the cache names.
        detector_weights: Weights of the detector now; None for those that the cache names.

    Raises:
        OusError: `count` is a number, and files or models are not on this machine.
    """
    rows = pick_sample(cache, _DEFAULT_SAMPLE if count is None else count)
    if not rows:
        return Recomputed(
            note="NOTHING RECOMPUTED: " + ("not requested" if count == 0 else "no clip is done")
        )
    try:
        config = config_of(cache, encoder_weights, detector_weights)
        index = dataset_of(cache, root)
        models = load_models(config, choose_device())
    except OtherAlgorithmsError as error:
        return Recomputed(findings=(Finding(where="recompute", what=str(error)),))
    except OusError as error:
        if count is not None:
            raise
        return Recomputed(note=f"NOTHING RECOMPUTED: {error}")
    rows = pick_sample(cache, len(rows), among={clip.clip_id for clip in index.clips})
    if not rows:
        where = index.source or index.root
        return Recomputed(
            findings=(
                Finding(where="recompute", what=f"no clip with features is in the dataset at '{where}'"),
            )
        )
    other = identity_differences(models.identity(), cache.meta.identity)
    other = [line for line in other if not line.startswith(_PRECISIONS)]
    if other:
        return Recomputed(
            findings=(Finding(where="recompute", what=f"the models differ: {'; '.join(other)}"),)
        )
    return recompute(cache, index, models, rows)


def pick_sample(cache: FeatureCache, count: int, *, among: Collection[str] | None = None) -> list[int]:
    """Return the rows of `count` clips with features, the same random ones in every call.

    Args:
        cache: Open cache.
        count: Most rows that are returned.
        among: Ids of the clips to choose from; None for all.
    """
    rows = cache.done_rows()
    if among is not None:
        rows = rows[[clip_id in among for clip_id in cache.read("clip_id")[rows].tolist()]]
    chosen = np.random.default_rng(0).permutation(rows)[:count]
    return sorted(chosen.tolist())


def recompute(cache: FeatureCache, index: DatasetIndex, models: Models, rows: list[int]) -> Recomputed:
    """Process clips again and compare features, frames and faces with the cache.

    Args:
        cache: Open cache.
        index: The dataset. Clips that are not in it are findings.
        models: Loaded models.
        rows: Rows of the clips in the cache.
    """
    by_id = {clip.clip_id: clip for clip in index.clips}
    ids = cache.read("clip_id")[rows].tolist()
    missing = [clip_id for clip_id in ids if clip_id not in by_id]
    findings = [Finding(where="recompute", what=f"clip '{i}' is not in the dataset") for i in missing]
    pairs = [(row, by_id[clip_id]) for row, clip_id in zip(rows, ids, strict=True) if clip_id in by_id]
    largest = 0.0
    for row, clip in pairs:
        difference, wrong = _recompute_clip(cache, index.root, models, row, clip)
        largest = max(largest, difference)
        findings += wrong
    return Recomputed(
        clip_ids=tuple(clip.clip_id for _, clip in pairs),
        largest_difference=largest,
        findings=tuple(findings),
    )


def _recompute_clip(
    cache: FeatureCache, root: Path, models: Models, row: int, clip: ClipRef
) -> tuple[float, list[Finding]]:
    (outcome,) = process_block(root, [clip], models).outcomes
    if isinstance(outcome, ClipFailed):
        what = f"clip '{clip.clip_id}' now fails at {outcome.stage}: {outcome.reason}"
        return 0.0, [Finding(where="recompute", what=what)]
    stored = {
        spec.name: cache.read(spec.name, row, row + 1) for spec in cache.meta.arrays() if spec.per_block
    }
    again = {name: value.copy() for name, value in stored.items()}
    fill_row(again, 0, outcome)
    if stored["source_sha256"][0] != again["source_sha256"][0]:
        what = f"the file of clip '{clip.clip_id}' has changed since extraction (sha256)"
        return 0.0, [Finding(where="recompute", what=what)]
    largest, findings = 0.0, []
    for spec in cache.meta.arrays():
        if spec.is_feature:
            difference = relative_difference(stored[spec.name], again[spec.name])
            if difference is None:
                what = f"clip '{clip.clip_id}' holds NaN, infinity or only zeros, but not when computed again"
                findings.append(Finding(where=spec.name, what=what))
                continue
            largest = max(largest, difference)
            if difference > RELATIVE_TOLERANCE:
                what = f"clip '{clip.clip_id}' differs by {difference:.2g} of its norm when computed again"
                findings.append(Finding(where=spec.name, what=what))
        elif spec.name in _COMPARED and (stored[spec.name] != again[spec.name]).any():
            what = f"clip '{clip.clip_id}' differs when computed again"
            findings.append(Finding(where=spec.name, what=what))
    return largest, findings


def relative_difference(stored: npt.NDArray[Any], again: npt.NDArray[Any]) -> float | None:
    """Return the norm of the difference divided by the norm of the stored value.

    None if either value holds NaN or infinity, or if only the stored value is all zeros.
    """
    a, b = stored.astype(np.float64), again.astype(np.float64)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return None
    norm, difference = float(np.linalg.norm(a)), float(np.linalg.norm(a - b))
    if not norm:
        return None if difference else 0.0
    return difference / norm

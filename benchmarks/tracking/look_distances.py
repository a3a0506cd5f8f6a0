"""How well the distance of looks distinguishes people, on trial clips with a truth."""

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any

import numpy as np
from scipy.stats import rankdata

from benchmarks.tracking.detections import Detections
from benchmarks.tracking.measures import best_pairs
from benchmarks.tracking.truth import Truth
from pipeline.looks import look_of
from pipeline.types import Floats

_EVERY, _MOST_SECONDS = 3, 1.5
"""Every so many frames are compared with those of at most this many seconds before or after."""
_START_SCORE = 0.5


def compare_looks(clips: Iterable[tuple[Detections, Truth]]) -> dict[str, Any]:
    """Return the AUC, and percentiles of distances between faces of one person and of two people of a clip.

    The AUC is None unless there are pairs of both kinds. Two people may be look-alikes. Faces of which more
    than half is hidden are left out.

    Args:
        clips: Detections on all frames of each clip, and its truth.
    """
    one: list[float] = []
    two: list[float] = []
    for detections, truth in clips:
        faces = _faces_of(detections.above(_START_SCORE), truth)
        for (name, seconds, look), (other, later, other_look) in combinations(faces, 2):
            if abs(later - seconds) <= _MOST_SECONDS:
                (one if name == other else two).append(float(np.linalg.norm(look - other_look)))
    auc = None
    if one and two:
        ranks = rankdata(np.concatenate([one, two]))
        auc = (ranks[len(one) :].sum() / len(two) - (len(two) + 1) / 2) / len(one)
    return {
        "pairs_of_one": len(one),
        "pairs_of_two": len(two),
        "auc": None if auc is None else float(auc),
        "one_person": _percentiles(one),
        "two_people": _percentiles(two),
    }


def _faces_of(detections: Detections, truth: Truth) -> list[tuple[str, float, Floats]]:
    """Return person, seconds and look of visible faces on every third frame."""
    found = []
    for u in range(0, len(detections.faces), _EVERY):
        people, places = best_pairs(truth.similarity(u, detections.faces[u].box_xyxy_px))
        for person, face in zip(people, places, strict=True):
            if truth.visible_UP[u, person]:
                look = look_of(detections.crops[u][face])
                found.append((truth.people[person], float(detections.seconds_U[u]), look))
    return found


def _percentiles(distances: list[float]) -> Mapping[str, float]:
    return {f"{p}th": float(np.percentile(distances, p)) for p in (5, 50, 95)} if distances else {}

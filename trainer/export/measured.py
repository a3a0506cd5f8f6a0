"""confusion.json of a run -> the results that its model card shows."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.own_dir import OwnDir
from trainer.clips_without_face import stored_num_without_face
from trainer.runs import own_test_values

Interval = tuple[float, float]
"""Ends of a 95% interval, 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class Results:
    """Results of a run on its own test split; fractions from 0 to 1.

    Attributes:
        num_clips: Measured clips.
        num_without_face: Clips of these without a face; 0 if an earlier version measured the run.
        war, uar: Weighted and unweighted average recall.
        war_interval, uar_interval: Their 95% intervals; None if there is none.
        recalls: Recall of each class that has clips, the lowest first.
        ece: Expected calibration error without the temperature.
        ece_calibrated: The same with it; None without one.
        method: How the intervals were computed.
    """

    num_clips: int
    num_without_face: int
    war: float
    uar: float
    war_interval: Interval | None
    uar_interval: Interval | None
    recalls: Mapping[str, float]
    ece: float
    ece_calibrated: float | None
    method: str


def results_of(place: OwnDir) -> Results | None:
    """Return the results that `evaluate` has written for the run's own test split; None if there are none."""
    values = own_test_values(place)
    if values is None:
        return None
    try:
        recalls = {
            str(name): _fraction(value) for name, value in values["recall"].items() if value is not None
        }
        calibrated = values["calibration"]["ece_calibrated"]
        return Results(
            num_clips=int(values["num_clips"]),
            num_without_face=stored_num_without_face(values),
            war=_fraction(values["war"]),
            uar=_fraction(values["uar"]),
            war_interval=_interval(values["war_interval_95"]),
            uar_interval=_interval(values["uar_interval_95"]),
            recalls=dict(sorted(recalls.items(), key=lambda pair: pair[1])),
            ece=_fraction(values["calibration"]["ece"]),
            ece_calibrated=None if calibrated is None else _fraction(calibrated),
            method=str(values["interval_method"])[:200],
        )
    except (ValueError, TypeError, KeyError, AttributeError, IndexError):
        return None


def _fraction(value: Any) -> float:
    number = float(value)
    if not (math.isfinite(number) and 0 <= number <= 1):
        msg = f"{number} is no fraction"
        raise ValueError(msg)
    return number


def _interval(value: Any) -> Interval | None:
    return None if value is None else (_fraction(value[0]), _fraction(value[1]))

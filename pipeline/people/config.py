"""Settings for finding the people of a clip."""

from dataclasses import dataclass
from typing import ClassVar

from pipeline.config import require_range
from pipeline.versions import VERSIONS


@dataclass(frozen=True, kw_only=True)
class PeopleConfig:
    """Settings for linking detections over the frames of a shot, with ``track.method=motion``.

    Times are in seconds, so that the same people are found at every number of frames. Distances are in sides
    of the box, which is the square root of its area.

    Attributes:
        max_gap: Longest time in seconds that a face may be missing before its tracklet ends. If frames are
            further apart, a tracklet may continue on the next frame.
        max_speed: Deviation of the speed from a constant velocity, in sides per second.
        max_growth: Deviation of the logarithm of the side, per second.
        look_distance: Distance of two looks of one person that is usual (`pipeline.looks`).
        overlap: A face whose box overlaps another one by more than this intersection over union adds nothing
            to the known looks of its tracklet, because it may show both people.
        new_cost: Cost in nats of ending one tracklet and starting another, instead of linking them.
        missed_cost: Cost in nats of each second in which the face was missed, because a person who comes back
            may be another one.
        join_distance: Largest distance of the looks of one person's tracklets that do not follow on each
            other: in two shots, or before and after an absence.
        join_margin: Least difference by which that distance is smaller than the distance to any other person
            who could be meant.
        weak_score: Detections below `detector.score` and above this continue a tracklet, but start none.
    """

    VERSION: ClassVar[int] = VERSIONS["people"]
    """Version of linking the detections of all people (decision 0007)."""

    max_gap: float = 2.0
    max_speed: float = 0.9
    max_growth: float = 0.35
    look_distance: float = 0.25
    overlap: float = 0.2
    new_cost: float = 12.0
    missed_cost: float = 3.0
    join_distance: float = 0.45
    join_margin: float = 0.1
    weak_score: float = 0.2

    def __post_init__(self) -> None:
        require_range("people.max_gap", self.max_gap, 0)
        require_range("people.max_speed", self.max_speed, 0)
        require_range("people.max_growth", self.max_growth, 0)
        require_range("people.look_distance", self.look_distance, 0.01)
        require_range("people.overlap", self.overlap, 0, 1)
        require_range("people.new_cost", self.new_cost, 0)
        require_range("people.missed_cost", self.missed_cost, 0)
        require_range("people.join_distance", self.join_distance, 0)
        require_range("people.join_margin", self.join_margin, 0)
        require_range("people.weak_score", self.weak_score, 0, 1)
